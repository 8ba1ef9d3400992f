import type { CatalogService, InstanceId, RawJson, RoutingTable, ServiceName, Target } from '../model.ts';
import type { NotificationEnvelope, RequestEnvelope, ResponseEnvelope } from '../relay/envelope.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import type { ModernIntroduction } from '../relay/modern.ts';
import {
  BackendSessions,
  type BackendSession,
  type BackendSessionsOptions,
} from '../upstream/backend-sessions.ts';
import {
  nothing,
  type Bridge,
  type BridgedCall,
  type Caller,
  type RunningCall,
  type Said,
} from './bridge.ts';
import type { Destination } from './call.ts';
import { LegacyBridge } from './legacy-bridge.ts';
import { LegacyToModernBridge } from './legacy-to-modern-bridge.ts';
import type { ListKind, NoticeTaker } from './notices.ts';
import { ResourceWatches } from './resource-watches.ts';
import type { SealedSessionId, SessionSeal } from './sealed-id.ts';
import { toClient } from './server-messages.ts';
import { uriRewriter } from './uri-rewriter.ts';

/** What an endpoint serves; from its path. */
export type Scope =
  | { readonly kind: 'all' }
  /** One service under its own names, nothing added. */
  | { readonly kind: 'service'; readonly service: ServiceName };

/** A server that asks without end is not kept count of without end. */
const MAX_QUESTIONS = 1000;

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
export class ClientSession implements Caller, NoticeTaker {
  readonly era = 'legacy';
  readonly sealed: SealedSessionId;
  readonly seal: SessionSeal;
  readonly scope: Scope;
  readonly backends: BackendSessions;
  /** Resources of stateless backends, which know of no subscription in a session. */
  readonly watches: ResourceWatches;
  /** For the idle limit; milliseconds of the sessions' clock. */
  lastSeenAt: number;
  readonly #table: () => RoutingTable;
  /** By the client's request id as it spelled it. */
  readonly #running = new Map<RawJson, RunningCall>();
  /** Questions of servers that the client has not answered yet: who asks, by the id that the client knows. */
  readonly #questions = new Map<RawJson, ServiceName>();
  #stream: HttpStream | undefined;

  constructor(
    sealed: SealedSessionId,
    seal: SessionSeal,
    scope: Scope,
    backends: BackendSessionsOptions,
    table: () => RoutingTable,
    lastSeenAt: number,
  ) {
    const { protocolVersion, clientInfo, capabilities } = seal;
    this.sealed = sealed;
    this.seal = seal;
    this.scope = scope;
    this.backends = new BackendSessions(backends, { protocolVersion, clientInfo, capabilities });
    this.watches = new ResourceWatches({
      table,
      backends,
      introduction: () => this.introduction,
      key: seal.id,
      onUpdated: (service, { text }) => this.#resourceUpdated(service, text),
      onMoved: (service, uris) => {
        for (const uri of uris) this.#resourceUpdated(service, resourceUpdated(uri));
      },
    });
    this.#table = table;
    this.lastSeenAt = lastSeenAt;
  }

  /** What every request at a stateless backend says of the client. */
  get introduction(): ModernIntroduction {
    const { clientInfo, capabilities } = this.seal;
    return { clientInfo, capabilities, logLevel: this.backends.level };
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

  bridge(target: Target, to: Destination, call: BridgedCall): Bridge {
    return target.eras.legacy
      ? new LegacyBridge(this, target, to, call)
      : new LegacyToModernBridge(this, target, to);
  }

  began(id: RawJson, call: RunningCall): void {
    this.#running.set(id, call);
  }

  ended(id: RawJson, call: RunningCall): void {
    if (this.#running.get(id) === call) this.#running.delete(id);
  }

  // --- What backends say by themselves ------------------------------------------------------------------------

  /** A backend's message as this client shall read it. */
  heard(message: RequestEnvelope | NotificationEnvelope, from: BackendSession): Said {
    const { service } = from.instance;
    const spoken = toClient(message, from, this.scope, this.catalogEntry(service));
    if (spoken.kind === 'reply') this.backends.tell(from, spoken.text);
    if (spoken.kind !== 'to-client') return nothing;
    if (spoken.takenBack !== undefined) this.#questions.delete(spoken.takenBack);
    if (spoken.question !== undefined && this.#questions.size < MAX_QUESTIONS) {
      this.#questions.set(spoken.question, service);
    }
    return { kind: 'event', text: spoken.text };
  }

  asked(service: ServiceName): boolean {
    if (this.#questions.size === 0) return false;
    for (const asking of this.#questions.values()) if (asking === service) return true;
    return false;
  }

  /** The client answers a question. True where it was one of a running call's own. */
  answered(response: ResponseEnvelope): boolean {
    this.#questions.delete(response.id);
    let own = false;
    for (const call of this.#running.values()) own = call.answered(response) || own;
    return own;
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
      const said = this.heard(message, from);
      if (said.kind === 'event') this.#stream?.send(said.text);
    });
  }

  listChanged(kind: ListKind): void {
    this.#stream?.send(`{"jsonrpc":"2.0","method":"notifications/${kind}/list_changed"}`);
  }

  #resourceUpdated(service: ServiceName, text: string): void {
    const rewriter = this.scope.kind === 'all' ? uriRewriter(this.catalogEntry(service)) : undefined;
    this.#stream?.send(rewriter ? rewriter.message(text) : text);
  }

  async close(): Promise<void> {
    this.#stream?.end();
    this.watches.close();
    await this.backends.close();
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

  catalogEntry(service: ServiceName): CatalogService | undefined {
    return this.#table().catalog.byName.get(service);
  }
}

function resourceUpdated(uri: string): string {
  const params = JSON.stringify({ uri });
  return `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":${params}}`;
}
