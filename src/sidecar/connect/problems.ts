import { describeError, RouterError } from '../../errors.ts';
import type { Reply } from '../../upstream/ask.ts';
import type { AnswerHead, ExchangeFailure } from '../../upstream/exchange.ts';

/**
 * What goes wrong between `connect` and its server, as sentences for the person at the client. `url` is what that
 * person configured; it comes without its query, which may hold a secret.
 */

/** A refusal: an HTTP status other than 2xx, with the beginning of its body. */
export interface Refusal {
  readonly head: AnswerHead;
  readonly body: string;
}

/** Nothing was executed. */
export function unreachable(url: string, cause: Error): RouterError {
  return new RouterError(
    'UNREACHABLE',
    `Cannot reach the MCP server at ${url} (${reason(cause)}). Nothing was executed. ${nextStep(cause)}`,
    {},
    cause,
  );
}

/** Several addresses were tried: their errors stand inside of one without a message. */
function reason(cause: Error): string {
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  return describeError(first ?? cause).replaceAll(/\s+/g, ' ');
}

function nextStep(cause: Error): string {
  const text = reason(cause);
  if (/CERT|SELF_SIGNED|ISSUER|UNABLE_TO_/.test(text)) {
    return "Set NODE_EXTRA_CA_CERTS to a file with the certificate authority in connect's environment.";
  }
  if (/ENOTFOUND|EAI_AGAIN/.test(text)) return 'Check the host name in the URL.';
  return 'Start it (the router: mcp-consul-router serve) or give connect another URL, then try again.';
}

/** The connection ended although the response had not come. */
export function brokeOff(url: string, cause?: unknown): RouterError {
  return new RouterError(
    'BACKEND_FAILED',
    `The connection to ${url} ended before the response came. The request may have been executed: check before you repeat it.`,
    {},
    cause,
  );
}

export function silent(url: string, timeoutMs: number): RouterError {
  return new RouterError(
    'BACKEND_TIMEOUT',
    `The server at ${url} was silent for ${timeoutMs / 1000} s, so the request was cancelled. It may have been executed. connect --timeout sets how long to wait.`,
  );
}

export function garbage(url: string, what: string): RouterError {
  return new RouterError(
    'BACKEND_GARBAGE',
    `${url} ${what}, which is no MCP answer. Is it the URL of an MCP endpoint (Streamable HTTP)?`,
  );
}

export function tooLarge(url: string, limit: number): RouterError {
  return new RouterError('BACKEND_TOO_LARGE', `${url} answered with more than ${limit} bytes.`);
}

export function lineTooLarge(bytes: number, limit: number): RouterError {
  return new RouterError(
    'BODY_TOO_LARGE',
    `The message has ${bytes} bytes; connect takes ${limit}. Nothing was sent.`,
  );
}

export function overloaded(limit: number): RouterError {
  return new RouterError(
    'OVERLOADED',
    `${limit} requests are under way already. Try again when some are done.`,
    {
      retryAfterMs: 1000,
    },
  );
}

export function ending(): RouterError {
  return new RouterError(
    'DRAINING',
    'connect was ended while this was under way. It may have been executed: check before you repeat it.',
  );
}

/** The server forgot the session while it worked on the request, or on the way back. */
export function sessionLost(url: string): RouterError {
  return new RouterError(
    'BACKEND_SESSION_LOST',
    `The server at ${url} forgot the session while this was under way. It may have been executed: check before you repeat it.`,
  );
}

/**
 * The server does not know the session. By its meaning, not by one status alone: servers say 404 (2025-11-25,
 * session management), 400 or 503.
 */
export function forgotten({ head, body }: Refusal): boolean {
  return head.status === 404 || ((head.status === 400 || head.status === 503) && /session/i.test(body));
}

/** The server forgot the session and did not open another one; nothing was executed. */
export function notReopened(url: string, reply: Reply): RouterError {
  const why =
    reply.kind === 'error'
      ? reply.error.message
      : reply.kind === 'refused'
        ? `HTTP ${reply.head.status}`
        : 'no revision in its answer';
  return new RouterError(
    'BACKEND_SESSION_LOST',
    `The server at ${url} forgot the session and did not open another one (${why}). Nothing was executed. Try again, or start the client again.`,
  );
}

/** What failed on the way, for a request that was sent in vain. */
export function failed(url: string, failure: ExchangeFailure, timeoutMs: number): RouterError {
  switch (failure.kind) {
    case 'connect':
      return unreachable(url, failure.cause);
    case 'timeout':
      return silent(url, timeoutMs);
    case 'garbage':
      return garbage(url, 'answered with something that is no HTTP');
    case 'cut':
    case 'aborted':
      return brokeOff(url, failure.cause);
  }
}

/** An HTTP status that is no MCP answer. */
export function refused(url: string, { head, body }: Refusal): RouterError {
  const { status, headers } = head;
  const says = sentence(body, head.mediaType);
  const challenge = headers['www-authenticate'];
  const retryAfterMs = retryAfter(headers['retry-after']);
  const details = {
    status,
    ...(typeof challenge === 'string' && { wwwAuthenticate: challenge }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
  const hint = statusHint(status, headers['location']);
  return new RouterError(
    status === 401 || status === 403 || status === 407 ? 'BACKEND_REFUSED' : 'BACKEND_FAILED',
    `${url} answered with HTTP ${status}${says === '' ? '.' : `: ${says}`}${hint === '' ? '' : ` ${hint}`}`,
    details,
  );
}

function statusHint(status: number, location: string | string[] | undefined): string {
  switch (status) {
    case 401:
      return 'Give connect a token: set MCP_ROUTER_TOKEN in its environment, or start it with --token-file or --token-env.';
    case 403:
      return 'The token of connect may not do this.';
    case 404:
      return 'Is the URL right?';
    case 405:
      return 'It takes no messages there. Is it the URL of an MCP endpoint (Streamable HTTP)?';
    case 413:
      return 'The message is too large for it; the router takes MCP_ROUTER_MAX_BODY bytes.';
    default:
      return status >= 300 && status < 400 && typeof location === 'string'
        ? `It redirects to ${location.slice(0, 300)}: give connect that URL.`
        : '';
  }
}

/** Seconds or a date (RFC 9110, 10.2.3); only seconds are understood. */
function retryAfter(value: string | string[] | undefined): number | undefined {
  return typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) * 1000 : undefined;
}

const MAX_SENTENCE = 500;

/**
 * What a body says to people: the message of a JSON-RPC error, the usual members of other JSON errors (RFC 6749,
 * 5.2; RFC 9457), or short plain text. Empty where it says nothing; a page of HTML is no sentence.
 */
export function sentence(body: string, mediaType: string): string {
  const said = mediaType.endsWith('json') ? ofJson(body) : mediaType === 'text/html' ? '' : body;
  const line = said.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim();
  if (line === '' || line.length > MAX_SENTENCE) return '';
  return /[.!?]$/.test(line) ? line : `${line}.`;
}

function ofJson(body: string): string {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return '';
  }
  if (typeof value === 'string') return value;
  if (value === null || typeof value !== 'object') return '';
  const members = value as Readonly<Record<string, unknown>>;
  const inner = members['error'];
  if (inner !== null && typeof inner === 'object' && 'message' in inner) return String(inner.message);
  for (const key of ['error_description', 'detail', 'message', 'error', 'title']) {
    if (typeof members[key] === 'string') return members[key];
  }
  return '';
}
