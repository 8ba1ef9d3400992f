import type { InstanceId, RawJson, ServiceName, Target } from '../model.ts';
import type { NotificationEnvelope, RequestEnvelope, ResponseEnvelope } from '../relay/envelope.ts';
import type { Answer } from '../relay/answer.ts';
import type { BackendSession } from '../upstream/backend-sessions.ts';
import type { Destination } from './call.ts';

/** Who makes a call: a session of the session era, or a request of its own in the modern one. */
export interface Caller {
  readonly era: 'legacy' | 'modern';
  /** For audit and metrics. */
  readonly clientInfo: RawJson;
  /** Calls with the same key go to the same instance of a stateful service; undefined: any will do. */
  readonly affinity: string | undefined;
  pinned(service: ServiceName): InstanceId | undefined;
  /** How this caller and that instance understand each other. */
  bridge(target: Target, to: Destination, call: BridgedCall): Bridge;
  /** So that the client can cancel it, and answer what it is asked. */
  began(id: RawJson, call: RunningCall): void;
  ended(id: RawJson, call: RunningCall): void;
  /** A server of this service waits for the client's answer: silence is no sign of trouble. */
  asked(service: ServiceName): boolean;
  /**
   * Keeps a call whose client has to answer first.
   * @returns what the client sends back with its answer
   */
  hold?(call: HeldCall): string;
}

/** A call that waits for its client's next request. */
export interface HeldCall extends RunningCall {
  readonly request: RequestEnvelope;
  readonly service: ServiceName;
  resume(request: RequestEnvelope, answer: Answer): void;
}

/** A request of the client that is under way. */
export interface RunningCall {
  /** Where it is under way now. */
  readonly at: InstanceId | undefined;
  /** The client does not want the answer any more. `reason` is JSON text of a string, or undefined. */
  cancel(reason: RawJson | undefined): void;
  /** The client answered somebody's question; true where it was one of this call's own. */
  answered(response: ResponseEnvelope): boolean;
}

/** What a bridge sees of its call. */
export interface BridgedCall {
  readonly request: RequestEnvelope;
  /** The backend said something that belongs to this call on another stream than the call's own. */
  heard(message: RequestEnvelope | NotificationEnvelope, backend: BackendSession): void;
}

/** What goes out for one attempt. */
export interface Outgoing {
  /** Name, value, name, value, … */
  readonly headers: string[];
  readonly body: string;
}

/** What becomes of a message that a backend sends before its answer. */
export type Said =
  | { readonly kind: 'nothing' }
  /** For the client's stream. */
  | { readonly kind: 'event'; readonly text: string }
  /** For a client that has no stream to be asked on: it finds the question in a result (2026-07-28, MRTR). */
  | { readonly kind: 'question'; readonly question: Question };

export const nothing: Said = { kind: 'nothing' };

/** A request of a backend to its client. */
export interface Question {
  /** The backend's id. */
  readonly id: RawJson;
  /** `{"method":…,"params":…}` */
  readonly request: string;
}

/** A backend's answer as the client of another era shall have it. */
export type Bridged =
  | { readonly kind: 'answer'; readonly text: string }
  /** The client has to be asked first, on its stream; then the call is made again with what it said. */
  | { readonly kind: 'ask'; readonly inputs: InputRequired };

/** An `input_required` result (2026-07-28, basic/patterns/mrtr). */
export interface InputRequired {
  /** Key and `{"method":…,"params":…}`. */
  readonly requests: readonly (readonly [key: string, request: string])[];
  /** JSON text of a string. */
  readonly requestState: string | undefined;
}

/**
 * One attempt between a client of one era and a backend of one: where the backend's session comes from, and what
 * changes on the way. Within the session era nothing changes but names and ids.
 */
export interface Bridge {
  /** The backend session, if it is there or none is needed. */
  ready(): BackendSession | undefined;
  /** @throws {HandshakeError} */
  open(): Promise<BackendSession>;
  /** The backend does not know the session any more. */
  forget(backend: BackendSession): void;
  outgoing(backend: BackendSession, more: readonly string[]): Outgoing;
  message(message: RequestEnvelope | NotificationEnvelope, backend: BackendSession): Said;
  /** Where it is missing the answer passes byte for byte. */
  readonly answer?: ((text: string, backend: BackendSession) => Bridged) | undefined;
  /** The client's answer to a question. `member` is `"result":…` or `"error":…`. */
  reply?(backend: BackendSession, id: RawJson, member: string): void;
  /** The client does not want the answer any more. `reason` is JSON text of a string. */
  cancel(backend: BackendSession, reason: RawJson | undefined): void;
  /** The attempt is over: what it used may be used by others. Called once. */
  release?(): void;
}
