import { randomBytes } from 'node:crypto';
import type { Target } from '../model.ts';
import {
  readEnvelope,
  type Envelope,
  type NotificationEnvelope,
  type RequestEnvelope,
} from '../relay/envelope.ts';
import { memberObject, memberString, memberText } from '../relay/json-scan.ts';
import { encodeHeader, membersOf, modernHeaders, withIntroduction } from '../relay/modern.ts';
import type { BackendSession } from '../upstream/backend-sessions.ts';
import {
  nothing,
  type Bridge,
  type Bridged,
  type InputRequired,
  type Outgoing,
  type Said,
} from './bridge.ts';
import type { Destination } from './call.ts';
import type { ClientSession } from './client-session.ts';
import { statelessSession } from './modern-bridge.ts';
import { paramHeaders } from './modern-request.ts';
import { requestScoped } from './server-messages.ts';

/**
 * A client of the session era at a stateless backend: every request carries what the session knows of the client,
 * and what the backend wants to know first is asked on the client's stream.
 */
export class LegacyToModernBridge implements Bridge {
  readonly #session: ClientSession;
  readonly #target: Target;
  readonly #to: Destination;

  constructor(session: ClientSession, target: Target, to: Destination) {
    this.#session = session;
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
    const { text, name, mirrored = [], inputs = [] } = this.#to;
    const request = asRequest(readEnvelope(text));
    return {
      headers: modernHeaders(request.method, name, [
        ...more,
        ...paramHeaders(request, mirrored, encodeHeader),
      ]),
      body: withIntroduction(request, this.#session.introduction, inputs),
    };
  }

  message(message: RequestEnvelope | NotificationEnvelope, backend: BackendSession): Said {
    const { scope } = this.#session;
    const text = requestScoped(message, backend, scope, this.#session.catalogEntry(backend.instance.service));
    return text === undefined ? nothing : { kind: 'event', text };
  }

  answer(text: string): Bridged {
    const inputs = text.includes('"input_required"') ? readInputRequired(text) : undefined;
    return inputs ? { kind: 'ask', inputs } : { kind: 'answer', text };
  }

  // The exchange is aborted, and that is the whole message (2026-07-28, basic/patterns/cancellation).
  cancel(): void {}
}

function asRequest(message: Envelope): RequestEnvelope {
  if (message.kind !== 'request') throw new TypeError('a destination is a request');
  return message;
}

function readInputRequired(text: string): InputRequired | undefined {
  const { members } = readEnvelope(text);
  const result = memberObject(text, members, 'result');
  if (!result || memberString(text, result, 'resultType') !== 'input_required') return undefined;
  const requests = memberObject(text, result, 'inputRequests');
  return {
    requests: requests
      ? membersOf(text, requests).map(([key, request]) => [key, asLegacyQuestion(request)])
      : [],
    requestState: memberText(text, result, 'requestState'),
  };
}

/** In the session era a visit to a page has an id, by which the server may later tell that it is done. */
function asLegacyQuestion(request: string): string {
  if (!request.includes('"url"')) return request;
  const question = JSON.parse(request) as { method: string; params?: Record<string, unknown> };
  if (question.params?.['mode'] !== 'url' || 'elicitationId' in question.params) return request;
  const elicitationId = randomBytes(12).toString('base64url');
  return JSON.stringify({ ...question, params: { ...question.params, elicitationId } });
}
