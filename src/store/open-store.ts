import type { Clock, Log, Random } from '../model.ts';
import { DegradingStore } from './degrading.ts';
import { MemoryStore } from './memory.ts';
import type { RedisTarget } from './redis-link.ts';
import type { EventBounds, Sealing, Store } from './store.ts';

export type StoreTarget = { readonly kind: 'memory' } | ({ readonly kind: 'redis' } & RedisTarget);

export interface StoreOptions {
  /** How long a client session may be idle. */
  readonly sessionIdleMs: number;
  readonly sealing: Sealing;
  readonly log: Log;
  readonly now: Clock;
  readonly random: Random;
  readonly onFailure: (operation: string) => void;
}

const DEADLINE_MS = 250;
/** A session is touched at least every quarter of its idle time; and whoever drops it must still find it. */
const SLACK_MS = 60_000;
const EVENTS: EventBounds = { maxEvents: 1000, maxBytes: 4 << 20, maxAgeMs: 5 * 60_000 };

/** @throws {RouterError} WRONG_SETTINGS where a PEM file can't be read. */
export function openStore(target: StoreTarget, { sessionIdleMs, ...options }: StoreOptions): Store {
  const sessionTtlMs = 2 * sessionIdleMs + SLACK_MS;
  const memory = { sessionTtlMs, events: EVENTS, now: options.now };
  return target.kind === 'memory'
    ? new MemoryStore(memory)
    : new DegradingStore({ ...options, ...memory, target, deadlineMs: DEADLINE_MS });
}
