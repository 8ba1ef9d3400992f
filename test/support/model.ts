import { createHash } from 'node:crypto';
import type {
  Digest,
  Instance,
  InstanceId,
  ListItem,
  RawJson,
  ServerDefinition,
  ServiceName,
  ServiceSettings,
  Target,
  Tool,
  UpstreamName,
} from '../../src/model.ts';

/** Short ways to the nouns of src/model.ts, for tests over pure functions. */

const digest = (text: string): Digest => createHash('sha256').update(text).digest('hex') as Digest;

export const service = (name: string): ServiceName => name as ServiceName;

export function item(key: string, more: Record<string, unknown> = {}, keyName = 'name'): ListItem {
  const json = JSON.stringify({ [keyName]: key, ...more });
  const start = json.indexOf(':') + 1;
  return {
    key: key as UpstreamName,
    json: json as RawJson,
    keySpan: [start, start + JSON.stringify(key).length],
    digest: digest(json),
    eras: 'both',
  };
}

export function tool(name: string, more: Record<string, unknown> = {}): Tool {
  return {
    ...item(name, { inputSchema: { type: 'object' }, ...more }),
    hints: { readOnly: false, destructive: true, idempotent: false, openWorld: true },
    headers: [],
    hasApp: false,
    appOnly: false,
  };
}

export function definition(tools: readonly Tool[], more: Partial<ServerDefinition> = {}): ServerDefinition {
  const sorted = tools.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  return {
    digest: digest(sorted.map((entry) => entry.digest).join()),
    protocolVersion: '2025-11-25',
    serverInfo: '{"name":"test","version":"1"}' as RawJson,
    capabilities: '{"tools":{}}' as RawJson,
    tools: sorted,
    prompts: [],
    resources: [],
    resourceTemplates: [],
    problems: [],
    ...more,
  };
}

export function settings(name: string, more: Partial<ServiceSettings> = {}): ServiceSettings {
  return {
    namespace: name,
    session: 'stateful',
    timeoutMs: 60_000,
    maxConcurrency: 0,
    toolsAllow: [],
    toolsDeny: [],
    ...more,
  };
}

export function instance(serviceName: string, id: string, more: Partial<Instance> = {}): Instance {
  return {
    id: `dc1/node/${id}` as InstanceId,
    service: service(serviceName),
    datacenter: 'dc1',
    node: 'node',
    serviceId: id,
    endpoint: {
      transport: 'streamable-http',
      scheme: 'http',
      host: '127.0.0.1',
      port: 9000,
      path: '/mcp',
      openapiPath: '/openapi.json',
    },
    state: 'passing',
    checks: [],
    weights: { passing: 1, warning: 1 },
    tags: ['mcp'],
    meta: {},
    registration: `r-${id}`,
    modifyIndex: 1,
    problems: [],
    ...more,
  };
}

export function target(of: Instance, what: ServerDefinition, weight = 1): Target {
  return {
    instance: of,
    definition: what,
    sessionless: false,
    eras: { legacy: true, modern: false },
    weight,
  };
}
