import type {
  CanonicalName,
  CatalogService,
  Identity,
  InstanceId,
  RawJson,
  RoutingTable,
  ServiceName,
  Target,
} from '../model.ts';
import type { NotificationEnvelope, RequestEnvelope, ResponseEnvelope } from '../relay/envelope.ts';
import type { LogSource } from '../relay/answer.ts';
import { memberString } from '../relay/json-scan.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import type { ModernIntroduction } from '../relay/modern.ts';
import type { StreamLog } from '../relay/stream-log.ts';
import {
  BackendSessions,
  type BackendSession,
  type BackendSessionsOptions,
} from '../upstream/backend-sessions.ts';
import type { SessionMemory } from '../upstream/session-memory.ts';
import {
  nothing,
  type Bridge,
  type BridgedCall,
  type Caller,
  type RunningCall,
  type Said,
} from './bridge.ts';
import type { Destination } from './call.ts';
import type { EventLogs, Resumption } from './event-logs.ts';
import { LegacyBridge } from './legacy-bridge.ts';
import { LegacyToModernBridge } from './legacy-to-modern-bridge.ts';
import { listKinds, type ListKind, type NoticeTaker } from './notices.ts';
import { ResourceWatches, type Place } from './resource-watches.ts';
import { seesUri } from './resources.ts';
import type { Scope } from './scope.ts';
import { SessionMoves } from './session-moves.ts';
import type { Sights } from './sight.ts';
import type { SealedSessionId, SessionSeal } from './sealed-id.ts';
import { toClient } from './server-messages.ts';
import { hasApps, type ToolWish } from './tool-views.ts';
import { uriRewriter } from './uri-rewriter.ts';

export interface ClientSessionParts {
  readonly backends: BackendSessionsOptions;
  readonly events: EventLogs;
  readonly table: () => RoutingTable;
  readonly place: Place;
  readonly sights: Sights;
}

/** What the router says by itself is small; a client that was away for longer lists anew. */
const MAX_NEWS_BYTES = 64 * 1024;
/** How long a client without a stream is taken to come back. */
const NEWS_GRACE_MS = 30_000;

const UPDATED = 'notifications/resources/updated';

/** A server that asks without end is not kept count of without end. */
const MAX_QUESTIONS = 1000;

/** A list that grows without end would cost what searching saves. */
const MAX_ACTIVATED = 30;

/** What an operator may see of a session: never the id, which is a credential. */
export interface SessionView {
  readonly path: string;
  /** `clientInfo`: an object, whatever stands in it. */
  readonly client: Readonly<Record<string, unknown>>;
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
  /** As the latest request proved it: the caller is always the same, its groups and scopes may change. */
  identity: Identity;
  readonly backends: BackendSessions;
  /** Resources of stateless backends, which know of no subscription in a session. */
  readonly watches: ResourceWatches;
  /** What becomes of its sessions where an instance is taken out of service. */
  readonly moves: SessionMoves;
  /** Tools that this session has found and that its list shows since then; the oldest make room. */
  readonly activated = new Set<CanonicalName>();
  readonly wish: ToolWish;
  /** For the idle limit; milliseconds of the sessions' clock. */
  lastSeenAt: number;
  readonly #table: () => RoutingTable;
  readonly #sights: Sights;
  /** By the client's request id as it spelled it. */
  readonly #running = new Map<RawJson, RunningCall>();
  /** Questions of servers that the client has not answered yet: who asks, by the id that the client knows. */
  readonly #questions = new Map<RawJson, ServiceName>();
  readonly #events: EventLogs;
  /** The stream on which the router speaks by itself, as the client has it open now. */
  #stream: HttpStream | undefined;
  #news: StreamLog | undefined;
  #grace: NodeJS.Timeout | undefined;

  constructor(
    sealed: SealedSessionId,
    seal: SessionSeal,
    identity: Identity,
    scope: Scope,
    { backends, events, table, place, sights }: ClientSessionParts,
    lastSeenAt: number,
    memory?: SessionMemory,
  ) {
    const { protocolVersion, clientInfo, capabilities } = seal;
    this.sealed = sealed;
    this.seal = seal;
    this.scope = scope;
    this.identity = identity;
    this.wish = { mode: seal.tools, apps: hasApps(capabilities) };
    this.backends = new BackendSessions(
      { ...backends, onLost: (session) => this.moves.lost(session) },
      { protocolVersion, clientInfo, capabilities },
      memory,
      (session, subscribed) => this.#replaced(session, subscribed),
    );
    this.moves = new SessionMoves({
      backends: this.backends,
      table,
      place: (service) => place(service, seal.id),
      busyAt: (instance) => this.#busyAt(instance),
      listening: () => this.#stream !== undefined,
    });
    this.watches = new ResourceWatches({
      place,
      backends,
      introduction: () => this.introduction,
      key: seal.id,
      onUpdated: (service, message) => {
        if (this.#mayHear(service, message)) this.#resourceUpdated(service, message.text);
      },
      onMoved: (service, uris) => {
        for (const uri of uris) this.#resourceUpdated(service, resourceUpdated(uri));
      },
    });
    this.#table = table;
    this.#sights = sights;
    this.#events = events;
    this.lastSeenAt = lastSeenAt;
  }

  /** What every request at a stateless backend says of the client. */
  get introduction(): ModernIntroduction {
    const { clientInfo, capabilities } = this.seal;
    return { clientInfo, capabilities, logLevel: this.backends.level };
  }

  /** Found tools are listed from now on, and the client is told so. Another process knows nothing of it. */
  activate(names: readonly CanonicalName[]): void {
    const before = this.activated.size;
    for (const name of names) {
      this.activated.delete(name);
      this.activated.add(name);
    }
    if (this.activated.size === before) return;
    for (const name of this.activated) {
      if (this.activated.size <= MAX_ACTIVATED) break;
      this.activated.delete(name);
    }
    this.listChanged('tools');
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
    this.moves.callEnded();
  }

  // --- What backends say by themselves ------------------------------------------------------------------------

  /** A backend's message as this client shall read it. */
  heard(message: RequestEnvelope | NotificationEnvelope, from: BackendSession): Said {
    const { service } = from.instance;
    if (message.method === UPDATED && !this.#mayHear(service, message)) return nothing;
    const spoken = toClient(message, from, this.scope, this.catalogEntry(service));
    if (spoken.kind === 'reply') this.backends.tell(from, spoken.text);
    if (spoken.kind !== 'to-client') return nothing;
    if (spoken.takenBack !== undefined) this.#questions.delete(spoken.takenBack);
    if (spoken.question !== undefined && this.#questions.size < MAX_QUESTIONS) {
      this.#questions.set(spoken.question, service);
    }
    return { kind: 'event', text: spoken.text };
  }

  /** What was subscribed to may have been taken back by the rules since. */
  #mayHear(service: ServiceName, { text, params }: RequestEnvelope | NotificationEnvelope): boolean {
    const uri = (params && memberString(text, params, 'uri')) ?? '';
    return seesUri(this.#sights.of(this.identity, this.scope), service, uri);
  }

  /**
   * The rules have changed: nothing more is heard of services that this caller may not see any more. Calls that run
   * there come to their end.
   */
  rulesChanged(): void {
    const seen = this.#sights.of(this.identity, this.scope).services;
    for (const session of this.backends.all()) {
      const { service, id } = session.instance;
      if (seen.has(service)) continue;
      for (const uri of this.backends.subscriptions(service)) this.backends.unsubscribed(service, uri);
      this.backends.unpin(service, id);
      this.backends.forget(session);
      if (!this.#busyAt(id)) void this.backends.end(session);
    }
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

  /**
   * The client opens the stream on which the router speaks by itself, or opens it again: then it gets what came
   * meanwhile, or, where that is not kept, is told to look again. Backends speak by themselves only while there is
   * somebody to hear them.
   */
  openNews(
    stream: HttpStream,
    lost: Extract<Resumption, { kind: 'news' }> | undefined,
    version: string | undefined,
  ): void {
    clearTimeout(this.#grace);
    this.#stream?.end();
    this.#stream = stream;
    this.#news ??= this.#events.open(this.seal.id, 'news', MAX_NEWS_BYTES);
    const kept = lost?.log === this.#news && this.#news.keeps(lost.after);
    if (this.#polls(version) && !kept) stream.write(this.#news.prime());
    // Without an id the client asks for what comes, not for what was.
    this.#news.resume(stream, kept ? lost.after : Number.MAX_SAFE_INTEGER);
    if (lost && !kept) for (const kind of listKinds) this.listChanged(kind);
    this.backends.listen((message, from) => {
      const said = this.heard(message, from);
      if (said.kind === 'event') this.#tell(said.text);
    });
  }

  /** The connection is gone; for a while, what is said is kept. */
  closeNews(stream: HttpStream): void {
    this.#news?.leave(stream);
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#grace = setTimeout(() => this.#endNews(), NEWS_GRACE_MS).unref();
  }

  #endNews(): void {
    clearTimeout(this.#grace);
    this.backends.listen(undefined);
    if (this.#news) this.#events.close(this.#news);
    this.#news = undefined;
  }

  /** The caller's proof has ended: the stream does, too, and is opened again with a new one. */
  dismiss(): void {
    this.#stream?.end();
  }

  /** The stream, if the client has it open. */
  get newsOpen(): boolean {
    return this.#stream !== undefined;
  }

  #tell(text: string): void {
    this.#news?.append(text);
  }

  /**
   * Where streams of the client's requests are kept.
   * @param version of the request's header, where it has one
   * @returns undefined for revisions that know no event ids
   */
  logs(version: string | undefined): LogSource | undefined {
    if (this.seal.protocolVersion < '2025-03-26') return undefined;
    return {
      open: () => this.#events.open(this.seal.id, 'request'),
      close: (log) => this.#events.close(log),
      polls: this.#polls(version),
    };
  }

  /** The client takes events without data, and comes back when a connection ends early (2025-11-25, transports). */
  #polls(version: string | undefined): boolean {
    return (version ?? this.seal.protocolVersion) >= '2025-11-25';
  }

  listChanged(kind: ListKind): void {
    this.#tell(`{"jsonrpc":"2.0","method":"notifications/${kind}/list_changed"}`);
  }

  #resourceUpdated(service: ServiceName, text: string): void {
    const rewriter = this.scope.kind === 'all' ? uriRewriter(this.catalogEntry(service)) : undefined;
    this.#tell(rewriter ? rewriter.message(text) : text);
  }

  /** A stateful backend knows nothing any more of what the client did there: what it listed and read may differ. */
  #replaced({ instance: { service } }: BackendSession, subscribed: readonly string[]): void {
    if (this.#table().services.get(service)?.settings.session !== 'stateful') return;
    const entry = this.catalogEntry(service);
    for (const kind of listKinds) if (entry && entry[kind].length > 0) this.listChanged(kind);
    for (const uri of subscribed) this.#resourceUpdated(service, resourceUpdated(uri));
  }

  #busyAt(instance: InstanceId): boolean {
    for (const call of this.#running.values()) if (call.at === instance) return true;
    return false;
  }

  async close(): Promise<void> {
    this.#goSilent();
    await this.backends.close();
  }

  /** Other replicas go on with it, and with its sessions at backends. */
  async letGo(): Promise<void> {
    this.#goSilent();
    await this.backends.letGo();
  }

  #goSilent(): void {
    this.#stream?.end();
    this.#endNews();
    this.watches.close();
    this.moves.close();
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
      client: JSON.parse(this.seal.clientInfo) as SessionView['client'],
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
