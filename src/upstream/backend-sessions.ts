import type { Clock, Instance, InstanceId, Random, RawJson, ServiceName, Target } from '../model.ts';
import type { NotificationEnvelope, RequestEnvelope } from '../relay/envelope.ts';
import { ask, AskError, messageHeaders, type Reply } from './ask.ts';
import type { Connections } from './connections.ts';
import { endSession, handshake, nextId, type Introduction } from './handshake.ts';
import { listen, sessionStream, type Listener } from './listen.ts';
import type { KnownSession, SessionMemory } from './session-memory.ts';

/** A client's own session at one instance. */
export interface BackendSession {
  readonly instance: Instance;
  /** Undefined where the backend keeps none. */
  readonly id: string | undefined;
  readonly protocolVersion: string;
  /** Headers of every message in this session; copied, not changed, for a single call. */
  readonly headers: readonly string[];
  /** What the backend said it can do, as JSON text; undefined where it was not asked. */
  readonly capabilities: RawJson | undefined;
  /** As other replicas know it; undefined where it is this process's alone. */
  readonly known?: KnownSession | undefined;
}

export interface BackendSessionsOptions {
  readonly connections: Connections;
  readonly handshakeTimeoutMs: number;
  readonly now: Clock;
  readonly random: Random;
  /** Milliseconds since 1970: other replicas read when a session was opened. */
  readonly wallClock: Clock;
  /** A backend does not know a session any more, which was noticed without a call. */
  readonly onLost?: (session: BackendSession) => void;
}

/** Told when a service's session is not the one that it was: what the old one kept is gone. */
export type OnReplaced = (next: BackendSession, subscribed: readonly string[]) => void;

/** What a backend says by itself, on a stream that belongs to no call. */
export type Hear = (message: RequestEnvelope | NotificationEnvelope, from: BackendSession) => void;

const GOODBYE_MS = 2000;
const TELL_TIMEOUT_MS = 10_000;
const MAX_SMALL_ANSWER_BYTES = 1 << 20;
const MAX_EVENT_BYTES = 16 << 20;

/**
 * The backend sessions of one client session: one at each instance that it has used, opened on first use with
 * that client's capabilities and name. So ids and progress tokens cannot collide with another client's, and
 * what a server asks reaches the client whose call made it ask.
 *
 * What the client has set (log level, subscriptions) is set anew in every session that is opened.
 */
export class BackendSessions {
  readonly #options: BackendSessionsOptions;
  readonly #introduction: Introduction;
  readonly #memory: SessionMemory | undefined;
  readonly #open = new Map<InstanceId, BackendSession>();
  readonly #opening = new Map<InstanceId, Promise<BackendSession>>();
  readonly #forgetting = new Map<InstanceId, Promise<void>>();
  /** Ids that a backend did not know any more; the memory may be late to learn it. */
  readonly #dead = new Map<InstanceId, string>();
  /** Where each service's session is; a stateful service has one at a time. */
  readonly #pins = new Map<ServiceName, InstanceId>();
  readonly #subscriptions = new Map<ServiceName, Set<string>>();
  readonly #listeners = new Map<BackendSession, Listener>();
  /** Services that a session was opened at. */
  readonly #served = new Set<ServiceName>();
  readonly #onReplaced: OnReplaced | undefined;
  #level: string | undefined;
  #hear: Hear | undefined;
  #closed = false;

  constructor(
    options: BackendSessionsOptions,
    introduction: Introduction,
    memory?: SessionMemory,
    onReplaced?: OnReplaced,
  ) {
    this.#options = options;
    this.#onReplaced = onReplaced;
    this.#introduction = introduction;
    this.#memory = memory;
  }

  /** The session at the target, if it is open or needs no opening. */
  ready(target: Target): BackendSession | undefined {
    const open = this.#open.get(target.instance.id);
    // A registration that changed is another server; and which session counts is settled once it is opened.
    const settled = !this.#opening.has(target.instance.id);
    if (settled && open?.instance.registration === target.instance.registration) return open;
    if (!target.sessionless) return undefined;
    return this.#keep(target.instance, undefined, target.definition.protocolVersion, undefined);
  }

  /**
   * Opens the session at the target; callers that want the same one wait together.
   * @throws {HandshakeError}
   */
  open(target: Target): Promise<BackendSession> {
    const { instance } = target;
    let opening = this.#opening.get(instance.id);
    if (!opening) {
      opening = this.#begin(instance).finally(() => this.#opening.delete(instance.id));
      this.#opening.set(instance.id, opening);
    }
    return opening;
  }

  /** The backend does not know this session any more; the next use opens another. */
  forget(session: BackendSession): void {
    this.#drop(session);
    const { known, instance } = session;
    if (known === undefined || this.#memory === undefined) return;
    this.#dead.set(instance.id, known.id);
    const forgetting = this.#memory
      .forget(instance.id, known)
      .finally(
        () => this.#forgetting.get(instance.id) === forgetting && this.#forgetting.delete(instance.id),
      );
    this.#forgetting.set(instance.id, forgetting);
  }

  /** New calls go elsewhere; a session that is open there stays for those that run in it. */
  unpin(service: ServiceName, from: InstanceId): void {
    if (this.#pins.get(service) === from) this.#pins.delete(service);
  }

  /** Resources that the client wants to hear of, under the service's own names. */
  subscriptions(service: ServiceName): readonly string[] {
    return [...(this.#subscriptions.get(service) ?? [])];
  }

  /** Goes on in a session that another replica opened, unless there is one already. */
  adopt(instance: Instance, known: KnownSession): void {
    if (!this.#usable(instance, known)) return;
    const open = this.#open.get(instance.id);
    if (open?.instance.registration === instance.registration || this.#opening.has(instance.id)) return;
    this.#keepKnown(instance, known);
  }

  /** Sessions here that other replicas can go on with. */
  get known(): ReadonlyMap<InstanceId, KnownSession> {
    const known = [...this.#open].flatMap(([id, session]) =>
      session.known ? [[id, session.known] as const] : [],
    );
    return new Map(known);
  }

  /** What is known of them beyond this process was lost: says it again. */
  async rememberAgain(instances: readonly InstanceId[]): Promise<void> {
    for (const id of instances) {
      const known = this.#open.get(id)?.known;
      if (known) await this.#memory?.remember(id, known);
    }
  }

  /** Sends a notification or a response; nobody waits for it, and a backend that does not take it is left alone. */
  tell(session: BackendSession, text: string): void {
    void this.#post(session, text, undefined).catch(() => undefined);
  }

  pinned(service: ServiceName): InstanceId | undefined {
    return this.#pins.get(service);
  }

  /** Where calls for each service go by now. */
  get pins(): ReadonlyMap<ServiceName, InstanceId> {
    return this.#pins;
  }

  all(): Iterable<BackendSession> {
    return this.#open.values();
  }

  /** What the client wants to be told of; undefined until it says so. */
  get level(): string | undefined {
    return this.#level;
  }

  /** Sets the log level in every session that has logging, now and later. */
  setLevel(level: string): void {
    this.#level = level;
    for (const session of this.#open.values()) void this.#applyLevel(session);
  }

  /** To be told of updates also after the service's session had to be opened anew. */
  subscribed(service: ServiceName, uri: string): void {
    const uris = this.#subscriptions.get(service) ?? new Set<string>();
    this.#subscriptions.set(service, uris.add(uri));
  }

  unsubscribed(service: ServiceName, uri: string): void {
    this.#subscriptions.get(service)?.delete(uri);
  }

  /** Opens the stream on which each backend speaks by itself, now and for later sessions; undefined closes them. */
  listen(hear: Hear | undefined): void {
    this.#hear = hear;
    for (const session of this.#open.values()) {
      if (hear) this.#startHearing(session);
      else this.#unhear(session);
    }
  }

  /** Ends every session at its backend. Best effort, never rejects. */
  close(): Promise<void> {
    return this.#close(() => true);
  }

  /** Other replicas go on with the sessions that they know of; only the rest is ended. Never rejects. */
  letGo(): Promise<void> {
    return this.#close((session) => session.known === undefined);
  }

  async #close(ends: (session: BackendSession) => boolean): Promise<void> {
    this.#closed = true;
    const sessions = [...this.#open.values()];
    for (const session of sessions) this.#unhear(session);
    this.#open.clear();
    this.#pins.clear();
    this.#subscriptions.clear();
    await Promise.all(sessions.filter(ends).map((session) => this.end(session)));
  }

  async #begin(instance: Instance): Promise<BackendSession> {
    // What is forgotten must not be recalled.
    await this.#forgetting.get(instance.id);
    const known = await this.#memory?.recall(instance.id);
    return known && this.#usable(instance, known)
      ? this.#keepKnown(instance, known)
      : this.#handshake(instance);
  }

  #usable(instance: Instance, { id, registration }: KnownSession): boolean {
    return registration === instance.registration && id !== this.#dead.get(instance.id) && !this.#closed;
  }

  async #handshake(instance: Instance): Promise<BackendSession> {
    const { connections, handshakeTimeoutMs: timeoutMs } = this.#options;
    const opened = await handshake(connections, instance.endpoint, this.#introduction, {
      headers: [],
      timeoutMs,
    });
    const session = this.#keep(
      instance,
      opened.sessionId,
      opened.protocolVersion,
      opened.capabilities,
      this.#tellable(instance, opened),
    );
    // The client said goodbye while the backend was still saying hello.
    if (this.#closed) {
      this.#open.delete(instance.id);
      await this.end(session);
      return session;
    }
    // Before the first call, so that what the call makes the server say finds them set.
    const uris = this.#subscriptions.get(instance.service) ?? [];
    const [settled] = await Promise.all([
      this.#settle(session),
      this.#applyLevel(session),
      ...[...uris].map((uri) => this.query(session, 'resources/subscribe', { uri })),
    ]);
    if (this.#served.has(instance.service)) this.#onReplaced?.(settled, [...uris]);
    else this.#served.add(instance.service);
    return settled;
  }

  /** Of what other replicas can go on with, what they need to know. A stream to this process is no such thing. */
  #tellable(
    { endpoint, service, registration }: Instance,
    opened: { readonly sessionId: string | undefined; protocolVersion: string; capabilities: RawJson },
  ): KnownSession | undefined {
    const { sessionId: id, protocolVersion, capabilities } = opened;
    const lasting = endpoint.transport === 'streamable-http' && !this.#options.connections.foundSse(endpoint);
    if (!this.#memory || id === undefined || !lasting) return undefined;
    const openedAt = this.#options.wallClock();
    return { id, protocolVersion, capabilities, service, registration, openedAt };
  }

  /** Of two replicas that open at the same time, one is first; the other takes that session and ends its own. */
  async #settle(session: BackendSession): Promise<BackendSession> {
    const { known, instance } = session;
    if (!known) return session;
    const first = (await this.#memory?.remember(instance.id, known)) ?? known;
    if (first.id === known.id || !this.#usable(instance, first)) return session;
    void this.end(session);
    return this.#keepKnown(instance, first);
  }

  #keepKnown(instance: Instance, known: KnownSession): BackendSession {
    this.#served.add(instance.service);
    return this.#keep(instance, known.id, known.protocolVersion, known.capabilities, known);
  }

  #keep(
    instance: Instance,
    id: string | undefined,
    protocolVersion: string,
    capabilities: RawJson | undefined,
    known?: KnownSession,
  ): BackendSession {
    const old = this.#open.get(instance.id);
    if (old) this.#leave(old);
    const headers = messageHeaders({ id, protocolVersion });
    const session: BackendSession = { instance, id, protocolVersion, headers, capabilities, known };
    this.#open.set(instance.id, session);
    this.#pins.set(instance.service, instance.id);
    if (this.#hear) this.#startHearing(session);
    return session;
  }

  async #applyLevel(session: BackendSession): Promise<void> {
    const logs = session.capabilities?.includes('"logging"') ?? false;
    if (this.#level !== undefined && logs)
      await this.query(session, 'logging/setLevel', { level: this.#level });
  }

  /** A request of the router's own; undefined where it came to nothing. */
  async query(
    session: BackendSession,
    method: string,
    params: Record<string, unknown>,
  ): Promise<RawJson | undefined> {
    const id = nextId();
    const text = `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${JSON.stringify(params)}}`;
    try {
      const reply = await this.#post(session, text, id);
      return reply.kind === 'result' ? reply.result : undefined;
    } catch (error) {
      if (error instanceof AskError) return undefined;
      throw error;
    }
  }

  #post(session: BackendSession, text: string, id: RawJson | undefined): Promise<Reply> {
    return ask(this.#options.connections, {
      endpoint: session.instance.endpoint,
      headers: [],
      session,
      text,
      id,
      timeoutMs: TELL_TIMEOUT_MS,
      maxBytes: MAX_SMALL_ANSWER_BYTES,
    });
  }

  #startHearing(session: BackendSession): void {
    // Without a session there is nobody whom the backend could know on another connection.
    if (session.id === undefined || this.#listeners.has(session)) return;
    const { connections, handshakeTimeoutMs: timeoutMs, now, random } = this.#options;
    const listener = listen(connections, {
      endpoint: session.instance.endpoint,
      opening: sessionStream(session),
      timeoutMs,
      maxEventBytes: MAX_EVENT_BYTES,
      onMessage: (message) => {
        if (message.kind !== 'response') this.#hear?.(message, session);
      },
      onOver: (reason) => {
        this.#listeners.delete(session);
        if (reason === 'session-lost') this.#options.onLost?.(session);
      },
      now,
      random,
    });
    this.#listeners.set(session, listener);
  }

  #drop(session: BackendSession): void {
    if (this.#open.get(session.instance.id) === session) this.#open.delete(session.instance.id);
    this.#leave(session);
  }

  #leave(session: BackendSession): void {
    this.#unhear(session);
    this.#options.connections.leave(session.instance.endpoint, session.id);
  }

  #unhear(session: BackendSession): void {
    this.#listeners.get(session)?.stop();
    this.#listeners.delete(session);
  }

  /** Says goodbye to the backend. Best effort, never rejects. */
  end(session: BackendSession): Promise<void> {
    const { id, protocolVersion, instance } = session;
    if (id === undefined) return Promise.resolve();
    return endSession(this.#options.connections, instance.endpoint, { id, protocolVersion }, [], GOODBYE_MS);
  }
}
