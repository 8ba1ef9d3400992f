import { z } from 'zod';

/**
 * Schemas of single settings. Each accepts what its sources can give: a string (flag, environment, KV) or the
 * native value (YAML, JSON). The sentence of a failure names what would be right.
 */

const truthy = new Set(['1', 'true', 'yes', 'on']);
const falsy = new Set(['0', 'false', 'no', 'off', '']);

export const boolean = () =>
  z.union([z.boolean(), z.string()]).transform((value, context): boolean => {
    if (typeof value === 'boolean') return value;
    const word = value.trim().toLowerCase();
    if (truthy.has(word)) return true;
    if (falsy.has(word)) return false;
    context.issues.push({ code: 'custom', input: value, message: 'must be true or false' });
    return z.NEVER;
  });

/** A whole number within bounds, both ends included. */
export const integer = (min: number, max: number) =>
  z.union([z.number(), z.string()]).transform((value, context): number => {
    const number = typeof value === 'number' ? value : value.trim() === '' ? Number.NaN : Number(value);
    if (Number.isInteger(number) && number >= min && number <= max) return number;
    context.issues.push({
      code: 'custom',
      input: value,
      message: `must be a whole number from ${min} to ${max}`,
    });
    return z.NEVER;
  });

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds; also `250ms`, `10s`, `5m`, `1h`. */
export const duration = (minMs: number, maxMs: number) =>
  z.union([z.number(), z.string()]).transform((value, context): number => {
    const parts = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/.exec(String(value).trim());
    const ms = parts ? Math.round(Number(parts[1]) * (unitMs[parts[2] ?? 'ms'] ?? 1)) : Number.NaN;
    if (ms >= minMs && ms <= maxMs) return ms;
    context.issues.push({
      code: 'custom',
      input: value,
      message: `must be a duration from ${minMs}ms to ${maxMs}ms, such as 500ms, 10s or 5m`,
    });
    return z.NEVER;
  });

const unitBytes: Record<string, number> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** Bytes; also `512k`, `4M`, `1GiB` (powers of 1024). */
export const size = (min: number, max: number) =>
  z.union([z.number(), z.string()]).transform((value, context): number => {
    const parts = /^(\d+)\s*([kmg]?)(?:i?b)?$/i.exec(String(value).trim());
    const bytes = parts ? Number(parts[1]) * (unitBytes[(parts[2] ?? '').toLowerCase()] ?? 1) : Number.NaN;
    if (bytes >= min && bytes <= max) return bytes;
    context.issues.push({
      code: 'custom',
      input: value,
      message: `must be a size from ${min} to ${max} bytes, such as 512k or 4M`,
    });
    return z.NEVER;
  });

/** Comma-separated words, or a list; blanks trimmed, empty words dropped. */
export const list = () =>
  z
    .union([z.string(), z.array(z.string())])
    .transform((value): readonly string[] =>
      (typeof value === 'string' ? value.split(',') : value).map((word) => word.trim()).filter(Boolean),
    );

export const text = () =>
  z.union([z.string(), z.number()]).transform((value, context): string => {
    const word = String(value).trim();
    if (word !== '') return word;
    context.issues.push({ code: 'custom', input: value, message: 'must not be empty' });
    return z.NEVER;
  });

export interface HostPort {
  /** Without brackets. `0.0.0.0` and `::` mean every interface. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** `host:port`, `[v6]:port`, `:port` (every interface) or a bare port (loopback). */
export const hostPort = () =>
  z.union([z.string(), z.number()]).transform((value, context): HostPort => {
    const parts = /^(?:(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]\s]*)):)?(\d{1,5})$/.exec(String(value).trim());
    const port = Number(parts?.[3]);
    if (parts && port <= 65_535) {
      // `:8080` names every interface, as in Go; a bare port is for this machine.
      return { host: parts[1] ?? (parts[2] === undefined ? '127.0.0.1' : parts[2] || '0.0.0.0'), port };
    }
    context.issues.push({
      code: 'custom',
      input: value,
      message: 'must be host:port, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080',
    });
    return z.NEVER;
  });

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.') || host === '::ffff:127.0.0.1';
}

/** A key ring: comma-separated base64 keys of 32 bytes; the first seals, all open. */
export const keyRing = () =>
  z.string().transform((value, context): readonly Uint8Array[] => {
    const keys: Uint8Array[] = [];
    for (const word of value.split(',').map((part) => part.trim())) {
      if (word === '') continue;
      const bytes = /^[A-Za-z0-9+/_-]+={0,2}$/.test(word) ? Buffer.from(word, 'base64') : Buffer.alloc(0);
      if (bytes.length !== 32) {
        // The value itself must not be shown: it is a secret.
        context.issues.push({
          code: 'custom',
          input: '(secret)',
          message:
            'each key must be 32 bytes in base64; make one with: node -p "crypto.randomBytes(32).toString(\'base64\')"',
        });
        return z.NEVER;
      }
      keys.push(new Uint8Array(bytes));
    }
    if (keys.length > 0) return keys;
    context.issues.push({ code: 'custom', input: '(secret)', message: 'must hold at least one key' });
    return z.NEVER;
  });

/** An absolute http(s) URL without query and fragment; no slash at its end. */
export const baseUrl = () =>
  z.string().transform((value, context): string => {
    const word = value.trim();
    if (URL.canParse(word)) {
      const { protocol, search, hash, username } = new URL(word);
      if (/^https?:$/.test(protocol) && search === '' && hash === '' && username === '')
        return word.replace(/\/+$/, '');
    }
    context.issues.push({
      code: 'custom',
      input: value,
      message: 'must be a URL such as https://mcp.example.com, without query or fragment',
    });
    return z.NEVER;
  });

export const authMethods = ['none', 'token', 'key', 'certificate'] as const;
export type AuthMethod = (typeof authMethods)[number];

/** Ways to prove who calls; a list. */
export const authMethodList = () =>
  list().transform((words, context): readonly AuthMethod[] => {
    const known = authMethods.filter((method) => words.includes(method));
    if (known.length > 0 && words.every((word) => (authMethods as readonly string[]).includes(word)))
      return known;
    context.issues.push({
      code: 'custom',
      input: words,
      message: `must be one or several of ${authMethods.join(', ')}, separated by commas`,
    });
    return z.NEVER;
  });

const issuer = z.strictObject({
  issuer: z.url('must be the URL of an issuer, as it stands in its tokens'),
  jwksUri: z.url().optional(),
  audiences: z.array(z.string()).optional(),
  groupsClaim: z.string().min(1).optional(),
  introspection: z
    .strictObject({ clientId: z.string().min(1), clientSecretFile: z.string().min(1) })
    .optional(),
});

export type IssuerSetting = z.output<typeof issuer>;

/** Authorization servers: URLs separated by commas; or a list of URLs and objects, in a variable as JSON. */
export const issuerList = () =>
  z
    .preprocess(
      (value) =>
        typeof value === 'string'
          ? (jsonList(value) ??
            value
              .split(',')
              .map((word) => word.trim())
              .filter(Boolean))
          : value,
      z.array(
        z.preprocess((one) => (typeof one === 'string' ? { issuer: one } : one), issuer),
        'must be URLs separated by commas, or a list of objects with issuer, jwksUri, audiences, groupsClaim, introspection',
      ),
    )
    .transform((issuers): readonly IssuerSetting[] => issuers);

function jsonList(text: string): unknown {
  if (!text.trim().startsWith('[')) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
