/**
 * Every error that the router itself makes. Inside, errors have string codes; numbers exist only on the wire
 * and only in this table.
 *
 * `rpc` is the JSON-RPC code. Codes of the router's own stay outside −32768…−32000, which JSON-RPC and MCP
 * reserve. `http` is the status of an HTTP answer that carries nothing but this error.
 */
export const errorTable = {
  PARSE_ERROR: { rpc: -32700, http: 400, doc: 'The body is not JSON.' },
  INVALID_REQUEST: { rpc: -32600, http: 400, doc: 'The body is JSON, but no JSON-RPC message.' },
  METHOD_NOT_FOUND: { rpc: -32601, http: 200, doc: 'The method is not served at this endpoint.' },
  INVALID_PARAMS: { rpc: -32602, http: 200, doc: 'Parameters are missing or wrong.' },
  INTERNAL: { rpc: -32603, http: 500, doc: 'The router itself failed; its log says why.' },
  UNKNOWN_TOOL: {
    rpc: -32602,
    http: 200,
    doc: 'There is no such tool, or the caller may not see it: both look the same.',
  },
  UNKNOWN_PROMPT: { rpc: -32602, http: 200, doc: 'There is no such prompt, or the caller may not see it.' },
  UNKNOWN_RESOURCE: {
    rpc: -32002,
    http: 200,
    doc: 'There is no such resource, or the caller may not see it.',
  },
  INVALID_CURSOR: {
    rpc: -32602,
    http: 200,
    doc: 'The cursor was not made by this router; start the list again.',
  },
  UNSUPPORTED_VERSION: {
    rpc: -32000,
    http: 400,
    doc: 'The protocol version header names a revision that is not served.',
  },
  HEADER_MISMATCH: {
    rpc: -32020,
    http: 400,
    doc: 'Headers and body of a 2026-07-28 request disagree, or a required header is missing.',
  },
  MISSING_CLIENT_CAPABILITY: {
    rpc: -32021,
    http: 400,
    doc: 'The server needs to ask the client something that the client has not declared.',
  },
  UNSUPPORTED_MODERN_VERSION: {
    rpc: -32022,
    http: 400,
    doc: '`_meta` names a revision that is not served; `supported` lists those that are.',
  },
  INVALID_META: {
    rpc: -32602,
    http: 400,
    doc: '`_meta` of a 2026-07-28 request is missing or wrong.',
  },
  SESSION_REQUIRED: {
    rpc: -32000,
    http: 400,
    doc: 'A request other than `initialize` without a session id.',
  },
  SESSION_NOT_FOUND: {
    rpc: -32001,
    http: 404,
    doc: "The session is unknown, over, or somebody else's. 404 makes a client initialize again.",
  },
  NO_HEALTHY_INSTANCE: {
    rpc: 1001,
    http: 200,
    doc: 'No instance may take the call now, or none could be reached. Nothing was executed.',
  },
  BACKEND_FAILED: {
    rpc: 1002,
    http: 200,
    doc: 'The backend broke off or answered with an HTTP error. The sentence says whether it may have acted.',
  },
  BACKEND_TIMEOUT: {
    rpc: 1003,
    http: 200,
    doc: 'No sign of life for `mcp-timeout-ms`; the call was cancelled.',
  },
  BACKEND_REFUSED: {
    rpc: 1004,
    http: 200,
    doc: 'The backend refused the router (401, 403), not the caller.',
  },
  BACKEND_GARBAGE: { rpc: 1005, http: 200, doc: 'The backend answered with something that is not MCP.' },
  BACKEND_TOO_LARGE: { rpc: 1006, http: 200, doc: "The backend's answer is larger than allowed." },
  BACKEND_SESSION_LOST: {
    rpc: 1007,
    http: 200,
    doc: 'The backend forgot its session and could not be made to keep a new one.',
  },
  CONTINUATION_LOST: {
    rpc: 1008,
    http: 200,
    doc: 'The call that waited for this input is held no more; it may have acted in part.',
  },
  NOT_TRANSLATABLE: {
    rpc: 1009,
    http: 200,
    doc: 'The server asks for something that this client can not be asked.',
  },
  OVERLOADED: { rpc: 1010, http: 503, doc: 'Too much is under way; try again after `retryAfterMs`.' },
  DRAINING: {
    rpc: 1011,
    http: 503,
    doc: 'This process is shutting down; connect again to reach another one.',
  },
  STREAM_GONE: {
    rpc: 1012,
    http: 410,
    doc: 'The stream of a request is not kept any more, or another process had it. The request may have been executed.',
  },
  NOT_FOUND: { rpc: -32600, http: 404, doc: 'There is no endpoint at this path.' },
  METHOD_NOT_ALLOWED: { rpc: -32600, http: 405, doc: 'The HTTP method is not served at this path.' },
  NOT_ACCEPTABLE: { rpc: -32600, http: 406, doc: '`Accept` names nothing that the answer could be.' },
  BODY_TOO_LARGE: { rpc: -32600, http: 413, doc: 'The request body is larger than `MCP_ROUTER_MAX_BODY`.' },
  UNSUPPORTED_MEDIA_TYPE: { rpc: -32600, http: 415, doc: '`Content-Type` is not `application/json`.' },
  FORBIDDEN_ORIGIN: { rpc: -32600, http: 403, doc: '`Origin` or `Host` is not allowed (DNS rebinding).' },
  REQUEST_TIMEOUT: { rpc: -32600, http: 408, doc: 'The request took too long to arrive.' },
  UNAUTHENTICATED: { rpc: -32600, http: 401, doc: 'The caller has not proved who it is.' },
  INSUFFICIENT_SCOPE: {
    rpc: 1040,
    http: 403,
    doc: 'The token lacks scopes; `WWW-Authenticate` and `data.scopes` name all that the call needs.',
  },
  NOT_ALLOWED: {
    rpc: 1041,
    http: 200,
    doc: 'The rules allow this tool, prompt or resource, but not with these arguments.',
  },
  AUTHORIZATION_SERVER_UNAVAILABLE: {
    rpc: 1042,
    http: 503,
    doc: "The authorization server can't be asked now, so the token can't be checked.",
  },
  WRONG_SETTINGS: { rpc: -32603, http: 500, doc: 'A setting is wrong; the command ends with status 2.' },
  CONSUL_UNAVAILABLE: {
    rpc: 1020,
    http: 503,
    doc: "Consul can't be asked and nothing is known from before.",
  },
  UNREACHABLE: { rpc: 1030, http: 503, doc: '`connect` cannot reach its server. Nothing was executed.' },
} as const satisfies Record<string, { rpc: number; http: number; doc: string }>;

export type ErrorCode = keyof typeof errorTable;

/** Where revision 2026-07-28 wants another number or status than the session era. */
const modernWire: Partial<Record<ErrorCode, { readonly rpc?: number; readonly http?: number }>> = {
  UNKNOWN_RESOURCE: { rpc: -32602 },
  METHOD_NOT_FOUND: { http: 404 },
};

/** How an error goes over the wire differs a little between the eras. */
export type WireEra = 'legacy' | 'modern';

/** What of an error may be told to a client besides code and sentence. Never an internal address. */
export interface ErrorDetails {
  readonly service?: string;
  readonly retryAfterMs?: number;
  readonly requestId?: string;
  readonly [key: string]: unknown;
}

/**
 * An error of the router's own making. `message` is safe to show to a client and says what to do next;
 * `cause` is for the log only.
 */
export class RouterError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RouterError';
    this.code = code;
    this.details = details;
  }

  httpStatus(era: WireEra = 'legacy'): number {
    return (era === 'modern' ? modernWire[this.code]?.http : undefined) ?? errorTable[this.code].http;
  }

  /** Headers of an HTTP answer that carries nothing but this error. */
  get headers(): Readonly<Record<string, string>> {
    const { retryAfterMs } = this.details;
    return retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) };
  }

  /** The JSON-RPC error object: `{code, message, data: {code, …details}}`. */
  toRpc(era: WireEra = 'legacy'): { code: number; message: string; data: Record<string, unknown> } {
    const rpc = (era === 'modern' ? modernWire[this.code]?.rpc : undefined) ?? errorTable[this.code].rpc;
    return { code: rpc, message: this.message, data: { code: this.code, ...this.details } };
  }
}

/** The caller has to prove more, or to prove it anew; the challenge says how. */
export class ChallengeError extends RouterError {
  /** Value of `WWW-Authenticate` (RFC 6750 section 3, RFC 9728 section 5.1). */
  readonly challenge: string;

  constructor(
    code: 'UNAUTHENTICATED' | 'INSUFFICIENT_SCOPE',
    message: string,
    challenge: string,
    details: ErrorDetails = {},
    cause?: unknown,
  ) {
    super(code, message, details, cause);
    this.challenge = challenge;
  }

  override get headers(): Readonly<Record<string, string>> {
    return { ...super.headers, 'www-authenticate': this.challenge };
  }
}

/** The sentence of anything thrown, with its causes, for logs. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? ` [${error.code}]` : '';
  const cause = error.cause === undefined ? '' : ` (${describeError(error.cause)})`;
  return `${error.message}${code}${cause}`;
}
