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
