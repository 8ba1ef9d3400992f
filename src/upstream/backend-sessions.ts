import type { Instance, InstanceId, RawJson, ServiceName, Target } from '../model.ts';
import { ask, messageHeaders } from './ask.ts';
import type { Connections } from './connections.ts';
import { endSession, handshake, type Introduction } from './handshake.ts';

/** A client's own session at one instance. */
export interface BackendSession {
  readonly instance: Instance;
  /** Undefined where the backend keeps none. */
  readonly id: string | undefined;
  readonly protocolVersion: string;
  /** Headers of every message in this session; copied, not changed, for a single call. */
  readonly headers: readonly string[];
  /** The backend's answer to `initialize`; undefined where none was needed. */
  readonly result: RawJson | undefined;
}

const GOODBYE_MS = 2000;
const TELL_TIMEOUT_MS = 10_000;
const MAX_TELL_ANSWER_BYTES = 1 << 16;

/**
 * The backend sessions of one client session: one at each instance that it has used, opened on first use with
 * that client's capabilities and name. So ids and progress tokens cannot collide with another client's, and
 * what a server asks reaches the client whose call made it ask.
 */
export class BackendSessions {
  readonly #connections: Connections;
  readonly #introduction: Introduction;
  readonly #open = new Map<InstanceId, BackendSession>();
  readonly #opening = new Map<InstanceId, Promise<BackendSession>>();
  /** Where each service's session is; a stateful service has one at a time. */
  readonly #pins = new Map<ServiceName, InstanceId>();
  #closed = false;

  constructor(connections: Connections, introduction: Introduction) {
    this.#connections = connections;
    this.#introduction = introduction;
  }

  /** The session at the target, if it is open or needs no opening. */
  ready(target: Target): BackendSession | undefined {
    const open = this.#open.get(target.instance.id);
    // A registration that changed is another server.
    if (open?.instance.registration === target.instance.registration) return open;
    if (!target.sessionless) return undefined;
    return this.#keep(target.instance, undefined, target.definition.protocolVersion, undefined);
  }

  /**
   * Opens the session at the target; callers that want the same one wait together.
   * @throws {HandshakeError}
   */
  open(target: Target, timeoutMs: number): Promise<BackendSession> {
    const { instance } = target;
    let opening = this.#opening.get(instance.id);
    if (!opening) {
      opening = this.#handshake(instance, timeoutMs).finally(() => this.#opening.delete(instance.id));
      this.#opening.set(instance.id, opening);
    }
    return opening;
  }

  /** The backend does not know this session any more; the next use opens another. */
  forget(session: BackendSession): void {
    if (this.#open.get(session.instance.id) === session) this.#open.delete(session.instance.id);
  }

  /** Sends a notification or a response; nobody waits for it, and a backend that does not take it is left alone. */
  tell(session: BackendSession, text: string): void {
    void ask(this.#connections, {
      endpoint: session.instance.endpoint,
      headers: [],
      session,
      text,
      id: undefined,
      timeoutMs: TELL_TIMEOUT_MS,
      maxBytes: MAX_TELL_ANSWER_BYTES,
    }).catch(() => undefined);
  }

  pinned(service: ServiceName): InstanceId | undefined {
    return this.#pins.get(service);
  }

  /** Where calls for each service go by now. */
  get pins(): ReadonlyMap<ServiceName, InstanceId> {
    return this.#pins;
  }

  /** Forgets sessions at instances that are gone. Calls that still run there keep their own hold of it. */
  retain(known: { has(instance: InstanceId): boolean }): void {
    for (const id of this.#open.keys()) if (!known.has(id)) this.#open.delete(id);
    for (const [service, id] of this.#pins) if (!known.has(id)) this.#pins.delete(service);
  }

  all(): Iterable<BackendSession> {
    return this.#open.values();
  }

  /** Ends every session at its backend. Best effort, never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    const sessions = [...this.#open.values()];
    this.#open.clear();
    this.#pins.clear();
    await Promise.all(sessions.map((session) => this.#end(session)));
  }

  async #handshake(instance: Instance, timeoutMs: number): Promise<BackendSession> {
    const opened = await handshake(this.#connections, instance.endpoint, this.#introduction, {
      headers: [],
      timeoutMs,
    });
    const session = this.#keep(instance, opened.sessionId, opened.protocolVersion, opened.result);
    // The client said goodbye while the backend was still saying hello.
    if (this.#closed) {
      this.#open.delete(instance.id);
      await this.#end(session);
    }
    return session;
  }

  #keep(
    instance: Instance,
    id: string | undefined,
    protocolVersion: string,
    result: RawJson | undefined,
  ): BackendSession {
    const headers = messageHeaders({ id, protocolVersion });
    const session: BackendSession = { instance, id, protocolVersion, headers, result };
    this.#open.set(instance.id, session);
    this.#pins.set(instance.service, instance.id);
    return session;
  }

  #end(session: BackendSession): Promise<void> {
    const { id, protocolVersion, instance } = session;
    if (id === undefined) return Promise.resolve();
    return endSession(this.#connections, instance.endpoint, { id, protocolVersion }, [], GOODBYE_MS);
  }
}
