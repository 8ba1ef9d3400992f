import { Pool, type Dispatcher } from 'undici';
import type { Endpoint } from '../model.ts';
import { Exchange, type Outbound, type Receiver, type Sending } from './exchange.ts';
import { SseServer } from './sse-server.ts';
import { SseStream, type SseSite } from './sse-stream.ts';

export interface ConnectionOptions {
  readonly connectTimeoutMs: number;
}

/** Largest header block taken from a backend, in bytes; more is an attack or a mistake. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Keep-alive connections to backends, one pool an origin. Streams that stay open for hours have pools of their
 * own: undici looks for an idle connection one by one, and calls should not look past a thousand busy ones.
 *
 * What is sent goes in the manner of the endpoint's transport; who sends need not know which it is.
 */
export class Connections {
  readonly #calls = new Map<string, Pool>();
  readonly #streams = new Map<string, Pool>();
  /** Servers of the HTTP+SSE transport. */
  readonly #sse = new Map<string, SseServer>();
  /** Registered for Streamable HTTP, and found to speak HTTP+SSE. */
  readonly #foundSse = new Set<string>();
  readonly #options: ConnectionOptions;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Sends a request whose answer ends when it is complete. */
  send(endpoint: Endpoint, outbound: Outbound, receiver: Receiver): Sending {
    return this.#overSse(endpoint)
      ? this.#sseServer(endpoint).send(outbound, receiver)
      : new Exchange(this.forCalls(endpoint), outbound, receiver);
  }

  /** Sends a request whose answer goes on for as long as both sides like. */
  stream(endpoint: Endpoint, outbound: Outbound, receiver: Receiver): Sending {
    return this.#overSse(endpoint)
      ? this.#sseServer(endpoint).send(outbound, receiver)
      : new Exchange(this.forStreams(endpoint), outbound, receiver);
  }

  /** The session is not used any more: what is held open for it is closed with the last call in it. */
  leave(endpoint: Endpoint, sessionId: string | undefined): void {
    if (sessionId !== undefined) this.#sse.get(sseKey(endpoint))?.leave(sessionId);
  }

  /**
   * Whether the server turns out to speak HTTP+SSE: GET opens a stream whose first event is `endpoint`
   * (2025-11-25, transports: backwards compatibility). From then on everything to it goes that way.
   */
  findSse(endpoint: Endpoint, patienceMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const stream = new SseStream(this.#sseSite(endpoint), [], patienceMs, {
        open: () => {
          stream.close();
          this.#foundSse.add(sseKey(endpoint));
          resolve(true);
        },
        event: () => undefined,
        over: () => resolve(false),
      });
    });
  }

  /** Its registration says otherwise. */
  foundSse(endpoint: Endpoint): boolean {
    return this.#foundSse.has(sseKey(endpoint));
  }

  /** The server speaks HTTP+SSE no more. */
  lostSse(endpoint: Endpoint): void {
    this.#foundSse.delete(sseKey(endpoint));
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
    const usedSse = new Set<string>();
    for (const endpoint of endpoints) {
      used.add(poolKey(endpoint));
      if (this.#overSse(endpoint)) usedSse.add(sseKey(endpoint));
    }
    for (const key of this.#foundSse) if (!usedSse.has(key)) this.#foundSse.delete(key);
    // While a call runs there, its client's answers have to get there too.
    for (const [key, { sessions }] of this.#sse) {
      if (sessions === 0 && !usedSse.has(key)) this.#sse.delete(key);
    }
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
    this.#sse.clear();
    const pools = [...this.#calls.values(), ...this.#streams.values()];
    this.#calls.clear();
    this.#streams.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #overSse(endpoint: Endpoint): boolean {
    // The key is made only where some server was found: this is on the way of every call.
    return endpoint.transport === 'sse' || (this.#foundSse.size > 0 && this.foundSse(endpoint));
  }

  #sseServer(endpoint: Endpoint): SseServer {
    const key = sseKey(endpoint);
    let server = this.#sse.get(key);
    if (!server) {
      server = new SseServer(this.#sseSite(endpoint));
      this.#sse.set(key, server);
    }
    return server;
  }

  #sseSite(endpoint: Endpoint): SseSite {
    return {
      origin: originOf(endpoint),
      path: endpoint.path,
      calls: () => this.forCalls(endpoint),
      streams: () => this.forStreams(endpoint),
    };
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

function sseKey(endpoint: Endpoint): string {
  return `${poolKey(endpoint)} ${endpoint.path}`;
}
