import type { IncomingHttpHeaders } from 'node:http';
import type { Target } from '../model.ts';
import { readEnvelope, type NotificationEnvelope, type RequestEnvelope } from '../relay/envelope.ts';
import { encodeHeader, METHOD_HEADER, MODERN_VERSION, modernHeaders, NAME_HEADER } from '../relay/modern.ts';
import type { BackendSession } from '../upstream/backend-sessions.ts';
import { nothing, type Bridge, type Outgoing, type Said } from './bridge.ts';
import type { Destination } from './call.ts';
import type { ModernCaller } from './modern-caller.ts';
import { clientParamHeaders, paramHeaders } from './modern-request.ts';
import { requestScoped } from './server-messages.ts';

/** Client and backend of the stateless era: the same bytes, under headers that fit the backend's names. */
export class ModernBridge implements Bridge {
  readonly #caller: ModernCaller;
  readonly #target: Target;
  readonly #to: Destination;

  constructor(caller: ModernCaller, target: Target, to: Destination) {
    this.#caller = caller;
    this.#target = target;
    this.#to = to;
  }

  ready(): BackendSession {
    return statelessSession(this.#target);
  }

  open(): Promise<BackendSession> {
    return Promise.resolve(this.ready());
  }

  forget(): void {}

  outgoing(_backend: BackendSession, more: readonly string[]): Outgoing {
    const { headers } = this.#caller;
    const own = modernHeaders(String(headers[METHOD_HEADER]), this.#to.name, [
      ...more,
      ...this.#paramHeaders(headers),
    ]);
    // Of an extension's method the router does not know what its name mirrors.
    const name = headers[NAME_HEADER];
    if (this.#to.name === undefined && typeof name === 'string') own.push(NAME_HEADER, name);
    return { headers: own, body: this.#to.text };
  }

  #paramHeaders(headers: IncomingHttpHeaders): string[] {
    const { indirect, mirrored = [], text } = this.#to;
    if (!indirect) return clientParamHeaders(headers);
    const request = readEnvelope(text);
    return request.kind === 'request' ? paramHeaders(request, mirrored, encodeHeader) : [];
  }

  message(message: RequestEnvelope | NotificationEnvelope, backend: BackendSession): Said {
    const { scope } = this.#caller;
    const service = this.#caller.catalogEntry(backend.instance.service);
    const text = requestScoped(message, backend, scope, service);
    return text === undefined ? nothing : { kind: 'event', text };
  }

  // The exchange is aborted, and that is the whole message (2026-07-28, basic/patterns/cancellation).
  cancel(): void {}
}

/** In the stateless era there is nothing to open. */
export function statelessSession(target: Target): BackendSession {
  return {
    instance: target.instance,
    id: undefined,
    protocolVersion: MODERN_VERSION,
    headers: [],
    capabilities: target.definition.capabilities,
  };
}
