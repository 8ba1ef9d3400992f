import { hostname } from 'node:os';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { duration } from '../config/values.ts';
import type { ServiceDefinition } from '../discovery/registration.ts';
import { serviceName } from '../sidecar/service-name.ts';

/** Flags that become service meta, by the attribute that commander makes of them. */
const metaFlags = {
  namespace: { flag: '--namespace <name>', meta: 'mcp-namespace', doc: 'what stands before the tool names' },
  group: { flag: '--group <name>', meta: 'mcp-group', doc: 'services with equal tools share one tool set' },
  serviceVersion: {
    flag: '--service-version <version>',
    meta: 'mcp-version',
    doc: 'shown, and usable in canary weights',
  },
  session: {
    flag: '--session <kind>',
    meta: 'mcp-session',
    doc: 'stateful, or stateless: any instance may serve any call',
    parse: oneOf('stateful', 'stateless'),
  },
  balance: {
    flag: '--balance <policy>',
    meta: 'mcp-balance',
    doc: 'how an instance is chosen: p2c, weighted or rendezvous',
    parse: oneOf('p2c', 'weighted', 'rendezvous'),
  },
  timeoutMs: {
    flag: '--timeout-ms <ms>',
    meta: 'mcp-timeout-ms',
    doc: 'longest silence of a call',
    parse: wholeNumberText(1, 86_400_000),
  },
  maxConcurrency: {
    flag: '--max-concurrency <n>',
    meta: 'mcp-max-concurrency',
    doc: 'calls at a time',
    parse: wholeNumberText(0, 1_000_000),
  },
  toolsAllow: { flag: '--tools-allow <globs>', meta: 'mcp-tools-allow', doc: 'tools that are shown' },
  toolsDeny: { flag: '--tools-deny <globs>', meta: 'mcp-tools-deny', doc: 'tools that are not shown' },
  credential: {
    flag: '--credential <name>',
    meta: 'mcp-credential',
    doc: "a credential in the router's settings, by its name",
  },
} as const satisfies Record<
  string,
  { flag: string; meta: string; doc: string; parse?: (value: string) => string }
>;

type MetaOptions = { readonly [Name in keyof typeof metaFlags]?: string };

/** Flags of `run` that are no settings of the router. */
export interface RunOptions extends MetaOptions {
  readonly name?: string;
  readonly id?: string;
  readonly port: number;
  readonly listenHost: string;
  readonly address?: string;
  readonly checkHost?: string;
  readonly path: string;
  readonly perSession?: true;
  readonly maxSessions?: number;
  readonly idle: number;
  readonly startTimeout: number;
  readonly tag: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly weight: number;
  readonly interval: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

export function addRunOptions(command: Command): Command {
  const registration = (option: Option): Option => option.helpGroup('Registration:');
  command
    .option('--port <port>', 'port to listen on; 0 lets the system choose', wholeNumber(0, 65_535), 0)
    .option('--listen-host <host>', 'address to listen on', '127.0.0.1')
    .option('--path <path>', 'where MCP is spoken', '/mcp')
    .option(
      '--per-session',
      'a child for each client session: full fidelity (sampling, elicitation, roots), more memory',
    )
    .option(
      '--max-sessions <n>',
      'client sessions at a time (default: 1000, or 50 with --per-session)',
      wholeNumber(1, 1_000_000),
    )
    .option('--idle <seconds>', 'a session without traffic ends after this', wholeNumber(1, 604_800), 3600)
    .addOption(
      new Option(
        '--start-timeout <duration>',
        'how long the server may take to answer initialize; npx may have to fetch it first',
      )
        .argParser(milliseconds(100, HOUR_MS))
        .default(MINUTE_MS, '1m'),
    );
  const options = [
    new Option('--name <name>', 'service name in Consul (default: what the command runs)'),
    new Option('--id <id>', 'service id in Consul (default: name, host and port)'),
    new Option('--address <address>', 'address to register (default: the address listened on, if it is one)'),
    new Option(
      '--check-host <host>',
      'where Consul reaches /healthz (default: the address listened on, or loopback)',
    ),
    new Option('--interval <duration>', 'how often Consul checks it')
      .argParser(milliseconds(100, HOUR_MS))
      .default(5000, '5s'),
    new Option('--weight <n>', "Consul's weight when passing").argParser(wholeNumber(1, 65_535)).default(1),
    new Option('--tag <tag>', 'a further tag, may be repeated').argParser(append).default([], 'none'),
    ...Object.values(metaFlags).map(({ flag, meta, doc, ...rest }) => {
      const option = new Option(flag, `${meta}: ${doc}`);
      return 'parse' in rest ? option.argParser(rest.parse) : option;
    }),
    new Option('--meta <key=value>', 'further service meta, may be repeated')
      .argParser(keyValue)
      .default({}, 'none'),
  ];
  for (const option of options) command.addOption(registration(option));
  return command;
}

/** What is run, and how it came up. */
export interface Served {
  readonly command: string;
  readonly args: readonly string[];
  readonly port: number;
  /** The tag that makes a service one of MCP. */
  readonly tag: string;
  /** It can take work now: the check need not run first. */
  readonly healthy: boolean;
}

/** The registration: the meta that the flags give, and a check on `/healthz`. */
export function definition(options: RunOptions, served: Served): ServiceDefinition {
  const { port } = served;
  const name = options.name ?? serviceName(served.command, served.args);
  const everywhere = options.listenHost === '0.0.0.0' || options.listenHost === '::';
  const checkHost = bracketed(options.checkHost ?? (everywhere ? '127.0.0.1' : options.listenHost));
  return {
    ID: options.id ?? `${name}-${hostname()}-${port}`,
    Name: name,
    // Empty: the node's own address, right for a server that listens everywhere.
    Address: options.address ?? (everywhere ? '' : options.listenHost),
    Port: port,
    Tags: [served.tag, ...options.tag],
    Meta: meta(options),
    Weights: { Passing: options.weight, Warning: 1 },
    Check: {
      Name: `${name} answers`,
      HTTP: `http://${checkHost}:${port}/healthz`,
      Interval: `${options.interval}ms`,
      Timeout: '3s',
      // Without it Consul waits for the first check, up to an interval.
      Status: served.healthy ? 'passing' : 'critical',
      DeregisterCriticalServiceAfter: '10m',
    },
  };
}

function meta(options: RunOptions): Record<string, string> {
  const found: Record<string, string> = options.path === '/mcp' ? {} : { 'mcp-path': options.path };
  for (const [attribute, { meta: key }] of Object.entries(metaFlags)) {
    const value = options[attribute as keyof typeof metaFlags];
    if (value !== undefined) found[key] = value;
  }
  return { ...found, ...options.meta };
}

export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function wholeNumber(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (number >= min && number <= max) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

function wholeNumberText(min: number, max: number): (value: string) => string {
  return (value) => String(wholeNumber(min, max)(value));
}

function milliseconds(min: number, max: number): (value: string) => number {
  const schema = duration(min, max);
  return (value) => {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw new InvalidArgumentError(`It ${parsed.error.issues[0]?.message ?? 'is no duration'}.`);
  };
}

function oneOf(...words: readonly string[]): (value: string) => string {
  return (value) => {
    if (words.includes(value)) return value;
    throw new InvalidArgumentError(`It must be ${words.join(' or ')}.`);
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
