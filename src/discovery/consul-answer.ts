import type { IncomingMessage } from 'node:http';
import { gunzipSync } from 'node:zlib';
import type { DoubtReason } from '../model.ts';

/** Consul's answer to a query: 2xx, or 404 where that says that there is no such key. */
export interface ConsulAnswer {
  /** Parsed JSON. */
  readonly body: unknown;
  /** `X-Consul-Index`; undefined where the header is missing or no number. */
  readonly index: bigint | undefined;
  /** `X-Consul-Results-Filtered-By-ACLs`: the token may not see everything. */
  readonly filtered: boolean;
  /** `X-Consul-KnownLeader`; false also where Consul answers from a stream (1.10 and later, health). */
  readonly knownLeader: boolean;
}

/** Why there is no believable answer. */
export class ConsulError extends Error {
  readonly reason: DoubtReason;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;
  constructor(
    reason: DoubtReason,
    message: string,
    about: { status?: number; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, about.cause === undefined ? undefined : { cause: about.cause });
    this.name = 'ConsulError';
    this.reason = reason;
    this.status = about.status;
    this.retryAfterMs = about.retryAfterMs;
  }
}

const MAX_UNPACKED_BYTES = 256 * 1024 * 1024;

/** A response as papi gives it: with its body read. */
export type RawAnswer = IncomingMessage & { body?: Buffer };

/** @throws {ConsulError} 'garbage' for a body that Consul would not send. */
export function readAnswer(response: RawAnswer): ConsulAnswer {
  const index = response.headers['x-consul-index'];
  return {
    // Of all calls the package lets a 404 through only from KV.
    body: response.statusCode === 404 ? [] : readBody(response),
    index: typeof index === 'string' && /^\d{1,20}$/.test(index) ? BigInt(index) : undefined,
    filtered: response.headers['x-consul-results-filtered-by-acls'] === 'true',
    knownLeader: response.headers['x-consul-knownleader'] === 'true',
  };
}

function readBody(response: RawAnswer): unknown {
  const type = response.headers['content-type'] ?? '';
  const bytes = unpack(response);
  if (!type.startsWith('application/json')) {
    throw new ConsulError(
      'garbage',
      `answered 200 with ${type || 'no content type'}: something stands between the router and Consul`,
    );
  }
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    throw new ConsulError('garbage', 'answered 200 with JSON that is cut or broken', { cause: error });
  }
}

function unpack(response: RawAnswer): Buffer {
  const body = response.body ?? Buffer.alloc(0);
  if (response.headers['content-encoding'] !== 'gzip') return body;
  try {
    return gunzipSync(body, { maxOutputLength: MAX_UNPACKED_BYTES });
  } catch (error) {
    throw new ConsulError('garbage', 'answered 200 with a gzip body that is broken', { cause: error });
  }
}

/** What an error of the package means; see docs of Consul's HTTP API and consul.md for the exact texts. */
export function asConsulError(error: unknown): ConsulError {
  if (error instanceof ConsulError) return error;
  const response = (error as { response?: RawAnswer }).response;
  // An error after a good head: the body was cut.
  if (!response?.statusCode || response.statusCode < 300) {
    const code = (error as { code?: string }).code;
    const limited =
      code === 'ECONNRESET' ? ' (older agents also reset connections over http_max_conns_per_client)' : '';
    const message = error instanceof Error ? error.message : String(error);
    return new ConsulError('unreachable', `gave no answer: ${message}${limited}`, { cause: error });
  }
  const status = response.statusCode;
  const text = firstLine(response);
  const retryAfterMs = retryAfter(response);
  const about = { status, ...(retryAfterMs > 0 && { retryAfterMs }), cause: undefined };
  if (status === 401 || status === 403) {
    return new ConsulError(
      'refused',
      `answered ${status} ${text}: check the token (CONSUL_HTTP_TOKEN, _TOKEN_FILE)`,
      about,
    );
  }
  if (status === 429) {
    return new ConsulError(
      'rate-limited',
      `answered 429 ${text}: raise limits.http_max_conns_per_client of the agent, or lower MCP_ROUTER_CONSUL_MAX_QUERIES`,
      about,
    );
  }
  if (status < 500) {
    return new ConsulError(
      'garbage',
      `answered ${status} ${text}: check that CONSUL_HTTP_ADDR names a Consul agent and nothing stands before it`,
      about,
    );
  }
  return new ConsulError('server-error', `answered ${status} ${text}`, about);
}

const MAX_RETRY_AFTER_MS = 5 * 60_000;

/** Milliseconds; 0 where it is not said. Seconds or a date (RFC 9110, 10.2.3), the date by the answer's own clock. */
function retryAfter({ headers }: RawAnswer): number {
  const said = headers['retry-after'] ?? '';
  const ms = /^\d+$/.test(said) ? Number(said) * 1000 : Date.parse(said) - Date.parse(headers.date ?? '');
  return ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : 0;
}

function firstLine(response: RawAnswer): string {
  try {
    return unpack(response).toString('utf8', 0, 200).split('\n')[0]?.trim() ?? '';
  } catch {
    return '';
  }
}
