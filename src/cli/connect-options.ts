import { readFileSync } from 'node:fs';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Settings } from '../config/settings.ts';
import { duration } from '../config/values.ts';
import type { Endpoint } from '../model.ts';
import type { Credentials } from '../sidecar/connect/link.ts';
import { UsageError } from './errors.ts';

/** Flags of `connect` that are no settings of the router. */
export interface ConnectFlags {
  readonly header: readonly (readonly [name: string, value: string])[];
  readonly tokenEnv?: string;
  readonly names?: 'portable' | 'dotted';
  readonly timeout: number;
}

const HOUR_MS = 3_600_000;

export function addConnectOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--header <name: value>', 'a further HTTP header, may be repeated')
        .argParser(header)
        .default([], 'none'),
    )
    .option(
      '--token-env <variable>',
      'environment variable with the bearer token (default: MCP_ROUTER_TOKEN)',
    )
    .addOption(
      new Option(
        '--names <kind>',
        'how the router lists names: github__search_code or github.search_code',
      ).choices(['portable', 'dotted']),
    )
    .addOption(
      new Option(
        '--timeout <duration>',
        'longest silence of the server while a request is under way; 0: any. Then the request is cancelled',
      )
        .argParser(silence)
        .default(300_000, '5m'),
    );
}

/** Where to, in a form that can be shown: a query may hold a secret. */
export interface Target {
  readonly endpoint: Endpoint;
  readonly shown: string;
}

/**
 * The server that the command line names, or else the router of the settings.
 * @throws {UsageError}
 */
export function target(text: string | undefined, settings: Settings, names: ConnectFlags['names']): Target {
  const url = text === undefined ? routerUrl(settings.listen) : parseUrl(text);
  if (names !== undefined) url.searchParams.set('names', names);
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  return {
    endpoint: {
      transport: 'streamable-http',
      scheme,
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(url.port || (scheme === 'https' ? 443 : 80)),
      path: `${url.pathname}${url.search}`,
      openapiPath: '',
    },
    shown: `${url.origin}${url.pathname}`,
  };
}

/** A router that listens everywhere is reached on loopback. */
function routerUrl({ host, port }: Settings['listen']): URL {
  if (port === 0) {
    throw new UsageError(
      'MCP_ROUTER_LISTEN lets the system choose the port. Name the URL: mcp-consul-router connect http://127.0.0.1:PORT/mcp',
    );
  }
  const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const near = everywhere[host] ?? host;
  return new URL(`http://${near.includes(':') ? `[${near}]` : near}:${port}/mcp`);
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(
      `${text} is no http:// or https:// URL. Write one such as http://127.0.0.1:8080/mcp.`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError(
      'Credentials in a URL show in the process list. Put a token into a file (--token-file) or a variable (--token-env).',
    );
  }
  return url;
}

/** What goes with every request. A token is never an argument: those show in the process list. */
export function credentials(
  flags: ConnectFlags,
  settings: Settings,
  environment: Readonly<Record<string, string | undefined>>,
): Credentials {
  const fixed = flags.header.flat();
  const tokens = tokenSource(flags.tokenEnv, settings, environment);
  if (!tokens) return { headers: () => fixed, renew: () => false };
  if (flags.header.some(([name]) => name.toLowerCase() === 'authorization')) {
    throw new UsageError('There is a token and a header Authorization. Leave one of them out.');
  }
  let token = tokens();
  return {
    headers: () => [...fixed, 'authorization', `Bearer ${token}`],
    renew() {
      const before = token;
      try {
        token = tokens();
      } catch {
        // A file that is being replaced is read the next time.
      }
      return token !== before;
    },
  };
}

/** @throws {UsageError} where the source holds no token */
function tokenSource(
  variable: string | undefined,
  settings: Settings,
  environment: Readonly<Record<string, string | undefined>>,
): (() => string) | undefined {
  if (variable !== undefined) {
    return () => checked(environment[variable], `The variable ${variable} (--token-env)`);
  }
  const { token, tokenFile } = settings;
  if (tokenFile !== undefined)
    return () => checked(readToken(tokenFile), `The file ${tokenFile} (--token-file)`);
  return token === undefined ? undefined : () => checked(token, 'MCP_ROUTER_TOKEN');
}

function readToken(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(
      `Cannot read ${path} (--token-file): ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** RFC 6750, 2.1, without its alphabet: some tokens have other characters, and all of them must fit a header. */
function checked(text: string | undefined, from: string): string {
  const token = text?.trim() ?? '';
  if (/^[\x21-\x7e]{1,16384}$/.test(token)) return token;
  throw new UsageError(
    token === ''
      ? `${from} holds no token. Put one there, or leave the option out.`
      : `${from} holds something that is no token: it must be one word of ASCII.`,
  );
}

/** Headers that carry the protocol, or the connection. */
const own =
  /^(?:content-type|content-length|accept|host|connection|transfer-encoding|upgrade|te|trailer|expect|keep-alive|last-event-id|mcp-.*)$/;

function header(
  text: string,
  all: readonly (readonly [string, string])[],
): readonly (readonly [string, string])[] {
  const parts = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*:\s*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)$/.exec(
    text,
  );
  const [, name, value] = parts ?? [];
  if (name === undefined || value === undefined) {
    throw new InvalidArgumentError("Write it as 'Name: value', in ASCII.");
  }
  if (own.test(name.toLowerCase())) throw new InvalidArgumentError(`connect sets ${name} itself.`);
  return [...all, [name, value]];
}

function silence(text: string): number {
  const parsed = duration(0, 24 * HOUR_MS).safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(`It ${parsed.error.issues[0]?.message ?? 'is no duration'}.`);
}
