import { LRUCache } from 'lru-cache';
import type { Clock } from '../model.ts';
import type { KeptSession, SharedSessions } from './store.ts';

export interface MemorySessionsOptions {
  readonly maxBytes: number;
  /** Of a session that nobody touches. */
  readonly ttlMs: number;
  readonly now: Clock;
}

/** An entry's own cost, whatever is in it. */
const ENTRY_BYTES = 200;

/** One replica's own memory: no other one is there to change anything. */
export class MemorySessions implements SharedSessions {
  readonly #ttlMs: number;
  readonly #kept: LRUCache<string, KeptSession>;

  constructor({ maxBytes, ttlMs, now }: MemorySessionsOptions) {
    this.#ttlMs = ttlMs;
    this.#kept = new LRUCache({ maxSize: maxBytes, sizeCalculation: sizeOf, ttl: ttlMs, perf: { now } });
  }

  all(session: string): Promise<KeptSession> {
    return Promise.resolve(this.#kept.get(session) ?? { kind: 'kept', fields: new Map() });
  }

  get(session: string, field: string): Promise<string | undefined> {
    return Promise.resolve(this.#fields(session).get(field));
  }

  add(session: string, field: string, text: string): Promise<string> {
    const fields = this.#fields(session);
    const stands = fields.get(field) ?? text;
    if (this.#kept.get(session)?.kind !== 'ended') {
      this.#kept.set(session, { kind: 'kept', fields: new Map([...fields, [field, stands]]) });
    }
    return Promise.resolve(stands);
  }

  remove(session: string, field: string, text: string): Promise<void> {
    const fields = new Map(this.#fields(session));
    if (fields.get(field) === text && fields.delete(field)) {
      this.#kept.set(session, { kind: 'kept', fields }, { ttl: this.#kept.getRemainingTTL(session) });
    }
    return Promise.resolve();
  }

  touch(session: string, fields: readonly string[]): Promise<readonly string[]> {
    const kept = this.#kept.get(session);
    if (kept?.kind === 'ended') return Promise.resolve([]);
    if (kept) this.#kept.set(session, kept, { ttl: this.#ttlMs });
    return Promise.resolve(fields.filter((field) => !kept?.fields.has(field)));
  }

  end(session: string, rememberMs: number): Promise<ReadonlyMap<string, string>> {
    const fields = this.#fields(session);
    this.#kept.set(session, { kind: 'ended' }, { ttl: rememberMs });
    return Promise.resolve(fields);
  }

  drop(session: string): Promise<ReadonlyMap<string, string>> {
    const fields = this.#fields(session);
    if (this.#kept.get(session)?.kind === 'kept') this.#kept.delete(session);
    return Promise.resolve(fields);
  }

  clear(): void {
    this.#kept.clear();
  }

  onChange(): void {
    // Nobody else is there.
  }

  #fields(session: string): ReadonlyMap<string, string> {
    const kept = this.#kept.get(session);
    return kept?.kind === 'kept' ? kept.fields : new Map<string, string>();
  }
}

function sizeOf(kept: KeptSession, session: string): number {
  let bytes = ENTRY_BYTES + session.length;
  if (kept.kind === 'kept') for (const [field, text] of kept.fields) bytes += field.length + text.length;
  return bytes;
}
