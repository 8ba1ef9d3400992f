import type { RawJson, Target } from '../model.ts';
import type { NotificationEnvelope, RequestEnvelope } from '../relay/envelope.ts';
import type { BackendSession } from '../upstream/backend-sessions.ts';
import type { Bridge, BridgedCall, Outgoing, Said } from './bridge.ts';
import type { Destination } from './call.ts';
import type { ClientSession } from './client-session.ts';

/** A client and a backend of the session era: the client's own session there, and nothing changed but names. */
export class LegacyBridge implements Bridge {
  readonly #session: ClientSession;
  readonly #target: Target;
  readonly #to: Destination;
  readonly #call: BridgedCall;

  constructor(session: ClientSession, target: Target, to: Destination, call: BridgedCall) {
    this.#session = session;
    this.#target = target;
    this.#to = to;
    this.#call = call;
  }

  ready(): BackendSession | undefined {
    return this.#session.backends.ready(this.#target);
  }

  open(): Promise<BackendSession> {
    return this.#session.backends.open(this.#target);
  }

  forget(backend: BackendSession): void {
    this.#session.backends.forget(backend);
  }

  outgoing(backend: BackendSession, more: readonly string[]): Outgoing {
    return { headers: [...backend.headers, ...more], body: this.#to.text };
  }

  message(message: RequestEnvelope | NotificationEnvelope, backend: BackendSession): Said {
    return this.#session.heard(message, backend);
  }

  cancel(backend: BackendSession, reason: RawJson | undefined): void {
    this.#session.backends.tell(backend, cancelled(this.#call.request.id, reason));
  }
}

/** `notifications/cancelled` (2025-11-25, basic/utilities/cancellation). */
export function cancelled(id: RawJson, reason: RawJson | undefined): string {
  const because = reason === undefined ? '' : `,"reason":${reason}`;
  return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id}${because}}}`;
}
