import { LRUCache } from 'lru-cache';
import { RouterError } from '../errors.ts';
import type { Clock, Identity } from '../model.ts';
import type { SessionChange, Store } from '../store/store.ts';
import { ClientSession, type ClientSessionParts, type SessionView } from './client-session.ts';
import type { Scope } from './scope.ts';
import {
  newSessionId,
  type SealedSessionId,
  type Sealer,
  type SessionId,
  type SessionSeal,
} from './sealed-id.ts';
import { SharedBackends } from './shared-backends.ts';

export interface ClientSessionsOptions extends ClientSessionParts {
  readonly sealer: Sealer;
  /** What replicas share; undefined where there is but this one. */
  readonly store?: Pick<Store, 'sessions' | 'shared' | 'onReturn'> | undefined;
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

/** What is known of a session id. */
export type SessionInspection =
  | { readonly kind: 'unsealed' }
  | { readonly kind: 'too-old'; readonly ageMs: number }
  | { readonly kind: 'ended' }
  /** Good, and this process holds nothing of it. */
  | { readonly kind: 'elsewhere'; readonly path: string; readonly protocolVersion: string }
  | { readonly kind: 'here'; readonly view: SessionView };

/**
 * The client sessions that this process works for, bounded in number and idleness. Dropping one is harmless:
 * its id brings it back, here or at another replica.
 */
export class ClientSessions {
  readonly #options: ClientSessionsOptions;
  readonly #sessions: LRUCache<SealedSessionId, ClientSession>;
  readonly #byId = new Map<SessionId, ClientSession>();
  /** By whom: what another replica ended is ended here without telling it again. */
  readonly #ended: LRUCache<SessionId, 'here' | 'elsewhere'>;
  readonly #shared: SharedBackends | undefined;
  readonly #restoring = new Map<ClientSession, Promise<void>>();
  #closed = false;

  constructor(options: ClientSessionsOptions) {
    this.#options = options;
    this.#sessions = new LRUCache({
      max: options.maxSessions,
      dispose: (session) => void this.#release(session),
    });
    this.#ended = new LRUCache({ max: MAX_ENDED, ttl: options.maxAgeMs });
    const { store, table, idleMs, now } = options;
    if (!store) return;
    this.#shared = new SharedBackends({ store, table, idleMs, now });
    store.sessions.onChange((change) => this.#changedElsewhere(change));
    store.onReturn(() => this.#shared?.touchAll(this.all()));
  }

  create(seal: Omit<SessionSeal, 'id' | 'issuedAt'>, identity: Identity, scope: Scope): ClientSession {
    const { sealer, wallClock } = this.#options;
    const whole: SessionSeal = { ...seal, id: newSessionId(), issuedAt: wallClock() };
    return this.#enter(sealer.seal(whole), whole, identity, scope, true);
  }

  /**
   * The session behind an id, for the identity and path that it was opened with.
   * @throws {RouterError} SESSION_NOT_FOUND for every reason alike: a stolen id learns nothing.
   */
  find(sealed: string, identity: Identity, path: string, scope: Scope): ClientSession {
    const known = this.#sessions.get(sealed as SealedSessionId);
    const seal = known?.seal ?? this.#options.sealer.open(sealed);
    if (
      !seal ||
      seal.identity !== identity.digest ||
      seal.path !== path ||
      this.#options.wallClock() - seal.issuedAt > this.#options.maxAgeMs ||
      this.#ended.has(seal.id)
    ) {
      throw notFound();
    }
    const session = known ?? this.#enter(sealed as SealedSessionId, seal, identity, scope, false);
    session.lastSeenAt = this.#options.now();
    session.identity = identity;
    return session;
  }

  /**
   * A session that was found by its id alone: what other replicas have opened for it is being learned. To be waited
   * for before its first request; undefined where there is nothing to wait for.
   * @throws {RouterError} SESSION_NOT_FOUND where another replica ended it
   */
  restoring(session: ClientSession): Promise<void> | undefined {
    return this.#restoring.get(session);
  }

  /** For operators: what becomes of an id, whoever holds it. */
  inspect(sealed: string): SessionInspection {
    const known = this.#sessions.peek(sealed as SealedSessionId);
    const seal = known?.seal ?? this.#options.sealer.open(sealed);
    if (!seal) return { kind: 'unsealed' };
    const ageMs = this.#options.wallClock() - seal.issuedAt;
    if (ageMs > this.#options.maxAgeMs) return { kind: 'too-old', ageMs };
    if (this.#ended.has(seal.id)) return { kind: 'ended' };
    return known
      ? { kind: 'here', view: known.describe(this.#options.now()) }
      : { kind: 'elsewhere', path: seal.path, protocolVersion: seal.protocolVersion };
  }

  /** Ends a session for good, with its sessions at backends. */
  end(session: ClientSession): void {
    this.#ended.set(session.seal.id, 'here');
    this.#sessions.delete(session.sealed);
  }

  /** Drops what has been idle for too long. To be called now and then. */
  sweep(): void {
    const oldest = this.#options.now() - this.#options.idleMs;
    for (const session of this.#sessions.values()) {
      if (session.lastSeenAt < oldest && !session.busy) this.#sessions.delete(session.sealed);
    }
    this.#shared?.touch(this.all());
  }

  all(): Iterable<ClientSession> {
    return this.#sessions.values();
  }

  get size(): number {
    return this.#sessions.size;
  }

  /**
   * The ids stay valid for the next process, and so do sessions at backends where it can learn of them; where it
   * can't, they are ended.
   */
  async close(): Promise<void> {
    this.#closed = true;
    const lasting = this.#shared?.lasting ?? false;
    await Promise.all(Array.from(this.all(), (session) => (lasting ? session.letGo() : session.close())));
    this.#sessions.clear();
    this.#byId.clear();
  }

  #enter(
    sealed: SealedSessionId,
    seal: SessionSeal,
    identity: Identity,
    scope: Scope,
    isNew: boolean,
  ): ClientSession {
    const memory = this.#shared?.memory(seal.id, isNew);
    const session = new ClientSession(
      sealed,
      seal,
      identity,
      scope,
      this.#options,
      this.#options.now(),
      memory,
    );
    this.#sessions.set(sealed, session);
    this.#byId.set(seal.id, session);
    if (!isNew && this.#shared) this.#restore(session, this.#shared);
    return session;
  }

  #restore(session: ClientSession, shared: SharedBackends): void {
    const restoring = shared
      .restore(session)
      .then((found) => {
        if (found === 'restored') return;
        this.#endedElsewhere(session.seal.id);
        throw notFound();
      })
      .finally(() => this.#restoring.delete(session));
    // A stream is opened without waiting for it.
    restoring.catch(() => undefined);
    this.#restoring.set(session, restoring);
  }

  #changedElsewhere(change: SessionChange): void {
    const id = change.session as SessionId;
    if (change.kind === 'ended') {
      this.#endedElsewhere(id);
      return;
    }
    const session = this.#byId.get(id);
    if (session) void this.#shared?.learn(session, change.field);
  }

  #endedElsewhere(id: SessionId): void {
    this.#ended.set(id, 'elsewhere');
    const session = this.#byId.get(id);
    if (session) this.#sessions.delete(session.sealed);
  }

  async #release(session: ClientSession): Promise<void> {
    if (this.#closed) return;
    const { id, issuedAt } = session.seal;
    if (this.#byId.get(id) === session) this.#byId.delete(id);
    const { maxAgeMs, wallClock } = this.#options;
    const ended = this.#ended.get(id);
    if (!this.#shared || ended === 'elsewhere') await session.close();
    else if (ended === 'here') await this.#shared.end(session, issuedAt + maxAgeMs - wallClock());
    else await this.#shared.drop(session);
  }
}

function notFound(): RouterError {
  return new RouterError('SESSION_NOT_FOUND', 'This session is unknown or over. Initialize again.');
}
