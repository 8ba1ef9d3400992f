import type { InstanceId, ServiceName } from '../model.ts';
import type { Scope } from './scope.ts';

/** What a URL of the data plane means. */
export interface Endpoint {
  /** `sse` and `messages` are the two ends of the transport of 2024-11-05. */
  readonly kind: 'mcp' | 'sse' | 'messages';
  readonly methods: readonly string[];
  readonly scope: Scope;
  /** Seals are bound to it: the path with the settings that were fixed at the opening. */
  readonly path: string;
  /** From `?names=`; undefined: the router's default. */
  readonly names: 'portable' | 'dotted' | undefined;
}

const scope: Scope = { kind: 'all' };
const methods = ['POST', 'GET', 'DELETE'];
const all: Endpoint = { kind: 'mcp', methods, scope, path: '/mcp', names: undefined };
const sse: Endpoint = { kind: 'sse', methods: ['GET'], scope, path: '/sse', names: undefined };
const messages: Endpoint = { kind: 'messages', methods: ['POST'], scope, path: '/sse', names: undefined };

/** Undefined for a URL that is no MCP endpoint. */
export function parseEndpoint(url: string): Endpoint | undefined {
  if (url === '/mcp') return all;
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const found = parsePath(path);
  if (!found) return undefined;
  const wanted = mark < 0 ? null : new URLSearchParams(url.slice(mark)).get('names');
  return { ...found, names: wanted === 'portable' || wanted === 'dotted' ? wanted : undefined };
}

function parsePath(path: string): Endpoint | undefined {
  if (path === '/mcp') return all;
  if (path === '/sse') return sse;
  if (path === '/messages') return messages;
  const profile = /^\/profiles\/([a-z0-9_.-]{1,129})\/mcp$/.exec(path)?.[1];
  if (profile !== undefined) {
    return { kind: 'mcp', methods, scope: { kind: 'all', profile }, path, names: undefined };
  }
  const parts = /^\/services\/([^/]+)(?:\/instances\/(.+))?\/mcp$/.exec(path);
  const [, service, instance] = parts ?? [];
  if (service === undefined) return undefined;
  try {
    const one: Scope = {
      kind: 'service',
      service: decodeURIComponent(service) as ServiceName,
      ...(instance !== undefined && { instance: readInstance(instance) }),
    };
    return { kind: 'mcp', methods, scope: one, path, names: undefined };
  } catch {
    return undefined;
  }
}

/** An instance id as `list` prints it has slashes; it may be encoded once more, to be one part of the path. */
function readInstance(text: string): InstanceId {
  return (text.includes('/') ? text : decodeURIComponent(text)) as InstanceId;
}
