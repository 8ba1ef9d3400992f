#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { keysCommand } from './cli/keys.ts';
import { listCommand } from './cli/list.ts';
import { CommandFailed, UsageError } from './cli/errors.ts';
import { configCommand } from './cli/config.ts';
import { connectCommand } from './cli/connect.ts';
import { demoCommand } from './cli/demo.ts';
import { policyCommand } from './cli/policy.ts';
import { explainCommand } from './cli/explain.ts';
import { runCommand } from './cli/run.ts';
import { serveCommand } from './cli/serve.ts';
import { describeError, RouterError } from './errors.ts';
import { name, version } from './version.ts';

/** Exit status: 0 done, 1 failed, 2 wrong usage. */
async function main(argv: readonly string[]): Promise<number> {
  const program = new Command(name)
    .description('One MCP endpoint for every MCP server registered in Consul.')
    .version(version)
    .exitOverride()
    .enablePositionalOptions()
    .configureHelp({ showGlobalOptions: true })
    .addCommand(serveCommand(), { isDefault: true })
    .addCommand(runCommand())
    .addCommand(connectCommand())
    .addCommand(listCommand())
    .addCommand(explainCommand())
    .addCommand(configCommand())
    .addCommand(policyCommand())
    .addCommand(keysCommand())
    .addCommand(demoCommand());
  for (const command of program.commands) {
    for (const one of [command, ...command.commands]) one.exitOverride().version(version);
  }
  try {
    await program.parseAsync(argv);
    return 0;
  } catch (error) {
    return report(error);
  }
}

function report(error: unknown): number {
  // Commander has printed its own message by now; help and version are no failures.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UsageError) {
    console.error(`${name}: ${error.message}`);
    return 2;
  }
  if (error instanceof CommandFailed) {
    console.error(`${name}: ${error.message}`);
    return 1;
  }
  if (error instanceof RouterError) {
    const cause = error.cause === undefined ? '' : `\n  because: ${describeError(error.cause)}`;
    console.error(`${name}: ${error.message}${cause}`);
    return error.code === 'WRONG_SETTINGS' ? 2 : 1;
  }
  console.error(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return 1;
}

// `mcp-consul-router list | head` ends when head has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await main(process.argv);
