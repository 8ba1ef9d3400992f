import type { Clock } from '../model.ts';

/** A change is answered at once, and so is the next. */
const BURST = 2;
/** After the burst, changes that come without pause are fetched this often. */
const CHANGED_MS = 100;
/** Wakes for nothing (somebody else's service) slow down to this. */
const UNCHANGED_MAX_MS = 1000;
/** A server that does not block at all slows down to this (HashiCorp, blocking queries: rate limiting). */
const NOT_BLOCKING_MAX_MS = 15_000;
/** An answer that took longer than this was waited for. */
const INSTANT_MS = 50;

/**
 * How long to wait between two blocking queries, so that neither a busy catalog nor a server that answers at
 * once makes a busy loop: a token bucket whose refill slows down while answers bring nothing.
 */
export class Pace {
  readonly #now: Clock;
  #tokens = BURST;
  #refillMs = CHANGED_MS;
  #refilledAt: number;

  constructor(now: Clock) {
    this.#now = now;
    this.#refilledAt = now();
  }

  /** Says how an answer was; gives the milliseconds to wait before the next query. */
  next(answer: { readonly tookMs: number; readonly changed: boolean; readonly sameIndex: boolean }): number {
    if (answer.changed) this.#refillMs = CHANGED_MS;
    else if (answer.tookMs < INSTANT_MS) {
      const most = answer.sameIndex ? NOT_BLOCKING_MAX_MS : UNCHANGED_MAX_MS;
      this.#refillMs = Math.min(most, this.#refillMs * 2);
    } else if (answer.sameIndex) this.#refillMs = CHANGED_MS;
    return this.#take();
  }

  #take(): number {
    const now = this.#now();
    const gained = Math.floor((now - this.#refilledAt) / this.#refillMs);
    if (gained > 0) {
      this.#tokens = Math.min(BURST, this.#tokens + gained);
      this.#refilledAt = now;
    }
    if (this.#tokens > 0) {
      this.#tokens--;
      return 0;
    }
    return Math.max(0, this.#refilledAt + this.#refillMs - now);
  }
}
