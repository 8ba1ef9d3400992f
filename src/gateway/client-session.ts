import type { RawJson, ServiceName } from '../model.ts';
import type { BackendSessions } from '../upstream/backend-sessions.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import type { SealedSessionId, SessionSeal } from './sealed-id.ts';

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

/**
 * One client session in this process. What makes the session is in its seal; what stands here is only what this
 * process is doing for it, and can be dropped and made again at any time.
 */
export class ClientSession {
  readonly sealed: SealedSessionId;
  readonly seal: SessionSeal;
  readonly scope: Scope;
  readonly backends: BackendSessions;
  /** By the client's request id as it spelled it. */
  readonly running = new Map<RawJson, RunningCall>();
  /** The stream on which the router speaks by itself; undefined while the client has none open. */
  stream: HttpStream | undefined;
  /** For the idle limit; milliseconds of the sessions' clock. */
  lastSeenAt: number;

  constructor(
    sealed: SealedSessionId,
    seal: SessionSeal,
    scope: Scope,
    backends: BackendSessions,
    lastSeenAt: number,
  ) {
    this.sealed = sealed;
    this.seal = seal;
    this.scope = scope;
    this.backends = backends;
    this.lastSeenAt = lastSeenAt;
  }

  /** What an operator may see of it: never the id, which is a credential. */
  describe(now: number): {
    readonly path: string;
    readonly client: unknown;
    readonly protocolVersion: string;
    readonly idleMs: number;
    readonly running: number;
    readonly stream: boolean;
    /** Instance by service. */
    readonly backends: Readonly<Record<string, string>>;
  } {
    return {
      path: this.seal.path,
      client: JSON.parse(this.seal.clientInfo) as unknown,
      protocolVersion: this.seal.protocolVersion,
      idleMs: Math.round(now - this.lastSeenAt),
      running: this.running.size,
      stream: this.stream !== undefined,
      backends: Object.fromEntries(this.backends.pins),
    };
  }

  /** Busy sessions are not idle, however long their last request is ago. */
  get busy(): boolean {
    return this.running.size > 0 || this.stream !== undefined;
  }
}
