import { setTimeout as delay } from 'node:timers/promises';
import { Command } from 'commander';
import { environment } from '../config/environment.ts';
import { settings } from '../config/settings.ts';
import { hostPort, isLoopback } from '../config/values.ts';
import { keepRegistered, type Registration } from '../discovery/registration.ts';
import { consulClient } from '../main.ts';
import { createLog } from '../observability/log.ts';
import { wrap, type Wrapped } from '../sidecar/run.ts';
import { name as program, version } from '../version.ts';
import { CommandFailed, UsageError } from './errors.ts';
import { loadSettings } from './load-settings.ts';
import { addRunOptions, bracketed, definition, type RunOptions } from './run-options.ts';
import { addSettingOptions } from './settings-options.ts';
import { shutdownSignal } from './shutdown.ts';

/** Settings of the router that `run` understands as well. */
const shared = new Set([
  'logLevel',
  'logFormat',
  'drainTimeout',
  'register',
  'maxBody',
  'allowedHosts',
  'allowedOrigins',
]);

export function runCommand(): Command {
  const command = new Command('run')
    .description('Wrap a stdio MCP server: serve it over Streamable HTTP and register it in Consul.')
    .usage('[options] -- COMMAND [ARGUMENTS...]')
    .argument('<command>', 'the server to run')
    .argument('[arguments...]', 'its arguments')
    .passThroughOptions()
    .addHelpText(
      'after',
      '\nExamples:\n  mcp-consul-router run --name files -- npx -y @modelcontextprotocol/server-filesystem /srv/docs' +
        '\n  mcp-consul-router run --per-session --listen-host 0.0.0.0 -- uvx mcp-server-git --repository /srv/repo\n' +
        '\nThe server is started again when it crashes, with a growing pause. /healthz answers 200 while it works, 429' +
        '\nwhen all sessions are taken, else 503. SIGTERM deregisters, finishes running calls, ends the server and exits;' +
        "\na second one exits at once. The server inherits the environment, but not the wrapper's own credentials.",
    );
  addRunOptions(command);
  addSettingOptions(command, (name) => settings[name].env.startsWith('CONSUL_') || shared.has(name));
  return command.action(async (server: string, args: string[]) => run(command, server, args));
}

async function run(command: Command, server: string, args: readonly string[]): Promise<void> {
  const options = command.opts<RunOptions>();
  const chosen = loadSettings(command).settings;
  const listen = checkUsage(options);
  const log = createLog({
    level: chosen.logLevel,
    format: chosen.logFormat ?? (process.stderr.isTTY ? 'pretty' : 'json'),
  });
  const client = chosen.register ? consulClient(chosen) : undefined;
  const shutdown = shutdownSignal(log);
  const hopeless = Promise.withResolvers<string>();
  const perSession = options.perSession ?? false;
  const wrapped = await wrap({
    command: server,
    args,
    env: childEnvironment(environment()),
    perSession,
    listen,
    path: options.path,
    origins: {
      loopback: isLoopback(options.listenHost),
      allowedHosts: chosen.allowedHosts,
      allowedOrigins: chosen.allowedOrigins,
    },
    initializeTimeoutMs: options.startTimeout,
    drainTimeoutMs: chosen.drainTimeout,
    sessionIdleMs: options.idle * 1000,
    maxSessions: options.maxSessions ?? (perSession ? 50 : 1000),
    maxBodyBytes: chosen.maxBody,
    clientInfo: { name: `${program} run`, version },
    onHopeless: (reason) => hopeless.resolve(reason),
    log,
    now: () => performance.now(),
  });
  log.info('listening', { url: `http://${bracketed(options.listenHost)}:${wrapped.port}${options.path}` });

  const end = Promise.race([shutdown, hopeless.promise]);
  const healthy = await firstHealth(wrapped, end);
  let registration: Registration | undefined;
  if (client && healthy !== 'ended') {
    const served = { command: server, args, port: wrapped.port, tag: chosen.tag, healthy };
    registration = keepRegistered(client, definition(options, served), log);
  }
  const reason = await end;
  await registration?.deregister();
  await wrapped.stop();
  if (typeof reason === 'string') {
    throw new CommandFailed(`${server} ${reason}. Is it installed, and on PATH? Try it by hand first.`);
  }
}

/** @throws {UsageError} */
function checkUsage(options: RunOptions): { host: string; port: number } {
  if (!options.path.startsWith('/')) throw new UsageError('--path must begin with "/".');
  if (options.perSession && options.session === 'stateless') {
    throw new UsageError(
      'With --per-session each session has its own server: it cannot be --session stateless.',
    );
  }
  const listen = hostPort().safeParse(`${bracketed(options.listenHost)}:${options.port}`);
  if (!listen.success) throw new UsageError(`--listen-host ${options.listenHost} is no address.`);
  return listen.data;
}

/** A server that takes longer is registered all the same, as critical, so that Consul shows it. */
const FIRST_HEALTH_MS = 10_000;

/** Waits until the server can take work, so that nobody finds it in Consul before. */
async function firstHealth(wrapped: Wrapped, end: Promise<unknown>): Promise<boolean | 'ended'> {
  const ended = end.then(() => 'ended' as const);
  const deadline = performance.now() + FIRST_HEALTH_MS;
  for (;;) {
    const healthy = await Promise.race([wrapped.healthy(), ended]);
    if (healthy === 'ended' || healthy) return healthy;
    if (performance.now() > deadline) return false;
    if ((await Promise.race([delay(20), ended])) === 'ended') return 'ended';
  }
}

/** What the wrapped server inherits: everything but the wrapper's own settings and credentials. */
function childEnvironment(
  all: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(all).filter(
      ([name]) => !/^(?:CONSUL_HTTP_(?:TOKEN|TOKEN_FILE|AUTH)|MCP_ROUTER_.*)$/.test(name),
    ),
  );
}
