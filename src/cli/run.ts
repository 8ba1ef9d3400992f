import { hostname } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { environment } from '../config/environment.ts';
import { hostPort, isLoopback } from '../config/values.ts';
import { keepRegistered, type ServiceDefinition } from '../discovery/registration.ts';
import { consulClient } from '../main.ts';
import { createLog } from '../observability/log.ts';
import { wrap } from '../sidecar/run.ts';
import { name as program, version } from '../version.ts';
import { CommandFailed, UsageError } from './errors.ts';
import { loadSettings } from './load-settings.ts';
import { addSettingOptions } from './settings-options.ts';
import { shutdownSignal } from './shutdown.ts';

interface RunOptions {
  readonly name?: string;
  readonly id?: string;
  readonly port: number;
  readonly listenHost: string;
  readonly address?: string;
  readonly checkHost?: string;
  readonly path: string;
  readonly perSession?: true;
  readonly tag: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly namespace?: string;
  readonly group?: string;
  readonly serviceVersion?: string;
  readonly timeoutMs?: string;
  readonly maxConcurrency?: string;
  readonly toolsAllow?: string;
  readonly toolsDeny?: string;
  readonly weight: number;
  readonly interval: string;
  readonly maxSessions: number;
  readonly idle: number;
}

const MAX_BODY_BYTES = 4 << 20;
const INITIALIZE_TIMEOUT_MS = 30_000;

/** Settings of the router that `run` understands as well. */
const shared = new Set(['logLevel', 'logFormat', 'drainTimeout', 'register', 'consulTokenFile']);

export function runCommand(): Command {
  const command = new Command('run')
    .description('Wrap a stdio MCP server: serve it over Streamable HTTP and register it in Consul.')
    .usage('[options] -- COMMAND [ARGUMENTS...]')
    .argument('<command>', 'the server to run')
    .argument('[arguments...]', 'its arguments')
    .option('--name <name>', 'service name in Consul (default: the name of the command)')
    .option('--id <id>', 'service id in Consul (default: name, host and port)')
    .option('--port <port>', 'port to listen on; 0 lets the system choose', wholeNumber(0, 65_535), 0)
    .option('--listen-host <host>', 'address to listen on', '127.0.0.1')
    .option('--address <address>', 'address to register (default: the address listened on, if it is one)')
    .option(
      '--check-host <host>',
      'where Consul reaches /healthz (default: the address listened on, or loopback)',
    )
    .option('--path <path>', 'where MCP is spoken', '/mcp')
    .option(
      '--per-session',
      'a child for each client session: full fidelity (sampling, elicitation, roots), more memory',
    )
    .option('--max-sessions <n>', 'client sessions at a time', wholeNumber(1, 1_000_000), 1000)
    .option('--idle <seconds>', 'a session without traffic ends after this', wholeNumber(1, 604_800), 3600)
    .option('--tag <tag>', 'a further tag, may be repeated', append, [])
    .option('--namespace <name>', 'mcp-namespace: what stands before the tool names')
    .option('--group <name>', 'mcp-group')
    .option('--service-version <version>', 'mcp-version')
    .option('--timeout-ms <ms>', 'mcp-timeout-ms: longest silence of a call')
    .option('--max-concurrency <n>', 'mcp-max-concurrency: calls at a time')
    .option('--tools-allow <globs>', 'mcp-tools-allow')
    .option('--tools-deny <globs>', 'mcp-tools-deny')
    .option('--meta <key=value>', 'further service meta, may be repeated', keyValue, {})
    .option('--weight <n>', "Consul's weight when passing", wholeNumber(1, 65_535), 1)
    .option('--interval <duration>', 'how often Consul checks it', '5s')
    .passThroughOptions()
    .addHelpText(
      'after',
      '\nExample:\n  mcp-consul-router run --name files -- npx -y @modelcontextprotocol/server-filesystem /srv/docs\n' +
        '\nThe child is started again when it crashes, with a growing pause. SIGTERM deregisters, finishes running calls,' +
        '\nends the child and exits; a second one exits at once.',
    );
  addSettingOptions(command, (setting) => setting.startsWith('consul') || shared.has(setting));
  return command.action(async (server: string, args: string[]) => run(command, server, args));
}

async function run(command: Command, server: string, args: readonly string[]): Promise<void> {
  const options = command.opts<RunOptions>();
  const { settings } = loadSettings(command);
  if (!options.path.startsWith('/')) throw new UsageError('--path must begin with "/".');
  const listen = hostPort().safeParse(`${bracketed(options.listenHost)}:${options.port}`);
  if (!listen.success) throw new UsageError(`--listen-host ${options.listenHost} is no address.`);
  const log = createLog({
    level: settings.logLevel,
    format: settings.logFormat ?? (process.stderr.isTTY ? 'pretty' : 'json'),
  });
  const shutdown = shutdownSignal(log);
  const hopeless = Promise.withResolvers<string>();
  const wrapped = await wrap({
    command: server,
    args,
    env: childEnvironment(environment()),
    perSession: options.perSession ?? false,
    listen: listen.data,
    path: options.path,
    origins: { loopback: isLoopback(options.listenHost), allowedHosts: [], allowedOrigins: [] },
    initializeTimeoutMs: INITIALIZE_TIMEOUT_MS,
    drainTimeoutMs: settings.drainTimeout,
    sessionIdleMs: options.idle * 1000,
    maxSessions: options.maxSessions,
    maxBodyBytes: MAX_BODY_BYTES,
    clientInfo: { name: `${program} run`, version },
    onHopeless: (reason) => hopeless.resolve(reason),
    log,
    now: () => performance.now(),
  });
  log.info('listening', { url: `http://${bracketed(options.listenHost)}:${wrapped.port}${options.path}` });
  const registration = settings.register
    ? keepRegistered(consulClient(settings), definition(options, server, wrapped.port), log)
    : undefined;
  const reason = await Promise.race([shutdown, hopeless.promise]);
  await registration?.deregister();
  await wrapped.stop();
  if (typeof reason === 'string') {
    throw new CommandFailed(`${server} ${reason}. Is it installed, and on PATH? Try it by hand first.`);
  }
}

/** The registration: tag `mcp`, the meta that the flags give, and a check on `/healthz`. */
function definition(options: RunOptions, server: string, port: number): ServiceDefinition {
  const name = options.name ?? (server.split('/').pop() || server);
  const everywhere = options.listenHost === '0.0.0.0' || options.listenHost === '::';
  const meta: Record<string, string | undefined> = {
    'mcp-path': options.path === '/mcp' ? undefined : options.path,
    'mcp-namespace': options.namespace,
    'mcp-group': options.group,
    'mcp-version': options.serviceVersion,
    'mcp-timeout-ms': options.timeoutMs,
    'mcp-max-concurrency': options.maxConcurrency,
    'mcp-tools-allow': options.toolsAllow,
    'mcp-tools-deny': options.toolsDeny,
    ...options.meta,
  };
  const checkHost = bracketed(options.checkHost ?? (everywhere ? '127.0.0.1' : options.listenHost));
  return {
    ID: options.id ?? `${name}-${hostname()}-${port}`,
    Name: name,
    // Empty: the node's own address, right for a server that listens everywhere.
    Address: options.address ?? (everywhere ? '' : options.listenHost),
    Port: port,
    Tags: ['mcp', ...options.tag],
    Meta: Object.fromEntries(
      Object.entries(meta).filter((pair): pair is [string, string] => pair[1] !== undefined),
    ),
    Weights: { Passing: options.weight, Warning: 1 },
    Check: {
      Name: `${name} answers`,
      HTTP: `http://${checkHost}:${port}/healthz`,
      Interval: options.interval,
      Timeout: '3s',
      DeregisterCriticalServiceAfter: '10m',
    },
  };
}

/** What the wrapped server inherits: everything but the wrapper's own credentials. */
function childEnvironment(
  all: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(all).filter(
      ([name]) => !/^(?:CONSUL_HTTP_(?:TOKEN|TOKEN_FILE|AUTH)|MCP_ROUTER_.*)$/.test(name),
    ),
  );
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function wholeNumber(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (number >= min && number <= max) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

function append(value: string, all: readonly string[]): readonly string[] {
  return [...all, value];
}

function keyValue(value: string, all: Readonly<Record<string, string>>): Record<string, string> {
  const parts = /^([a-zA-Z0-9_-]{1,128})=(.{0,512})$/.exec(value);
  if (!parts) throw new InvalidArgumentError('Write key=value; keys have letters, digits, "_" and "-".');
  return { ...all, [parts[1] ?? '']: parts[2] ?? '' };
}
