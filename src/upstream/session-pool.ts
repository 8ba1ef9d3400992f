import type { InstanceId, Target } from '../model.ts';
import {
  BackendSessions,
  type BackendSession,
  type BackendSessionsOptions,
  type Hear,
} from './backend-sessions.ts';
import type { Introduction } from './handshake.ts';

/** For whom a session was opened: it serves no other. */
export interface PoolUser extends Introduction {
  /** Digest of the identity. */
  readonly identity: string;
}

/** A session at one instance, used by one request at a time. */
export interface PooledSession {
  readonly backend: BackendSession;
  /** Told of what the backend says on streams that belong to no call: it can only mean the present one. */
  hear: Hear | undefined;
}

interface Entry extends PooledSession {
  readonly key: string;
  readonly sessions: BackendSessions;
  readonly level: string | undefined;
  idleSince: number;
  lost: boolean;
}

const IDLE_MS = 60_000;
const MAX_IDLE = 2000;

/**
 * Sessions at session-era backends for clients of the stateless era. One request has a session for itself while it
 * runs, so what a server asks, and what it says of a call's progress, can be told apart from another's; after that
 * the next request of the same client takes it over.
 */
export class SessionPool {
  readonly #options: BackendSessionsOptions;
  /** Least recently used first. */
  readonly #idle = new Set<Entry>();
  readonly #byKey = new Map<string, Entry[]>();

  constructor(options: BackendSessionsOptions) {
    this.#options = options;
  }

  /** A session that waits for work, its log level as wanted. */
  take(target: Target, user: PoolUser, level: string | undefined): PooledSession | undefined {
    const waiting = this.#byKey.get(keyOf(target, user));
    const at = waiting?.findLastIndex((entry) => level === undefined || entry.level === level) ?? -1;
    const entry = waiting?.[at];
    if (!entry) return undefined;
    this.#remove(entry);
    return entry;
  }

  /** @throws {HandshakeError} */
  async open(target: Target, user: PoolUser, level: string | undefined): Promise<PooledSession> {
    const sessions = new BackendSessions(this.#options, user);
    if (level !== undefined) sessions.setLevel(level);
    let entry: Entry | undefined;
    // Old servers ask on the stream of the session instead of the call's.
    if (user.capabilities !== '{}') sessions.listen((message, from) => entry?.hear?.(message, from));
    const backend = sessions.ready(target) ?? (await sessions.open(target));
    entry = {
      key: keyOf(target, user),
      backend,
      sessions,
      level,
      idleSince: 0,
      lost: false,
      hear: undefined,
    };
    return entry;
  }

  /** The request is over: the session is free for the next one. */
  giveBack(pooled: PooledSession): void {
    const entry = pooled as Entry;
    entry.hear = undefined;
    if (entry.lost) {
      void entry.sessions.close();
      return;
    }
    entry.idleSince = this.#options.now();
    this.#idle.add(entry);
    const waiting = this.#byKey.get(entry.key);
    if (waiting) waiting.push(entry);
    else this.#byKey.set(entry.key, [entry]);
    if (this.#idle.size > MAX_IDLE) for (const oldest of this.#idle) return this.#end(oldest);
  }

  /** The backend does not know it any more. */
  drop(pooled: PooledSession): void {
    const entry = pooled as Entry;
    entry.lost = true;
    entry.sessions.forget(entry.backend);
  }

  tell(pooled: PooledSession, text: string): void {
    (pooled as Entry).sessions.tell(pooled.backend, text);
  }

  /** Ends sessions that nobody has used for a while. To be called now and then. */
  sweep(): void {
    const oldest = this.#options.now() - IDLE_MS;
    for (const entry of this.#idle) if (entry.idleSince < oldest) this.#end(entry);
  }

  /** Ends idle sessions at instances that are gone. */
  retain(known: { has(instance: InstanceId): boolean }): void {
    for (const entry of this.#idle) if (!known.has(entry.backend.instance.id)) this.#end(entry);
  }

  get size(): number {
    return this.#idle.size;
  }

  /** Never rejects. */
  async close(): Promise<void> {
    const all = [...this.#idle];
    this.#idle.clear();
    this.#byKey.clear();
    await Promise.all(all.map(({ sessions }) => sessions.close()));
  }

  #end(entry: Entry): void {
    this.#remove(entry);
    void entry.sessions.close();
  }

  #remove(entry: Entry): void {
    this.#idle.delete(entry);
    const waiting = this.#byKey.get(entry.key)?.filter((other) => other !== entry) ?? [];
    if (waiting.length > 0) this.#byKey.set(entry.key, waiting);
    else this.#byKey.delete(entry.key);
  }
}

function keyOf({ instance }: Target, user: PoolUser): string {
  return [instance.id, instance.registration, user.identity, user.clientInfo, user.capabilities].join('\n');
}
