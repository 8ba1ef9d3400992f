import { Pool, type Dispatcher } from 'undici';
import type { Endpoint } from '../model.ts';

export interface ConnectionOptions {
  readonly connectTimeoutMs: number;
}

/** Largest header block taken from a backend, in bytes; more is an attack or a mistake. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Keep-alive connections to backends, one pool an origin. Streams that stay open for hours have pools of their
 * own: undici looks for an idle connection one by one, and calls should not look past a thousand busy ones.
 */
export class Connections {
  readonly #calls = new Map<string, Pool>();
  readonly #streams = new Map<string, Pool>();
  readonly #options: ConnectionOptions;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  forCalls(endpoint: Endpoint): Dispatcher {
    return this.#pool(this.#calls, endpoint);
  }

  forStreams(endpoint: Endpoint): Dispatcher {
    return this.#pool(this.#streams, endpoint);
  }

  /** Closes connections to origins that no endpoint in use has; running requests finish first. */
  retain(endpoints: Iterable<Endpoint>): void {
    const used = new Set<string>();
    for (const endpoint of endpoints) used.add(poolKey(endpoint));
    for (const pools of [this.#calls, this.#streams]) {
      for (const [key, pool] of pools) {
        if (used.has(key)) continue;
        pools.delete(key);
        void pool.close().catch(() => undefined);
      }
    }
  }

  /** Cuts everything that still runs. */
  async destroy(): Promise<void> {
    const pools = [...this.#calls.values(), ...this.#streams.values()];
    this.#calls.clear();
    this.#streams.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #pool(pools: Map<string, Pool>, endpoint: Endpoint): Pool {
    const key = poolKey(endpoint);
    let pool = pools.get(key);
    if (pool === undefined) {
      pool = new Pool(originOf(endpoint), {
        // One request at a time on a connection: a slow call must not hold up the next one.
        pipelining: 1,
        allowH2: false,
        maxHeaderSize: MAX_HEADER_BYTES,
        connect: {
          timeout: this.#options.connectTimeoutMs,
          ...(endpoint.tlsServerName === undefined ? {} : { servername: endpoint.tlsServerName }),
        },
      });
      pools.set(key, pool);
    }
    return pool;
  }
}

/** `http://host:port`, IPv6 in brackets. */
export function originOf(endpoint: Endpoint): string {
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
  return `${endpoint.scheme}://${host}:${endpoint.port}`;
}

function poolKey(endpoint: Endpoint): string {
  return `${originOf(endpoint)} ${endpoint.tlsServerName ?? ''}`;
}
