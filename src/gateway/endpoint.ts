import type { ServiceName } from '../model.ts';
import type { Scope } from './client-session.ts';

/** What a URL of the data plane means. */
export interface Endpoint {
  readonly scope: Scope;
  /** Seals are bound to it: the path with the settings that were fixed at the opening. */
  readonly path: string;
  /** From `?names=`; undefined: the router's default. */
  readonly names: 'portable' | 'dotted' | undefined;
}

const all: Endpoint = { scope: { kind: 'all' }, path: '/mcp', names: undefined };

/** Undefined for a URL that is no MCP endpoint. */
export function parseEndpoint(url: string): Endpoint | undefined {
  if (url === '/mcp') return all;
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const scope = parsePath(path);
  if (!scope) return undefined;
  const wanted = mark < 0 ? null : new URLSearchParams(url.slice(mark)).get('names');
  return { scope, path, names: wanted === 'portable' || wanted === 'dotted' ? wanted : undefined };
}

function parsePath(path: string): Scope | undefined {
  if (path === '/mcp') return { kind: 'all' };
  const service = /^\/services\/([^/]+)\/mcp$/.exec(path)?.[1];
  if (service === undefined) return undefined;
  try {
    return { kind: 'service', service: decodeURIComponent(service) as ServiceName };
  } catch {
    return undefined;
  }
}
