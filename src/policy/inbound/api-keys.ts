import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Identity } from '../../model.ts';
import { readDocument, type ReadDocument, type Source } from '../document.ts';
import { identityDigest } from './verified-token.ts';

/**
 * API keys. A key is 256 random bits, so its plain SHA-256 is at rest: there is nothing to guess, and a slow hash
 * (scrypt, argon2) would only let a flood of wrong keys take the processor. That is why keys are made by
 * {@link newApiKey} and never chosen by people.
 */

/** Tells keys from tokens, and lets scanners find a lost one. */
const PREFIX = 'mcr_';
const KEY = /^mcr_[A-Za-z0-9_-]{43}$/;

const date = z
  .union([z.string(), z.date()])
  .refine((value) => !Number.isNaN(new Date(value).getTime()), 'must be a date such as 2027-01-31')
  .transform((value) => new Date(value).getTime());

const entrySchema = z.strictObject({
  name: z
    .string('must be a text')
    .regex(/^[\w.@/-]{1,128}$/, 'must be 1 to 128 of letters, digits and . _ - @ /'),
  /** Of the whole key, prefix included; hex. */
  sha256: z
    .string('must be a text')
    .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex, as `keys new` prints it'),
  groups: z.array(z.string()).default([]),
  scopes: z.array(z.string()).default([]),
  claims: z.record(z.string(), z.unknown()).default({}),
  notBefore: date.optional(),
  expires: date.optional(),
  /** False: kept on record, not taken. */
  enabled: z.boolean().default(true),
});

export const apiKeysSchema = z.strictObject({
  keys: z
    .array(entrySchema)
    .default([])
    .superRefine((keys, context) => {
      for (const field of ['name', 'sha256'] as const) {
        const seen = new Set<string>();
        for (const [at, entry] of keys.entries()) {
          if (seen.has(entry[field])) {
            context.addIssue({ code: 'custom', path: [at, field], message: 'stands at another key, too' });
          }
          seen.add(entry[field]);
        }
      }
    }),
});

export type ApiKeyEntry = z.output<typeof entrySchema>;

export function readApiKeys(source: Source): ReadDocument<{ readonly keys: readonly ApiKeyEntry[] }> {
  return readDocument(apiKeysSchema, source);
}

export interface NewApiKey {
  /** To be shown once and kept by its owner. */
  readonly key: string;
  /** To be kept by the router. */
  readonly sha256: string;
}

export function newApiKey(): NewApiKey {
  const key = PREFIX + randomBytes(32).toString('base64url');
  return { key, sha256: hash(key) };
}

/** Has the form of a key; says nothing of whether it is one. */
export function looksLikeApiKey(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** The keys that are taken now. */
export class ApiKeys {
  readonly #wallClock: () => number;
  #byName: ReadonlyMap<string, ApiKeyEntry> = new Map();
  #byHash: ReadonlyMap<string, { readonly entry: ApiKeyEntry; readonly identity: Identity }> = new Map();

  constructor(wallClock: () => number) {
    this.#wallClock = wallClock;
  }

  get size(): number {
    return this.#byHash.size;
  }

  replace(entries: readonly ApiKeyEntry[]): void {
    this.#byName = new Map(entries.map((entry) => [entry.name, entry]));
    this.#byHash = new Map(entries.map((entry) => [entry.sha256, { entry, identity: identityOf(entry) }]));
  }

  /** Undefined for every reason alike. A look-up by hash tells nothing of a key by the time that it takes. */
  find(key: string): Identity | undefined {
    if (!KEY.test(key)) return undefined;
    const found = this.#byHash.get(hash(key));
    return found && this.#isValid(found.entry) ? found.identity : undefined;
  }

  /** Whether a key of this name would be taken now. */
  has(name: string): boolean {
    const entry = this.#byName.get(name);
    return entry !== undefined && this.#isValid(entry);
  }

  #isValid({ enabled, notBefore, expires }: ApiKeyEntry): boolean {
    const now = this.#wallClock();
    return enabled && (notBefore ?? now) <= now && (expires === undefined || now < expires);
  }
}

function identityOf({ name, groups, scopes, claims }: ApiKeyEntry): Identity {
  return {
    subject: name,
    method: 'api-key',
    digest: identityDigest('api-key', name),
    key: name,
    groups,
    scopes,
    claims,
  };
}

function hash(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
