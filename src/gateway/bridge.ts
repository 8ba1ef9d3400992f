import type { InstanceId, RawJson, ServiceName, Target } from '../model.ts';
import type { NotificationEnvelope, RequestEnvelope } from '../relay/envelope.ts';
import type { BackendSession } from '../upstream/backend-sessions.ts';
import type { Destination } from './call.ts';
import type { RunningCall } from './client-session.ts';

/** Who makes a call: a session of the session era, or a request of its own in the modern one. */
export interface Caller {
  /** For audit and metrics. */
  readonly clientInfo: RawJson;
  /** Calls with the same key go to the same instance of a stateful service; undefined: any will do. */
  readonly affinity: string | undefined;
  pinned(service: ServiceName): InstanceId | undefined;
  /** How this caller and that instance understand each other. */
  bridge(target: Target, to: Destination, id: RawJson): Bridge;
  /** So that the client can cancel it. */
  began(id: RawJson, call: RunningCall): void;
  ended(id: RawJson, call: RunningCall): void;
}

/** What goes out for one attempt. */
export interface Outgoing {
  /** Name, value, name, value, … */
  readonly headers: string[];
  readonly body: string;
}

/**
 * One call between a client of one era and a backend of one: where the backend's session comes from, and what
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
  /** A message of the backend before its answer, as the client shall read it; undefined: not for the client. */
  message(message: RequestEnvelope | NotificationEnvelope, backend: BackendSession): string | undefined;
  /** The answer as the client shall read it. Where it is missing the answer passes byte for byte. */
  readonly answer?: ((text: string, backend: BackendSession) => string) | undefined;
  /** The client does not want the answer any more. `reason` is JSON text of a string. */
  cancel(backend: BackendSession, reason: RawJson | undefined): void;
}
