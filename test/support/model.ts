import { createHash } from 'node:crypto';
import type {
  Digest,
  Identity,
  Instance,
  InstanceId,
  Layout,
  ListItem,
  RawJson,
  RoutingTable,
  ServerDefinition,
  ServiceName,
  ServiceRoute,
  ServiceSettings,
  Target,
  Tool,
  UpstreamName,
  VersionWeights,
} from '../../src/model.ts';
import { poolOf } from '../../src/routing/pool.ts';

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
    balance: more.session === 'stateless' ? 'p2c' : 'rendezvous',
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

export interface RouteOptions {
  readonly settings?: Partial<ServiceSettings>;
  readonly layout?: Layout;
  readonly versions?: VersionWeights;
  /** Registered and without calls, beside the targets. */
  readonly others?: readonly Instance[];
  /** Tool `t` is as advertised at these alone. */
  readonly having?: readonly Target[];
}

/** As the reconciler would lay it out. */
export function route(name: string, targets: readonly Target[], options: RouteOptions = {}): ServiceRoute {
  const { layout = { datacenters: [] }, versions, others = [], having } = options;
  const instances = [...targets.map((entry) => entry.instance), ...others];
  const tools = having && new Map([['t' as UpstreamName, poolOf(having, layout, versions)]]);
  return {
    name: service(name),
    settings: settings(name, options.settings),
    instances: new Map(instances.map((entry) => [entry.id, entry])),
    targets,
    pool: poolOf(targets, layout, versions),
    ...(versions && { versions }),
    definition: targets[0]?.definition,
    split: {
      tools: tools ?? new Map(),
      prompts: new Map(),
      resources: new Map(),
      resourceTemplates: new Map(),
    },
  };
}

export function table(...routes: readonly ServiceRoute[]): RoutingTable {
  return {
    version: 1,
    catalog: {
      services: [],
      byName: new Map(),
      claims: [],
      tools: new Map(),
      prompts: new Map(),
      resources: new Map(),
      problems: new Map(),
    },
    services: new Map(routes.map((entry) => [entry.name, entry])),
  };
}
/** A caller with a token. */
export function identity(subject: string, more: Partial<Identity> = {}): Identity {
  return {
    subject,
    method: 'token',
    digest: `token:${subject}`,
    issuer: 'https://idp.example',
    groups: [],
    scopes: [],
    claims: {},
    ...more,
  };
}

export const anonymous: Identity = {
  subject: 'anonymous',
  method: 'none',
  digest: 'anonymous',
  groups: [],
  scopes: [],
  claims: {},
};
