import type { IncomingMessage } from 'node:http';
import { RouterError } from '../errors.ts';

export interface GuardRules {
  /** The admin plane is on loopback and asks for no token: then only loopback names are answered. */
  readonly loopback: boolean;
  /** Further host names, without port. */
  readonly allowedHosts: readonly string[];
}

const localhost = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * A page from elsewhere must not use the admin plane through its visitor's browser: neither under a name that it
 * points to loopback (DNS rebinding), nor as another origin. Programs send no `Origin` and pass.
 * @throws {RouterError} FORBIDDEN_ORIGIN
 */
export function guardAgainstPages({ headers }: IncomingMessage, rules: GuardRules): void {
  const { host = '', origin } = headers;
  const name = host.replace(/:\d*$/, '').toLowerCase();
  if (rules.loopback && !localhost.has(name) && !rules.allowedHosts.includes(name)) {
    throw new RouterError(
      'FORBIDDEN_ORIGIN',
      'This Host is not served here. Use localhost, or name it in MCP_ROUTER_ALLOWED_HOSTS.',
    );
  }
  if (origin !== undefined && !sameHost(origin, host)) {
    throw new RouterError(
      'FORBIDDEN_ORIGIN',
      'The admin plane answers its own dashboard and programs, no page of another origin.',
    );
  }
}

function sameHost(origin: string, host: string): boolean {
  try {
    return new URL(origin).host === host.toLowerCase();
  } catch {
    return false;
  }
}
