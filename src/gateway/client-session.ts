import type { CatalogService, InstanceId, RawJson, RoutingTable, ServiceName, Target } from '../model.ts';
import type { NotificationEnvelope, RequestEnvelope } from '../relay/envelope.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import type { BackendSession, BackendSessions } from '../upstream/backend-sessions.ts';
import type { Bridge, Caller } from './bridge.ts';
import type { Destination } from './call.ts';
import { LegacyBridge } from './legacy-bridge.ts';
import type { SealedSessionId, SessionSeal } from './sealed-id.ts';
import { toClient } from './server-messages.ts';

/** What an endpoint serves; from its path. */
export type Scope =
  | { readonly kind: 'all' }
  /** One service under its own names, nothing added. */
  | { readonly kind: 'service'; readonly service: ServiceName };

/** A request of the client that is under way. */
export interface RunningCall {
  /** The client does not want the answer any more. `reason` is JSON text of a string, or undefined. */
  cancel(reason: RawJson | undefined): void;
}

/** What an operator may see of a session: never the id, which is a credential. */
export interface SessionView {
  readonly path: string;
  readonly client: unknown;
  readonly protocolVersion: string;
  readonly idleMs: number;
  readonly running: number;
  readonly stream: boolean;
  /** Instance by service. */
  readonly backends: Readonly<Record<string, string>>;
}

/**
 * One client session in this process. What makes the session is in its seal; what stands here is only what this
 * process is doing for it, and can be dropped and made again at any time.
 */
export class ClientSession implements Caller {
  readonly sealed: SealedSessionId;
  readonly seal: SessionSeal;
  readonly scope: Scope;
  readonly backends: BackendSessions;
  /** For the idle limit; milliseconds of the sessions' clock. */
  lastSeenAt: number;
  readonly #table: () => RoutingTable;
  /** By the client's request id as it spelled it. */
  readonly #running = new Map<RawJson, RunningCall>();
  #stream: HttpStream | undefined;

  constructor(
    sealed: SealedSessionId,
    seal: SessionSeal,
    scope: Scope,
    backends: BackendSessions,
    table: () => RoutingTable,
    lastSeenAt: number,
  ) {
    this.sealed = sealed;
    this.seal = seal;
    this.scope = scope;
    this.backends = backends;
    this.#table = table;
    this.lastSeenAt = lastSeenAt;
  }

  // --- Caller -----------------------------------------------------------------------------------------------

  get clientInfo(): RawJson {
    return this.seal.clientInfo;
  }

  get affinity(): string {
    return this.seal.id;
  }

  pinned(service: ServiceName): InstanceId | undefined {
    return this.backends.pinned(service);
  }

  bridge(target: Target, to: Destination, id: RawJson): Bridge {
    return new LegacyBridge(this, target, to, id);
  }

  began(id: RawJson, call: RunningCall): void {
    this.#running.set(id, call);
  }

  ended(id: RawJson, call: RunningCall): void {
    if (this.#running.get(id) === call) this.#running.delete(id);
  }

  // --- What backends say by themselves ------------------------------------------------------------------------

  /** A backend's message as this client shall read it; undefined where it is not for the client. */
  heard(message: RequestEnvelope | NotificationEnvelope, from: BackendSession): string | undefined {
    const spoken = toClient(message, from, this.scope, this.#catalogEntry(from.instance.service));
    if (spoken.kind === 'reply') this.backends.tell(from, spoken.text);
    return spoken.kind === 'to-client' ? spoken.text : undefined;
  }

  /** The stream on which the router speaks by itself; undefined while the client has none open. */
  get stream(): HttpStream | undefined {
    return this.#stream;
  }

  /** Backends speak by themselves only while there is a client to hear them. */
  set stream(stream: HttpStream | undefined) {
    this.#stream = stream;
    if (!stream) {
      this.backends.listen(undefined);
      return;
    }
    this.backends.listen((message, from) => {
      const text = this.heard(message, from);
      if (text !== undefined) this.#stream?.send(text);
    });
  }

  cancel(id: RawJson, reason: RawJson | undefined): void {
    this.#running.get(id)?.cancel(reason);
  }

  /** Busy sessions are not idle, however long their last request is ago. */
  get busy(): boolean {
    return this.#running.size > 0 || this.#stream !== undefined;
  }

  describe(now: number): SessionView {
    return {
      path: this.seal.path,
      client: JSON.parse(this.seal.clientInfo) as unknown,
      protocolVersion: this.seal.protocolVersion,
      idleMs: Math.round(now - this.lastSeenAt),
      running: this.#running.size,
      stream: this.#stream !== undefined,
      backends: Object.fromEntries(this.backends.pins),
    };
  }

  #catalogEntry(service: ServiceName): CatalogService | undefined {
    return this.#table().catalog.byName.get(service);
  }
}
