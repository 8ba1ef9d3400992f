import { Command } from 'commander';
import { describeError } from '../errors.ts';
import { createLog } from '../observability/log.ts';
import { CommandFailed } from './errors.ts';
import { play, type Narrator } from './demo/acts.ts';
import { buildStage, type Stage } from './demo/stage.ts';
import { shutdownSignal } from './shutdown.ts';

export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'A real Consul, real MCP servers, the router, and a guided failover. Then it stays up to be tried.',
    )
    .option('--exit', 'end with status 0 or 1 instead of staying up')
    .addHelpText(
      'after',
      "\nConsul is taken from CONSUL_BIN or PATH, or fetched into the user's cache folder.",
    )
    .action(async (options: { exit?: true }) => demo(options.exit ?? false));
}

async function demo(exit: boolean): Promise<void> {
  const startedAt = performance.now();
  const clock = (): string => `${((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)} s`;
  const narrator: Narrator = {
    title: (text) => console.log(`\n${text}`),
    say: (text) => console.log(`  ${clock()}  ${text}`),
  };
  const shutdown = shutdownSignal(createLog({ level: 'warn', format: 'pretty' }));
  narrator.title('Setting the stage');
  const stage = await buildStage((line) => narrator.say(line));
  try {
    const interrupted = await Promise.race([
      play(stage, narrator).then(() => false),
      shutdown.then(() => true),
    ]);
    if (interrupted) return;
    if (exit) {
      narrator.title('All of it came true.');
      return;
    }
    invite(stage);
    await shutdown;
  } catch (error) {
    throw new CommandFailed(`The demo failed: ${describeError(error)}`, error);
  } finally {
    narrator.title('Taking it all down');
    await stage.stop();
    narrator.say('nothing is left running');
  }
}

/** How to try it by hand. */
function invite(stage: Stage): void {
  const settings = JSON.stringify({ mcpServers: { consul: { type: 'http', url: stage.url } } }, null, 2);
  console.log(`
It stays up until Ctrl-C. Try it:

  MCP endpoint   ${stage.url}
  one service    ${stage.url.replace('/mcp', '/services/files/mcp')}
  dashboard      ${stage.adminUrl}/
  admin API      ${stage.adminUrl}/api/v1/services
  metrics        ${stage.adminUrl}/metrics
  Consul         http://${stage.consul.httpAddr}/ui

Claude Code:     claude mcp add --transport http consul ${stage.url}
Most clients (Claude Desktop, Cursor, VS Code, Windsurf) take:

${settings}

Register one more server:

  CONSUL_HTTP_ADDR=${stage.consul.httpAddr} npx mcp-consul-router run --name notes -- npx -y @modelcontextprotocol/server-memory
`);
}
