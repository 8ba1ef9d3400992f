import type { IncomingHttpHeaders } from 'node:http';

/** Header names of MCP over Streamable HTTP, lower case as Node gives them. */
export const SESSION_HEADER = 'mcp-session-id';
export const VERSION_HEADER = 'mcp-protocol-version';

export const JSON_TYPE = 'application/json';
export const SSE_TYPE = 'text/event-stream';

/**
 * Request headers that may travel on to a backend. Everything else stays here: a client's credentials and
 * cookies are never a backend's business (MCP 2025-11-25, security best practices: token passthrough).
 */
const forwarded = ['traceparent', 'tracestate', 'baggage', 'x-request-id'] as const;

/** Fresh header pairs for the backend hop. */
export function forwardedHeaders(from: IncomingHttpHeaders): string[] {
  const headers: string[] = [];
  for (const name of forwarded) {
    const value = from[name];
    if (typeof value === 'string') headers.push(name, value);
  }
  return headers;
}

/** The media type without its parameters, lower case. */
export function mediaType(contentType: string | undefined): string {
  if (contentType === undefined) return '';
  const semicolon = contentType.indexOf(';');
  return (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
}

/**
 * Whether an `Accept` header takes the media type. A missing header takes everything (RFC 9110, 12.5.1);
 * quality values other than 0 are not weighed.
 */
export function accepts(accept: string | undefined, type: string): boolean {
  if (accept === undefined || accept === '') return true;
  const family = `${type.slice(0, type.indexOf('/'))}/*`;
  for (const part of accept.split(',')) {
    const range = mediaType(part);
    if (
      (range === type || range === '*/*' || range === family) &&
      !/;\s*q=0(?:\.0*)?\s*(?:;|$)/i.test(part)
    ) {
      return true;
    }
  }
  return false;
}
