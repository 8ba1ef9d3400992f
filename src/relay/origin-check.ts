import type { IncomingMessage } from 'node:http';
import { RouterError } from '../errors.ts';

export interface OriginRules {
  /** The listener is on loopback: then only loopback names are answered (DNS rebinding). */
  readonly loopback: boolean;
  /** Further host names, without port. */
  readonly allowedHosts: readonly string[];
  /** Browser origins such as `https://app.example.com`; `*` for all. */
  readonly allowedOrigins: readonly string[];
}

const localhost = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * A page in a browser must not reach a router on its user's machine (2025-11-25, transports: security warning).
 * Programs send no `Origin` and pass.
 * @throws {RouterError} FORBIDDEN_ORIGIN
 */
export function checkOrigin(request: IncomingMessage, rules: OriginRules): void {
  const { host, origin } = request.headers;
  if (rules.loopback && !hostAllowed(host, rules)) {
    throw new RouterError(
      'FORBIDDEN_ORIGIN',
      'This Host is not served here. Use localhost, or name it in MCP_ROUTER_ALLOWED_HOSTS.',
    );
  }
  if (origin !== undefined && !originAllowed(origin, rules)) {
    throw new RouterError(
      'FORBIDDEN_ORIGIN',
      'This Origin may not call the router. Name it in MCP_ROUTER_ALLOWED_ORIGINS.',
    );
  }
}

function hostAllowed(host: string | undefined, rules: OriginRules): boolean {
  if (host === undefined) return false;
  const name = host.replace(/:\d*$/, '').toLowerCase();
  return localhost.has(name) || rules.allowedHosts.includes(name);
}

function originAllowed(origin: string, rules: OriginRules): boolean {
  if (rules.allowedOrigins.includes('*') || rules.allowedOrigins.includes(origin)) return true;
  if (!rules.loopback) return false;
  try {
    const { protocol, hostname } = new URL(origin);
    return (protocol === 'http:' || protocol === 'https:') && localhost.has(hostname);
  } catch {
    return false;
  }
}
