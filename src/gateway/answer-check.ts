import type { ErrorCode, RouterError } from '../errors.ts';
import type { RawJson, ServiceName } from '../model.ts';
import { EnvelopeError, readEnvelope, type Envelope } from '../relay/envelope.ts';
import { memberObject, memberText } from '../relay/json-scan.ts';
import { modernErrors } from '../relay/modern.ts';
import type { AnswerHead } from '../upstream/exchange.ts';
import * as problem from './call-errors.ts';

/** How a call ended, for metrics and audit. `tool-error` is a result with `isError`. */
export type CallResult = 'ok' | 'tool-error' | 'rpc-error' | 'cancelled' | ErrorCode;

/**
 * Whether a body is the answer to the request: a client that got another one would wait for ever. Nearly always
 * the id stands in the bytes as the client spelled it, and a native search finds it; only where it does not is
 * the body read.
 */
export function answers(body: Buffer, id: RawJson): boolean {
  if (body.includes(`"id":${id},`) || body.includes(`"id":${id}}`)) return true;
  const message = tryEnvelope(body.toString());
  if (message?.kind !== 'response') return false;
  return message.id === id || sameJson(message.id, id) || (message.failed && message.id === 'null');
}

/** `1` and `1.0`, or `"a"` and `"\u0061"`. */
function sameJson(a: RawJson, b: RawJson): boolean {
  return JSON.parse(a) === JSON.parse(b);
}

/** What the answer says of the call. The body is read only where the rare words stand in it. */
export function resultOf(body: Buffer | string): CallResult {
  const suspicious = body.includes('"isError"') || body.includes('"error"');
  if (!suspicious) return 'ok';
  const message = tryEnvelope(body.toString());
  if (message?.kind !== 'response') return 'ok';
  if (message.failed) return 'rpc-error';
  const result = memberObject(message.text, message.members, 'result');
  return result && memberText(message.text, result, 'isError') === 'true' ? 'tool-error' : 'ok';
}

export type Verdict =
  /** The backend does not know the session; the request was not executed. */
  | { readonly kind: 'session-unknown'; readonly error: RouterError }
  /** A JSON-RPC error of the backend's own, to be passed on as it is. */
  | { readonly kind: 'backend-error' }
  | { readonly kind: 'failed'; readonly error: RouterError };

/**
 * What an answer with another status than 200 means. By its meaning, not by one status alone: servers say 404
 * (2025-11-25, session management), 400 or 503 for a session that they do not know.
 */
export function judge(
  head: AnswerHead,
  text: string,
  about: { readonly service: ServiceName; readonly inSession: boolean; readonly stateless: boolean },
): Verdict {
  const { status } = head;
  const message = tryEnvelope(text);
  const rpcError = message?.kind === 'response' && message.failed;
  if (
    about.inSession &&
    (status === 404 || ((status === 400 || status === 503) && speaksOfLostSession(text)))
  ) {
    return { kind: 'session-unknown', error: problem.sessionLost(about.service) };
  }
  if (status === 401 || status === 403 || status === 407) {
    return { kind: 'failed', error: problem.refused(about.service) };
  }
  if (rpcError && about.stateless) {
    // What it was when it was asked last it is no more; that is for the router to find out, not for the client.
    const changed = memberText(text, message.members, 'error')?.includes(
      `${modernErrors.unsupportedVersion}`,
    );
    if (!changed) return { kind: 'backend-error' };
  }
  // 404 would make a client give up its session with the router, so that one is never passed on.
  if (rpcError && !about.stateless && status !== 404) return { kind: 'backend-error' };
  return { kind: 'failed', error: problem.badStatus(about.service, status, retryAfterMs(head)) };
}

/** `No valid session ID provided`, `unknown session`; not `too many sessions`: then it may have acted. */
function speaksOfLostSession(text: string): boolean {
  return (
    /session/i.test(text) &&
    /\b(no valid|no active|no session|could not find|cannot find|invalid|not valid|unknown|not found|missing|required|expired|terminated|closed|does not exist|no such|not initialized)\b/i.test(
      text,
    )
  );
}

/**
 * How long a backend that refused wants to be left alone, in milliseconds (RFC 9110 §10.2.3: seconds, or a date,
 * which is taken relative to the answer's own); undefined where it does not say.
 */
export function retryAfterMs({ status, headers }: AnswerHead): number | undefined {
  const value = headers['retry-after'];
  if ((status !== 429 && status !== 503) || typeof value !== 'string') return undefined;
  if (/^\d{1,6}$/.test(value)) return Number(value) * 1000;
  const untilMs = Date.parse(value) - Date.parse(String(headers['date']));
  return untilMs >= 0 ? untilMs : undefined;
}

/** Of a stateless backend's error, for a client that takes 404 for the end of its session. */
export function legacyStatus(status: number): number {
  return status === 404 ? 200 : status;
}

function tryEnvelope(text: string): Envelope | undefined {
  try {
    return readEnvelope(text);
  } catch (error) {
    if (error instanceof EnvelopeError) return undefined;
    throw error;
  }
}
