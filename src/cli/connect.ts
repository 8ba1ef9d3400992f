import { Command } from 'commander';
import { environment } from '../config/environment.ts';
import { isLoopback } from '../config/values.ts';
import { createLog } from '../observability/log.ts';
import { connect } from '../sidecar/connect/connect.ts';
import { addConnectOptions, credentials, target, type ConnectFlags } from './connect-options.ts';
import { loadSettings } from './load-settings.ts';
import { addSettingOptions } from './settings-options.ts';

/** Settings of the router that `connect` understands as well. */
const shared = new Set(['logLevel', 'logFormat', 'drainTimeout', 'tokenFile']);

/** How long the last words may take. */
const LINGER_MS = 500;

export function connectCommand(): Command {
  const command = new Command('connect')
    .description(
      'For clients that only speak stdio: connects stdin and stdout to the router, or to any MCP server over Streamable HTTP.',
    )
    .argument(
      '[url]',
      'the MCP endpoint (default: /mcp where MCP_ROUTER_LISTEN says that the router listens)',
    )
    .addHelpText(
      'after',
      "\nIn a client's settings:\n" +
        '  { "mcpServers": { "consul": { "command": "npx", "args": ["-y", "mcp-consul-router", "connect"] } } }' +
        '\nWith a token, and one service only:\n' +
        '  { "command": "npx", "args": ["-y", "mcp-consul-router", "connect", "https://router.example/services/github/mcp"],' +
        '\n    "env": { "MCP_ROUTER_TOKEN": "…" } }\n' +
        '\nstdout carries MCP messages and nothing else; logs go to stderr. A private certificate authority is named by' +
        '\nNODE_EXTRA_CA_CERTS. While the server is away requests are answered with an error and connect goes on trying.' +
        '\nWhen the client closes stdin, or at SIGTERM, running requests finish, the session ends, and the status is 0.',
    );
  addConnectOptions(command);
  addSettingOptions(command, (name) => shared.has(name));
  return command.action(async (url: string | undefined) => run(command, url));
}

async function run(command: Command, url: string | undefined): Promise<void> {
  const flags = command.opts<ConnectFlags>();
  const { settings } = loadSettings(command);
  const to = target(url, settings, flags.names);
  const credential = credentials(flags, settings, environment());
  const log = createLog({
    level: settings.logLevel,
    format: settings.logFormat ?? (process.stderr.isTTY ? 'pretty' : 'json'),
  });
  if (to.endpoint.scheme === 'http' && !isLoopback(to.endpoint.host) && credential.headers().length > 0) {
    log.warn('headers and token travel without encryption; use an https:// URL', { url: to.shown });
  }
  // The client hanging up is an end like any other; elsewhere a broken pipe exits at once.
  process.stdout.removeAllListeners('error');
  const connected = connect({
    input: process.stdin,
    output: process.stdout,
    endpoint: to.endpoint,
    url: to.shown,
    credentials: credential,
    timeoutMs: flags.timeout,
    drainTimeoutMs: settings.drainTimeout,
    log,
    now: () => performance.now(),
    random: Math.random,
  });
  log.info('connect is ready', { url: to.shown });
  if (process.stdin.isTTY) {
    log.info('stdin is a terminal: type MCP messages, or name this command in the settings of an MCP client');
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => connected.end());
  await connected.ended;
  process.stdin.destroy();
  // A client that does not read any more must not keep the process.
  setTimeout(() => process.exit(0), LINGER_MS).unref();
}
