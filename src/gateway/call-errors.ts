import { RouterError } from '../errors.ts';
import type { ServiceName } from '../model.ts';
import type { Pick } from '../routing/pick.ts';
import type { ExchangeFailure } from '../upstream/exchange.ts';
import { HandshakeError } from '../upstream/handshake.ts';

/** What clients are told when a call fails. Sentences name the service, never an address. */

const RETRY_AFTER_MS = 1000;

export function nobody(service: ServiceName, picked: Exclude<Pick, { kind: 'picked' }>): RouterError {
  const retryAfterMs = picked.kind === 'no-healthy' ? picked.retryAfterMs : RETRY_AFTER_MS;
  return new RouterError(
    'NO_HEALTHY_INSTANCE',
    `No instance of ${service} is healthy right now. Try again in ${Math.ceil(retryAfterMs / 1000)} s.`,
    { service, retryAfterMs },
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

export function failed(service: ServiceName, failure: ExchangeFailure, repeatable: boolean): RouterError {
  if (failure.kind === 'garbage') return garbage(service);
  return cut(service, repeatable, failure.cause);
}

/** The request was out and the answer did not come, or not whole. */
export function cut(service: ServiceName, repeatable: boolean, cause?: unknown): RouterError {
  return new RouterError(
    'BACKEND_FAILED',
    repeatable
      ? `${service} broke off while it answered, also when asked again. Try again in a moment.`
      : `${service} broke off before it answered. The call may or may not have been executed: check before you repeat it.`,
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
  retryAfter: string | string[] | undefined,
): RouterError {
  const seconds =
    typeof retryAfter === 'string' && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : undefined;
  return new RouterError(
    'BACKEND_FAILED',
    status === 429 || status === 503
      ? `${service} is overloaded (HTTP ${status}).${seconds === undefined ? '' : ` Try again in ${seconds} s.`}`
      : `${service} answered with HTTP ${status} instead of a result.`,
    { service, status, ...(seconds !== undefined && { retryAfterMs: seconds * 1000 }) },
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
