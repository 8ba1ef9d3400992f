import { LRUCache } from 'lru-cache';
import { RouterError } from '../errors.ts';
import type { Clock } from '../model.ts';
import { ClientSession, type ClientSessionParts } from './client-session.ts';
import type { Scope } from './scope.ts';
import {
  newSessionId,
  type SealedSessionId,
  type Sealer,
  type SessionId,
  type SessionSeal,
} from './sealed-id.ts';

export interface ClientSessionsOptions extends ClientSessionParts {
  readonly sealer: Sealer;
  readonly maxSessions: number;
  readonly idleMs: number;
  readonly maxAgeMs: number;
  /** Milliseconds since 1970, for `issuedAt`. */
  readonly wallClock: Clock;
  /** For idleness. */
  readonly now: Clock;
}

/** Ended sessions are remembered so that their ids, still valid by their seal, don't come back to life. */
const MAX_ENDED = 100_000;

/**
 * The client sessions that this process works for, bounded in number and idleness. Dropping one is harmless:
 * its id brings it back, here or at another replica.
 */
export class ClientSessions {
  readonly #options: ClientSessionsOptions;
  readonly #sessions: LRUCache<SealedSessionId, ClientSession>;
  readonly #ended: LRUCache<SessionId, true>;

  constructor(options: ClientSessionsOptions) {
    this.#options = options;
    this.#sessions = new LRUCache({
      max: options.maxSessions,
      dispose: (session) => void session.close(),
    });
    this.#ended = new LRUCache({ max: MAX_ENDED, ttl: options.maxAgeMs });
  }

  create(seal: Omit<SessionSeal, 'id' | 'issuedAt'>, scope: Scope): ClientSession {
    const { sealer, wallClock } = this.#options;
    const whole: SessionSeal = { ...seal, id: newSessionId(), issuedAt: wallClock() };
    return this.#enter(sealer.seal(whole), whole, scope);
  }

  /**
   * The session behind an id, for the identity and path that it was opened with.
   * @throws {RouterError} SESSION_NOT_FOUND for every reason alike: a stolen id learns nothing.
   */
  find(sealed: string, identity: string, path: string, scope: Scope): ClientSession {
    const known = this.#sessions.get(sealed as SealedSessionId);
    const seal = known?.seal ?? this.#options.sealer.open(sealed);
    if (
      !seal ||
      seal.identity !== identity ||
      seal.path !== path ||
      this.#options.wallClock() - seal.issuedAt > this.#options.maxAgeMs ||
      this.#ended.has(seal.id)
    ) {
      throw new RouterError('SESSION_NOT_FOUND', 'This session is unknown or over. Initialize again.');
    }
    const session = known ?? this.#enter(sealed as SealedSessionId, seal, scope);
    session.lastSeenAt = this.#options.now();
    return session;
  }

  /** Ends a session for good, with its sessions at backends. */
  end(session: ClientSession): void {
    this.#ended.set(session.seal.id, true);
    this.#sessions.delete(session.sealed);
  }

  /** Drops what has been idle for too long. To be called now and then. */
  sweep(): void {
    const oldest = this.#options.now() - this.#options.idleMs;
    for (const session of this.#sessions.values()) {
      if (session.lastSeenAt < oldest && !session.busy) this.#sessions.delete(session.sealed);
    }
  }

  all(): Iterable<ClientSession> {
    return this.#sessions.values();
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Closes every backend session; the ids stay valid for the next process. */
  async close(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    await Promise.all(sessions.map((session) => session.close()));
    this.#sessions.clear();
  }

  #enter(sealed: SealedSessionId, seal: SessionSeal, scope: Scope): ClientSession {
    const session = new ClientSession(sealed, seal, scope, this.#options, this.#options.now());
    this.#sessions.set(sealed, session);
    return session;
  }
}
