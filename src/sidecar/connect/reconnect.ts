import type { Clock, Random } from '../../model.ts';
import type { SseEvent } from '../../relay/sse.ts';
import type { ConnectLimits } from './limits.ts';

const HEADER_SAFE = /^[\t\x20-\x7e\u{80}-\u{10ffff}]{1,4096}$/u;

/** How far a stream was heard; outlives the connections that it comes over. */
export class Cursor {
  /** Undefined where the server gave no ids, and the stream can't be resumed. */
  lastEventId: string | undefined;
  /** What the server asked for, in milliseconds (2025-11-25, transports: sending messages, 6). */
  retryMs: number | undefined;

  heard(event: SseEvent): void {
    // An empty id takes the former one back (HTML standard, 9.2.6); one that fits no header can't be sent back.
    if (event.id !== undefined) this.lastEventId = HEADER_SAFE.test(event.id) ? event.id : undefined;
    if (event.retry !== undefined) this.retryMs = event.retry;
  }

  /** Header pairs that resume the stream; undefined where it can't be. */
  get resumption(): readonly string[] | undefined {
    if (this.lastEventId === undefined) return undefined;
    // Headers are bytes: UTF-8, given as Latin-1 (HTML standard, 9.2.3).
    return ['last-event-id', Buffer.from(this.lastEventId).toString('latin1')];
  }
}

/** Longest pause that a server can ask for. */
const MAX_ASKED_MS = 3_600_000;

/** The pauses between tries: what the server asked for, and on failures exponential with jitter on top. */
export class Pauses {
  readonly #limits: ConnectLimits;
  readonly #now: Clock;
  readonly #random: Random;
  /** Pauses since the stream was last open. */
  #tries = 0;
  #level = 0;
  #openedAt: number | undefined;

  constructor(limits: ConnectLimits, now: Clock, random: Random) {
    this.#limits = limits;
    this.#now = now;
    this.#random = random;
  }

  /** The stream is open. True: it could not be opened for a while, and the server may have said things meanwhile. */
  opened(): boolean {
    const outage = this.#tries > 1;
    this.#tries = 0;
    this.#openedAt = this.#now();
    return outage;
  }

  /** Milliseconds until the next try. */
  next(askedMs: number | undefined): number {
    const { retryMinMs, retryMaxMs, stableMs } = this.#limits;
    const wasOpen = this.#openedAt !== undefined;
    // Closing after each event is how some servers spare connections: they say when to come again.
    const healthy = wasOpen && (askedMs !== undefined || this.#now() - (this.#openedAt ?? 0) >= stableMs);
    if (healthy) this.#level = 0;
    this.#openedAt = undefined;
    this.#tries++;
    const asked = Math.min(MAX_ASKED_MS, askedMs ?? 0);
    if (wasOpen && askedMs !== undefined) return asked;
    return asked + Math.min(retryMaxMs, retryMinMs * 2 ** this.#level++) * this.#random();
  }
}
