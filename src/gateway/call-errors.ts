import { RouterError } from '../errors.ts';
import type { ServiceName } from '../model.ts';
import type { Pick } from '../routing/pick.ts';
import type { ExchangeFailure } from '../upstream/exchange.ts';
import { HandshakeError } from '../upstream/handshake.ts';

/** What clients are told when a call fails. Sentences name the service, never an address. */

const RETRY_AFTER_MS = 1000;

export function nobody(
  service: ServiceName,
  picked: Extract<Pick, { kind: 'no-healthy' | 'unknown-service' }>,
): RouterError {
  const retryAfterMs = picked.kind === 'no-healthy' ? picked.retryAfterMs : RETRY_AFTER_MS;
  return new RouterError(
    'NO_HEALTHY_INSTANCE',
    `No instance of ${service} is healthy right now. Try again in ${Math.ceil(retryAfterMs / 1000)} s.`,
    { service, retryAfterMs },
  );
}

/** Every instance that may take the call asked for a pause (Retry-After). */
export function resting(service: ServiceName, retryAfterMs: number): RouterError {
  return new RouterError(
    'OVERLOADED',
    `${service} asked to be left alone for a while. The call was not executed; try again in ${Math.ceil(retryAfterMs / 1000)} s.`,
    { service, retryAfterMs },
  );
}

/** No room at any instance that may take the call, and none in the queue, or for too long. */
export function full(service: ServiceName, waitedMs: number): RouterError {
  return new RouterError(
    'OVERLOADED',
    `${service} has as many calls as it may have (mcp-max-concurrency)` +
      `${waitedMs > 0 ? `, for ${Math.round(waitedMs)} ms by now` : ', and enough are waiting'}. ` +
      'The call was not executed; try again in a moment.',
    { service, retryAfterMs: RETRY_AFTER_MS },
  );
}

/** The whole call, with all its attempts and all its progress, took too long. */
export function tookTooLong(service: ServiceName, limitMs: number): RouterError {
  return new RouterError(
    'BACKEND_TIMEOUT',
    `The call of ${service} was cancelled after ${limitMs} ms, the most that a call may take ` +
      '(MCP_ROUTER_CALL_TIMEOUT). It may or may not have been executed.',
    { service, timeoutMs: limitMs },
  );
}

/** The instance was taken out of service, and the call did not come to an end in time. */
export function drained(service: ServiceName, repeatable: boolean): RouterError {
  return new RouterError(
    'BACKEND_FAILED',
    `The instance of ${service} that worked on the call was taken out of service, and the call was cancelled. ` +
      (repeatable
        ? 'It may be repeated without harm.'
        : 'It may or may not have been executed: check before you repeat it.'),
    { service, retryAfterMs: RETRY_AFTER_MS },
  );
}

export function noFirstByte(service: ServiceName, timeoutMs: number): RouterError {
  return new RouterError(
    'BACKEND_TIMEOUT',
    `${service} did not begin to answer within ${timeoutMs} ms and the call was cancelled. ` +
      'It may or may not have been executed (MCP_ROUTER_FIRST_BYTE_TIMEOUT sets the limit).',
    { service, timeoutMs },
  );
}

export function unreachable(service: ServiceName): RouterError {
  return new RouterError(
    'NO_HEALTHY_INSTANCE',
    `No instance of ${service} could be reached. The call was not executed; try again in a moment.`,
    { service, retryAfterMs: RETRY_AFTER_MS },
  );
}

export function noSession(service: ServiceName, error: unknown): RouterError {
  const kind = error instanceof HandshakeError ? error.kind : undefined;
  if (kind === 'connect' || kind === 'cut' || kind === 'timeout') return unreachable(service);
  if (error instanceof HandshakeError && (error.status === 401 || error.status === 403))
    return refused(service);
  return new RouterError(
    'BACKEND_FAILED',
    `${service} did not open a session. The call was not executed; the router's log says why.`,
    { service },
    error,
  );
}

export function failed(service: ServiceName, failure: ExchangeFailure, about: Broken): RouterError {
  if (failure.kind === 'garbage') return garbage(service);
  return cut(service, about, failure.cause);
}

/** What a call was that broke. */
export interface Broken {
  readonly repeatable: boolean;
  /** The service keeps something for the session. */
  readonly stateful: boolean;
}

/** The request was out and the answer did not come, or not whole. */
export function cut(service: ServiceName, { repeatable, stateful }: Broken, cause?: unknown): RouterError {
  const lost = stateful ? ' If it went down, what it kept for this session may be lost.' : '';
  return new RouterError(
    'BACKEND_FAILED',
    repeatable
      ? `${service} broke off before it had answered. The call may be repeated without harm: try again in a moment.${lost}`
      : `${service} broke off before it answered. The call may or may not have been executed: check before you repeat it.${lost}`,
    { service, retryAfterMs: RETRY_AFTER_MS },
    cause,
  );
}

export function garbage(service: ServiceName): RouterError {
  return new RouterError(
    'BACKEND_GARBAGE',
    `${service} answered with something that is not MCP. The server has to be mended; the router's log has details.`,
    { service },
  );
}

export function timedOut(service: ServiceName, timeoutMs: number): RouterError {
  return new RouterError(
    'BACKEND_TIMEOUT',
    `${service} gave no sign for ${timeoutMs} ms and the call was cancelled. ` +
      'It may or may not have been executed; long calls should report progress (mcp-timeout-ms sets the limit).',
    { service, timeoutMs },
  );
}

/** The backend refused the router, not the caller: a 401 or 403 of its own must not look like the router's. */
export function refused(service: ServiceName): RouterError {
  return new RouterError(
    'BACKEND_REFUSED',
    `${service} does not let the router in. An operator has to mend its credential (mcp-credential).`,
    { service },
  );
}

export function sessionLost(service: ServiceName): RouterError {
  return new RouterError(
    'BACKEND_SESSION_LOST',
    `${service} forgot its session, twice in a row. The call was not executed; try again.`,
    { service },
  );
}

export function badStatus(
  service: ServiceName,
  status: number,
  retryAfterMs: number | undefined,
): RouterError {
  const seconds = retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs / 1000);
  return new RouterError(
    'BACKEND_FAILED',
    status === 429 || status === 503
      ? `${service} is overloaded (HTTP ${status}).${seconds === undefined ? '' : ` Try again in ${seconds} s.`}`
      : `${service} answered with HTTP ${status} instead of a result.`,
    { service, status, ...(retryAfterMs !== undefined && { retryAfterMs }) },
  );
}

export function cannotAsk(service: ServiceName): RouterError {
  return new RouterError(
    'NOT_TRANSLATABLE',
    `${service} has a question first, and this client takes no event stream to be asked on. ` +
      'Send Accept: application/json, text/event-stream.',
    { service },
  );
}

export function notAnswered(service: ServiceName): RouterError {
  return new RouterError(
    'NOT_TRANSLATABLE',
    `${service} asked for something that the client refused to give. The call was not executed.`,
    { service },
  );
}

export function asksForEver(service: ServiceName): RouterError {
  return new RouterError(
    'BACKEND_FAILED',
    `${service} kept asking without ever answering. The server has to be mended.`,
    { service },
  );
}
