import type { Instance, InstanceId, RoutingTable, ServiceName, Target } from '../model.ts';
import type { BackendSession, BackendSessions } from '../upstream/backend-sessions.ts';
import { Gate } from '../upstream/gate.ts';
import { isOut } from './drains.ts';

export interface SessionMovesOptions {
  readonly backends: BackendSessions;
  readonly table: () => RoutingTable;
  /** Where the client's session of a service belongs now. */
  readonly place: (service: ServiceName) => Target | undefined;
  /** A call of the client runs there. */
  readonly busyAt: (instance: InstanceId) => boolean;
  /** There is somebody to hear what backends say by themselves. */
  readonly listening: () => boolean;
}

const RETRY_MS = 5000;
/** A drain must not make thousands of requests at once; shared by all clients of the process. */
const gate = new Gate(32, 1000);

/**
 * Takes one client's sessions away from instances that are out of service, and opens those again elsewhere that
 * the client hears of without asking: whose resources it has subscribed to, and all while its stream is open.
 * A session that nobody listens to is opened by the next call.
 */
export class SessionMoves {
  readonly #options: SessionMovesOptions;
  /** To be opened again as soon as anybody can serve them. */
  readonly #homeless = new Set<ServiceName>();
  /** Calls run there that may come to their end. */
  #leaving = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: SessionMovesOptions) {
    this.#options = options;
  }

  /** The table has changed. */
  check(): void {
    if (this.#closed) return;
    const { backends, table } = this.#options;
    const now = table();
    this.#leaving = false;
    for (const session of backends.all()) {
      if (isOut(session.instance, now)) this.#leave(session);
      else if (this.#isDown(session.instance, now)) this.#orphan(session);
    }
    for (const [service, id] of backends.pins) {
      if (!now.services.get(service)?.instances.has(id)) backends.unpin(service, id);
    }
    this.#rehouse();
  }

  /** A call of the client is over: perhaps the last one at an instance that is drained. */
  callEnded(): void {
    if (this.#leaving) this.check();
  }

  /** A backend says that it does not know the session any more. */
  lost(session: BackendSession): void {
    this.#options.backends.forget(session);
    this.#orphan(session);
    this.#rehouse();
  }

  close(): void {
    this.#closed = true;
    this.#homeless.clear();
    clearTimeout(this.#timer);
  }

  #leave(session: BackendSession): void {
    const { backends, busyAt } = this.#options;
    this.#orphan(session);
    backends.unpin(session.instance.service, session.instance.id);
    if (busyAt(session.instance.id)) {
      this.#leaving = true;
      return;
    }
    backends.forget(session);
    void gate.run(() => backends.end(session));
  }

  /** Was it the client's session of a service that has one at a time, and does anybody miss it? */
  #orphan({ instance: { service, id } }: BackendSession): void {
    const { backends, listening } = this.#options;
    const pinned = backends.pinned(service);
    if (pinned !== id && pinned !== undefined) return;
    if (backends.subscriptions(service).length > 0 || listening()) this.#homeless.add(service);
  }

  #isDown({ id, service }: Instance, table: RoutingTable): boolean {
    const route = table.services.get(service);
    return route?.settings.session === 'stateful' && !route.pool.byId.has(id);
  }

  #rehouse(): void {
    for (const service of this.#homeless) {
      const route = this.#options.table().services.get(service);
      if (route?.settings.session !== 'stateful') this.#homeless.delete(service);
      else if (route.targets.length > 0) void this.#open(service, route.pool.byId);
    }
  }

  async #open(service: ServiceName, able: ReadonlyMap<InstanceId, Target>): Promise<void> {
    const { backends, place } = this.#options;
    const pinned = backends.pinned(service);
    const target = (pinned === undefined ? undefined : able.get(pinned)) ?? place(service);
    if (!target?.eras.legacy) return;
    this.#homeless.delete(service);
    if (backends.ready(target)) return;
    try {
      await gate.run(() => backends.open(target));
    } catch {
      if (this.#closed) return;
      this.#homeless.add(service);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#rehouse(), RETRY_MS).unref();
    }
  }
}
