import { randomUUID } from 'node:crypto';
import { RouterError } from '../errors.ts';
import type { Clock } from '../model.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import type { HostedSession } from './host.ts';

export interface SessionsOptions {
  readonly maxSessions: number;
  /** A session without traffic ends after this. */
  readonly idleMs: number;
  /** When all are taken, one that was idle for this long makes room. */
  readonly evictAfterMs: number;
  readonly now: Clock;
}

export interface Entry {
  readonly session: HostedSession;
  lastSeenAt: number;
  stream: HttpStream | undefined;
}

/** A place for a session that is being opened. */
export interface Seat {
  readonly id: string;
  take(session: HostedSession): void;
  /** The session did not come about, or is over. */
  free(): void;
}

/** The client sessions, bounded in number and idleness: most clients never say goodbye. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #entries = new Map<string, Entry>();
  /** Ids of sessions that are being opened: they count, or many at once would pass the limit. */
  readonly #opening = new Set<string>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** No session can be opened now. */
  get full(): boolean {
    return this.#taken >= this.#options.maxSessions && this.#evictable() === undefined;
  }

  /** @throws {RouterError} OVERLOADED */
  reserve(): Seat {
    if (this.#taken >= this.#options.maxSessions) {
      const idle = this.#evictable();
      if (idle === undefined) {
        throw new RouterError(
          'OVERLOADED',
          `All ${this.#options.maxSessions} sessions are taken (--max-sessions). Try again later.`,
          { retryAfterMs: 5000 },
        );
      }
      this.end(idle, sessionOver('Others needed the place of this idle session.'));
    }
    const id = randomUUID();
    this.#opening.add(id);
    return {
      id,
      take: (session) => {
        this.#opening.delete(id);
        this.#entries.set(id, { session, lastSeenAt: this.#options.now(), stream: undefined });
      },
      free: () => {
        this.#opening.delete(id);
        const entry = this.#entries.get(id);
        this.#entries.delete(id);
        entry?.stream?.end();
      },
    };
  }

  /** @throws {RouterError} SESSION_NOT_FOUND */
  find(id: string): Entry {
    const entry = this.#entries.get(id);
    if (!entry)
      throw new RouterError('SESSION_NOT_FOUND', 'This session is unknown or over. Initialize again.');
    entry.lastSeenAt = this.#options.now();
    return entry;
  }

  /** Requests under way are answered with the error. */
  end(id: string, error: RouterError): void {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    entry?.session.close(error);
    entry?.stream?.end();
  }

  endAll(error: RouterError): void {
    for (const id of this.#entries.keys()) this.end(id, error);
  }

  /** Ends what has been idle for too long. To be called now and then. */
  sweep(): void {
    const now = this.#options.now();
    for (const [id, entry] of this.#entries) {
      if (inUse(entry)) entry.lastSeenAt = now;
      else if (now - entry.lastSeenAt > this.#options.idleMs) this.end(id, sessionOver('It was idle.'));
    }
  }

  get #taken(): number {
    return this.#entries.size + this.#opening.size;
  }

  /** The one that was idle the longest, if it was idle for long enough. */
  #evictable(): string | undefined {
    let found: string | undefined;
    let oldest = this.#options.now() - this.#options.evictAfterMs;
    for (const [id, entry] of this.#entries) {
      if (inUse(entry) || entry.lastSeenAt > oldest) continue;
      found = id;
      oldest = entry.lastSeenAt;
    }
    return found;
  }
}

/** However long its last request is ago. */
function inUse(entry: Entry): boolean {
  return entry.stream !== undefined || entry.session.busy;
}

export function sessionOver(why: string): RouterError {
  return new RouterError('BACKEND_SESSION_LOST', `The session has ended. ${why}`);
}
