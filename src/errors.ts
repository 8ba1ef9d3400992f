/**
 * Every error that the router itself makes. Inside, errors have string codes; numbers exist only on the wire
 * and only in this table.
 *
 * `rpc` is the JSON-RPC code. Codes of the router's own stay outside −32768…−32000, which JSON-RPC and MCP
 * reserve. `http` is the status of an HTTP answer that carries nothing but this error.
 */
const table = {
  PARSE_ERROR: { rpc: -32700, http: 400 },
  INVALID_REQUEST: { rpc: -32600, http: 400 },
  METHOD_NOT_FOUND: { rpc: -32601, http: 200 },
  INVALID_PARAMS: { rpc: -32602, http: 200 },
  INTERNAL: { rpc: -32603, http: 500 },
  /** Unknown and forbidden look the same to the caller. */
  UNKNOWN_TOOL: { rpc: -32602, http: 200 },
  UNKNOWN_PROMPT: { rpc: -32602, http: 200 },
  UNKNOWN_RESOURCE: { rpc: -32002, http: 200 },
  INVALID_CURSOR: { rpc: -32602, http: 200 },
  UNSUPPORTED_VERSION: { rpc: -32000, http: 400 },
  SESSION_REQUIRED: { rpc: -32000, http: 400 },
  /** 404 makes a client of the session era initialize again (specification 2025-11-25, session management). */
  SESSION_NOT_FOUND: { rpc: -32001, http: 404 },
  NO_HEALTHY_INSTANCE: { rpc: 1001, http: 200 },
  /** The backend took the request and broke before it answered; it may have acted on it. */
  BACKEND_FAILED: { rpc: 1002, http: 200 },
  BACKEND_TIMEOUT: { rpc: 1003, http: 200 },
  /** The backend refused the router, not the caller. */
  BACKEND_REFUSED: { rpc: 1004, http: 200 },
  BACKEND_GARBAGE: { rpc: 1005, http: 200 },
  BACKEND_TOO_LARGE: { rpc: 1006, http: 200 },
  BACKEND_SESSION_LOST: { rpc: 1007, http: 200 },
  OVERLOADED: { rpc: 1010, http: 503 },
  DRAINING: { rpc: 1011, http: 503 },
  NOT_FOUND: { rpc: -32600, http: 404 },
  METHOD_NOT_ALLOWED: { rpc: -32600, http: 405 },
  NOT_ACCEPTABLE: { rpc: -32600, http: 406 },
  BODY_TOO_LARGE: { rpc: -32600, http: 413 },
  UNSUPPORTED_MEDIA_TYPE: { rpc: -32600, http: 415 },
  FORBIDDEN_ORIGIN: { rpc: -32600, http: 403 },
  REQUEST_TIMEOUT: { rpc: -32600, http: 408 },
  UNAUTHENTICATED: { rpc: -32600, http: 401 },
  WRONG_SETTINGS: { rpc: -32603, http: 500 },
  CONSUL_UNAVAILABLE: { rpc: 1020, http: 503 },
} as const satisfies Record<string, { rpc: number; http: number }>;

export type ErrorCode = keyof typeof table;

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

  get rpcCode(): number {
    return table[this.code].rpc;
  }

  get httpStatus(): number {
    return table[this.code].http;
  }

  /** The JSON-RPC error object: `{code, message, data: {code, …details}}`. */
  toRpc(): { code: number; message: string; data: Record<string, unknown> } {
    return { code: this.rpcCode, message: this.message, data: { code: this.code, ...this.details } };
  }
}

/** The sentence of anything thrown, with its causes, for logs. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? ` [${error.code}]` : '';
  const cause = error.cause === undefined ? '' : ` (${describeError(error.cause)})`;
  return `${error.message}${code}${cause}`;
}
