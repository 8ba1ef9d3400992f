import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../model.ts';
import { MemoryEvents } from './memory-events.ts';
import { MemorySessions } from './memory-sessions.ts';
import type { Asked, EventBounds, Holder, ReplicaId, Store, Values } from './store.ts';

export interface MemoryOptions {
  /** Of a session that nobody touches. */
  readonly sessionTtlMs: number;
  readonly events: EventBounds;
  readonly now: Clock;
}

const MAX_SESSION_BYTES = 64 << 20;
const MAX_EVENT_BYTES = 64 << 20;
const MAX_VALUE_BYTES = 16 << 20;
const ENTRY_BYTES = 100;

/** A store that is shared with nobody: all of it ends with the process. */
export class MemoryStore implements Store {
  readonly sessions: MemorySessions;
  readonly holder: MemoryHolder;
  readonly events: MemoryEvents;
  readonly values: MemoryValues;
  readonly limiterClient = undefined;
  readonly shared = false;

  constructor({ sessionTtlMs, events: bounds, now }: MemoryOptions) {
    this.sessions = new MemorySessions({ maxBytes: MAX_SESSION_BYTES, ttlMs: sessionTtlMs, now });
    this.holder = new MemoryHolder();
    this.events = new MemoryEvents({ maxTotalBytes: MAX_EVENT_BYTES, bounds, now });
    this.values = new MemoryValues(now);
  }

  /** What others may have changed by now; events are this replica's own. */
  clear(): void {
    this.sessions.clear();
    this.values.clear();
  }

  onReturn(): void {
    // It is never lost.
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

/** Knows nobody but itself. */
export class MemoryHolder implements Holder {
  readonly id = randomBytes(16).toString('base64url') as ReplicaId;
  #answer: ((question: string) => Promise<string>) | undefined;

  ask(replica: ReplicaId, question: string, timeoutMs: number): Promise<Asked> {
    const answer = this.#answer;
    if (replica !== this.id || !answer) return Promise.resolve({ kind: 'gone' });
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve({ kind: 'no-answer' }), timeoutMs);
      void this.answer(question)
        .then((text): Asked => ({ kind: 'answered', answer: text }))
        .catch((): Asked => ({ kind: 'no-answer' }))
        .then(resolve)
        .finally(() => clearTimeout(timer));
    });
  }

  serve(answer: (question: string) => Promise<string>): void {
    this.#answer = answer;
  }

  /** Rejects where answering fails or nobody serves. */
  async answer(question: string): Promise<string> {
    if (!this.#answer) throw new Error('nobody serves here');
    return this.#answer(question);
  }
}

class MemoryValues implements Values {
  readonly #kept: LRUCache<string, string>;

  constructor(now: Clock) {
    this.#kept = new LRUCache({
      maxSize: MAX_VALUE_BYTES,
      sizeCalculation: (text, key) => ENTRY_BYTES + key.length + text.length,
      perf: { now },
    });
  }

  get(key: string): Promise<string | undefined> {
    return Promise.resolve(this.#kept.get(key));
  }

  put(key: string, text: string, ttlMs: number): Promise<void> {
    if (ttlMs > 0) this.#kept.set(key, text, { ttl: ttlMs });
    return Promise.resolve();
  }

  take(key: string): Promise<string | undefined> {
    const text = this.#kept.get(key);
    this.#kept.delete(key);
    return Promise.resolve(text);
  }

  clear(): void {
    this.#kept.clear();
  }
}
