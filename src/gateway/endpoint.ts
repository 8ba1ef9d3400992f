import { RouterError } from '../errors.ts';
import type { InstanceId, ServiceName } from '../model.ts';
import { parseToolMode, toolModes, type ToolMode } from '../shaping/tool-mode.ts';
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
  /** From `?tools=`; undefined: the profile's or the router's default. */
  readonly tools: ToolMode | undefined;
}

const unsaid = { names: undefined, tools: undefined } as const;

const scope: Scope = { kind: 'all' };
const methods = ['POST', 'GET', 'DELETE'];
const all: Endpoint = { kind: 'mcp', methods, scope, path: '/mcp', ...unsaid };
const sse: Endpoint = { kind: 'sse', methods: ['GET'], scope, path: '/sse', ...unsaid };
const messages: Endpoint = { kind: 'messages', methods: ['POST'], scope, path: '/sse', ...unsaid };

/**
 * Undefined for a URL that is no MCP endpoint.
 * @throws {RouterError} INVALID_REQUEST for a mode that there is not
 */
export function parseEndpoint(url: string): Endpoint | undefined {
  if (url === '/mcp') return all;
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const found = parsePath(path);
  if (!found) return undefined;
  if (mark < 0) return found;
  const query = new URLSearchParams(url.slice(mark));
  const names = query.get('names');
  return {
    ...found,
    names: names === 'portable' || names === 'dotted' ? names : undefined,
    tools: readMode(query.get('tools')),
  };
}

function readMode(asked: string | null): ToolMode | undefined {
  if (asked === null) return undefined;
  const mode = parseToolMode(asked);
  if (mode) return mode;
  throw new RouterError(
    'INVALID_REQUEST',
    `There is no tool mode ${asked.slice(0, 32)}. ?tools= takes ${toolModes.join(', ')}.`,
  );
}

function parsePath(path: string): Endpoint | undefined {
  if (path === '/mcp') return all;
  if (path === '/sse') return sse;
  if (path === '/messages') return messages;
  const profile = /^\/profiles\/([a-z0-9_.-]{1,129})\/mcp$/.exec(path)?.[1];
  if (profile !== undefined) {
    return { kind: 'mcp', methods, scope: { kind: 'all', profile }, path, ...unsaid };
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
    return { kind: 'mcp', methods, scope: one, path, ...unsaid };
  } catch {
    return undefined;
  }
}

/** An instance id as `list` prints it has slashes; it may be encoded once more, to be one part of the path. */
function readInstance(text: string): InstanceId {
  return (text.includes('/') ? text : decodeURIComponent(text)) as InstanceId;
}
