import type { Clock, InstanceId, RoutingTable } from '../model.ts';
import type { SharedSessions, Store } from '../store/store.ts';
import { Gate } from '../upstream/gate.ts';
import type { KnownSession, SessionMemory } from '../upstream/session-memory.ts';
import type { ClientSession } from './client-session.ts';
import type { SessionId } from './sealed-id.ts';

export interface SharedBackendsOptions {
  readonly store: Pick<Store, 'sessions' | 'shared' | 'onReturn'>;
  readonly table: () => RoutingTable;
  /** How long a session is still used after its last touch; it is touched anew well before. */
  readonly idleMs: number;
  readonly now: Clock;
}

const MAX_TOUCH_MS = 5 * 60_000;
/** Of operations that nobody waits for, so that those that somebody waits for are not behind them. */
const AT_A_TIME = 64;
const PATIENCE_MS = 1000;

/**
 * Which session a client has at which backend, over all replicas: another one, or this one after a restart, goes on
 * where the client was.
 */
export class SharedBackends {
  readonly #options: SharedBackendsOptions;
  readonly #shared: SharedSessions;
  readonly #gate = new Gate(AT_A_TIME, PATIENCE_MS);
  readonly #touchedAt = new WeakMap<ClientSession, number>();

  constructor(options: SharedBackendsOptions) {
    this.#options = options;
    this.#shared = options.store.sessions;
  }

  /** Whether what is known here outlives this process now. */
  get lasting(): boolean {
    return this.#options.store.shared;
  }

  /** Of a session that was just created nobody can know anything: it is not asked for. */
  memory(session: SessionId, isNew: boolean): SessionMemory {
    return {
      recall: async (instance) => {
        const text = isNew ? undefined : await this.#shared.get(session, instance);
        return text === undefined ? undefined : readKnown(text);
      },
      remember: async (instance, known) =>
        readKnown(await this.#shared.add(session, instance, JSON.stringify(known))),
      forget: (instance, known) => this.#shared.remove(session, instance, JSON.stringify(known)),
    };
  }

  /** Takes over what other replicas have opened for the client, before its first request here. */
  async restore(session: ClientSession): Promise<'restored' | 'ended'> {
    const kept = await this.#shared.all(session.seal.id);
    if (kept.kind === 'ended') return 'ended';
    this.#adopt(session, kept.fields);
    // From here on it is this replica that used it last.
    if (kept.fields.size > 0) void this.#touch(session);
    return 'restored';
  }

  /** Another replica opened a session for a client that this one works for as well. */
  async learn(session: ClientSession, instance: string): Promise<void> {
    const text = await this.#shared.get(session.seal.id, instance);
    if (text !== undefined) this.#adopt(session, new Map([[instance, text]]));
  }

  /** Ends the client session everywhere, and what any replica has opened for it. */
  async end(session: ClientSession, rememberMs: number): Promise<void> {
    this.#adopt(session, await this.#shared.end(session.seal.id, rememberMs));
    await session.close();
  }

  /** This replica has no more use for it. Who used it last ends what was opened for it. */
  async drop(session: ClientSession): Promise<void> {
    const kept = await this.#gate.run(() => this.#shared.drop(session.seal.id));
    if (kept === 'elsewhere') {
      await session.letGo();
      return;
    }
    this.#adopt(session, kept);
    await session.close();
  }

  /** To be called now and then with sessions that are in use. */
  touch(sessions: Iterable<ClientSession>): void {
    const { idleMs, now } = this.#options;
    const due = now() - Math.min(idleMs / 4, MAX_TOUCH_MS);
    for (const session of sessions) {
      const touchedAt = this.#touchedAt.get(session);
      if (touchedAt === undefined) this.#touchedAt.set(session, now());
      else if (touchedAt <= due && (session.busy || session.lastSeenAt > touchedAt))
        void this.#touch(session);
    }
  }

  /** The store was lost, and may have come back empty. */
  touchAll(sessions: Iterable<ClientSession>): void {
    for (const session of sessions) void this.#touch(session);
  }

  async #touch(session: ClientSession): Promise<void> {
    this.#touchedAt.set(session, this.#options.now());
    const { known } = session.backends;
    if (known.size === 0) return;
    await this.#gate.run(async () => {
      const missing = await this.#shared.touch(session.seal.id, [...known.keys()]);
      await session.backends.rememberAgain(missing as readonly InstanceId[]);
    });
  }

  /** The newest last: of a service's sessions it is the one in use. */
  #adopt(session: ClientSession, fields: ReadonlyMap<string, string>): void {
    const { services } = this.#options.table();
    const all = Array.from(fields, ([id, text]) => [id as InstanceId, readKnown(text)] as const);
    for (const [id, known] of all.sort(([, one], [, other]) => one.openedAt - other.openedAt)) {
      const instance = services.get(known.service)?.instances.get(id);
      if (instance) session.backends.adopt(instance, known);
    }
  }
}

/** It was sealed by a replica, so it is what a replica wrote. */
function readKnown(text: string): KnownSession {
  return JSON.parse(text) as KnownSession;
}
