import type { Endpoint, Problem, ServiceSettings, Transport } from '../model.ts';

/** Settings that an instance's meta gives, each with its default where the meta is silent or wrong. */
export interface MetaSettings {
  readonly service: ServiceSettings;
  readonly endpoint: Pick<Endpoint, 'transport' | 'scheme' | 'path' | 'openapiPath'> & {
    readonly tlsServerName?: string;
  };
  readonly version?: string;
  readonly problems: readonly Problem[];
}

const keys = [
  'mcp-path',
  'mcp-transport',
  'mcp-scheme',
  'mcp-tls-server-name',
  'mcp-namespace',
  'mcp-group',
  'mcp-version',
  'mcp-session',
  'mcp-balance',
  'mcp-timeout-ms',
  'mcp-max-concurrency',
  'mcp-tools-allow',
  'mcp-tools-deny',
  'mcp-credential',
  'mcp-openapi',
] as const;
type Key = (typeof keys)[number];

const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_TIMEOUT_MS = 24 * 3600 * 1000;

/**
 * Reads `mcp-*` meta. `mcp_path` is accepted for `mcp-path` (systems that can't write dashes); the dash wins. A
 * wrong value never takes the service down: the default is used and the problem is kept.
 */
export function readMeta(meta: Readonly<Record<string, string>>, serviceName: string): MetaSettings {
  const reader = new Reader(meta);
  const transport = reader.oneOf<Transport>(
    'mcp-transport',
    ['streamable-http', 'sse', 'openapi'],
    'streamable-http',
  );
  const scheme = reader.oneOf('mcp-scheme', ['http', 'https'], 'http');
  const path = reader.path('mcp-path', transport === 'sse' ? '/sse' : '/mcp');
  const openapiPath = reader.path('mcp-openapi', '/openapi.json');
  const tlsServerName = reader.word('mcp-tls-server-name', /^[A-Za-z0-9.-]{1,253}$/, 'a host name');
  const group = reader.word(
    'mcp-group',
    /^[A-Za-z0-9_.-]{1,64}$/,
    'up to 64 letters, digits, ".", "_" or "-"',
  );
  const version = reader.word('mcp-version', /^[\x20-\x7e]{1,64}$/, 'up to 64 printable characters');
  const credential = reader.word('mcp-credential', /^[A-Za-z0-9_.-]{1,64}$/, 'the name of a credential');
  const namespace = reader.word('mcp-namespace', /^.{1,64}$/u, 'up to 64 characters') ?? serviceName;
  const session = reader.oneOf('mcp-session', ['stateful', 'stateless'], 'stateful');
  const balance = session === 'stateless' ? 'p2c' : 'rendezvous';
  const settings: ServiceSettings = {
    namespace,
    session,
    balance: reader.oneOf('mcp-balance', ['p2c', 'weighted', 'rendezvous'], balance),
    timeoutMs: reader.number('mcp-timeout-ms', 1, MAX_TIMEOUT_MS, DEFAULT_TIMEOUT_MS),
    maxConcurrency: reader.number('mcp-max-concurrency', 0, 1_000_000, 0),
    toolsAllow: reader.list('mcp-tools-allow'),
    toolsDeny: reader.list('mcp-tools-deny'),
    ...(group !== undefined && { group }),
    ...(credential !== undefined && { credential }),
  };
  reader.reportUnknown();
  return {
    service: settings,
    endpoint: { transport, scheme, path, openapiPath, ...(tlsServerName !== undefined && { tlsServerName }) },
    ...(version !== undefined && { version }),
    problems: reader.problems,
  };
}

class Reader {
  readonly problems: Problem[] = [];
  readonly #meta: Readonly<Record<string, string>>;

  constructor(meta: Readonly<Record<string, string>>) {
    this.#meta = meta;
  }

  oneOf<Value extends string>(key: Key, values: readonly Value[], preset: Value): Value {
    const value = this.#get(key);
    if (value === undefined) return preset;
    const known = values.find((word) => word === value.toLowerCase());
    return known ?? this.#wrong(key, value, values.map((word) => `"${word}"`).join(' or '), preset);
  }

  word(key: Key, form: RegExp, wanted: string): string | undefined {
    const value = this.#get(key);
    if (value === undefined || form.test(value)) return value;
    return this.#wrong(key, value, wanted, undefined);
  }

  number(key: Key, min: number, max: number, preset: number): number {
    const value = this.#get(key);
    if (value === undefined) return preset;
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (number >= min && number <= max) return number;
    return this.#wrong(key, value, `a whole number from ${min} to ${max}`, preset);
  }

  list(key: Key): readonly string[] {
    return (this.#get(key) ?? '')
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }

  path(key: Key, preset: string): string {
    const value = this.#get(key);
    if (value === undefined) return preset;
    // Printable ASCII that may stand in a request line: it goes on the wire as it is.
    if (/^\/[\x21-\x7e]*$/.test(value) && !value.includes('#')) return value;
    return this.#wrong(key, value, 'a path that begins with "/" and is percent-encoded', preset);
  }

  reportUnknown(): void {
    for (const key of Object.keys(this.#meta)) {
      if (!/^mcp[-_]/.test(key)) continue;
      const dashed = key.replaceAll('_', '-');
      if ((keys as readonly string[]).includes(dashed)) {
        const both =
          dashed !== key && this.#meta[dashed] !== undefined && this.#meta[dashed] !== this.#meta[key];
        if (both)
          this.#report('META_TWICE', key, `${key} and ${dashed} differ; ${dashed} is used. Remove one.`);
        continue;
      }
      this.#report('META_UNKNOWN', key, `${key} is no setting and is ignored. Known: ${keys.join(', ')}.`);
    }
  }

  /** Undefined for what is missing or blank. */
  #get(key: Key): string | undefined {
    const value = (this.#meta[key] ?? this.#meta[key.replaceAll('-', '_')])?.trim();
    return value === '' ? undefined : value;
  }

  #wrong<Value>(key: Key, value: string, wanted: string, preset: Value): Value {
    const instead = preset === undefined ? 'It is ignored' : `${JSON.stringify(preset)} is used instead`;
    this.#report(
      'META_INVALID',
      key,
      `${key} is ${JSON.stringify(value)} and must be ${wanted}. ${instead}; mend the registration.`,
    );
    return preset;
  }

  #report(code: string, subject: string, message: string): void {
    this.problems.push({ code, subject, message });
  }
}
