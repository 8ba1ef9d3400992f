import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ConsulClient, type ConsulOptions } from '../../src/discovery/consul-client.ts';
import { Registry } from '../../src/discovery/registry.ts';
import type { DoubtReason, Log, LogFields, RegistrySnapshot } from '../../src/model.ts';

/**
 * A STAND-IN for Consul, not Consul: it replays answers that were recorded from real agents (1.8.7 and 1.22.3)
 * and that the one agent which can be installed here cannot be made to give: a lost leader, a rate limit, a
 * proxy's login page, a cut body. What the real agent can be made to do is tested with the real agent
 * (test/integration/discovery).
 */
export interface StandIn {
  readonly address: string;
  /** Requests so far, by path. */
  count(path: string): number;
  readonly requests: {
    readonly path: string;
    readonly query: URLSearchParams;
    readonly headers: IncomingMessage['headers'];
    readonly at: number;
  }[];
  /** What a path answers; may change while it runs. Given the query, which blocks only if the handler does. */
  readonly on: Map<string, Handler>;
  stop(): Promise<void>;
}

export type Handler = (
  query: URLSearchParams,
  response: ServerResponse,
  request: IncomingMessage,
) => void | Promise<void>;

export async function startStandIn(port = 0): Promise<StandIn> {
  const on = new Map<string, Handler>();
  const requests: StandIn['requests'] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://stand-in');
    const path = url.pathname.replace('/v1/', '');
    requests.push({ path, query: url.searchParams, headers: request.headers, at: performance.now() });
    const handler = on.get(path);
    if (handler) void handler(url.searchParams, response, request);
    else response.writeHead(404).end();
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    count: (path) => requests.filter((request) => request.path === path).length,
    requests,
    on,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** An ordinary answer. */
export function json(
  response: ServerResponse,
  body: unknown,
  index: number | string,
  headers: Record<string, string> = {},
): void {
  response
    .writeHead(200, { 'content-type': 'application/json', 'x-consul-index': String(index), ...headers })
    .end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Holds the request as a blocking query does; it is answered when the test says so, or never. */
export function hold(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.once('close', resolve));
}

/** Blocks while the index is the present one, as Consul does; `changed` wakes. */
export function blocking(body: (query: URLSearchParams) => unknown, first = 10) {
  let index = first;
  const waiting = new Set<() => void>();
  const handler: Handler = async (query, response) => {
    if (query.get('index') === String(index)) {
      await Promise.race([hold(response), new Promise<void>((resolve) => waiting.add(resolve))]);
    }
    if (!response.destroyed) json(response, body(query), index);
  };
  return {
    handler,
    changed(): void {
      index++;
      for (const wake of waiting) wake();
      waiting.clear();
    },
  };
}

/** One instance as `health/service` gives it. */
export function healthEntry(id: string, more: { Service?: object; Checks?: unknown[] } = {}): unknown {
  return {
    Node: { Node: 'n1', Address: '127.0.0.1', Datacenter: 'dc1' },
    Service: {
      ID: id,
      Service: 's',
      Tags: ['mcp'],
      Address: '127.0.0.1',
      Port: 8080,
      Meta: {},
      ModifyIndex: 5,
      ...more.Service,
    },
    Checks: more.Checks ?? [{ CheckID: 'c', Name: 'c', Status: 'passing', ServiceID: id, Output: '' }],
  };
}

export interface Watched {
  readonly registry: Registry;
  readonly snapshots: RegistrySnapshot[];
  readonly errors: DoubtReason[];
  readonly logs: { level: string; message: string; fields: LogFields | undefined }[];
  /** Of the newest snapshot: instances by service. */
  instances(service?: string): string[] | undefined;
  stop(): void;
}

/** The real registry, on the given addresses. */
export function watch(
  addresses: readonly string[],
  more: Partial<ConsulOptions> & {
    waitMs?: number;
    holdMs?: number;
    maxQueries?: number;
    datacenters?: string[];
    tag?: string;
    random?: () => number;
  } = {},
): Watched {
  const snapshots: RegistrySnapshot[] = [];
  const errors: DoubtReason[] = [];
  const logs: Watched['logs'] = [];
  const write = (level: string) => (message: string, fields?: LogFields) =>
    void logs.push({ level, message, fields });
  const log: Log = { error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug') };
  const {
    waitMs = 60_000,
    holdMs = 60_000,
    maxQueries = 128,
    datacenters = [],
    tag = 'mcp',
    random = Math.random,
    ...client
  } = more;
  const registry = new Registry({
    client: new ConsulClient({ addresses, ssl: false, sslVerify: true, ...client }),
    datacenters,
    tag,
    waitMs,
    maxQueries,
    holdMs,
    onSnapshot: (snapshot) => void snapshots.push(snapshot),
    onError: (reason) => void errors.push(reason),
    log,
    now: () => performance.now(),
    random,
  });
  registry.start();
  return {
    registry,
    snapshots,
    errors,
    logs,
    instances: (name = 's') => {
      for (const [key, service] of snapshots.at(-1)?.services ?? []) {
        if (key === name) return service.instances.map((instance) => instance.serviceId);
      }
      return undefined;
    },
    stop: () => registry.stop(),
  };
}
