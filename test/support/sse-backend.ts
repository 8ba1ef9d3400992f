import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { simpleTool, type Received } from './backend.ts';

/** One message that was posted, and the stream of the session that it belongs to. */
export interface SseExchange {
  readonly request: IncomingMessage;
  /** Of the POST; where a handler does not answer it, it is answered with 202 first. */
  readonly response: ServerResponse;
  readonly message: Received;
  /** The session's event stream. */
  readonly stream: ServerResponse;
  /** Says something on the stream. */
  readonly send: (message: unknown) => void;
  /** Answers the message on the stream. */
  readonly result: (result: unknown) => void;
}

export type SseHandler = (exchange: SseExchange) => void | Promise<void>;
export type StreamHandler = (request: IncomingMessage, response: ServerResponse) => void;

export interface SseBackend {
  readonly port: number;
  /** Everything that was posted, in order. */
  readonly received: Received[];
  /** The HTTP requests behind them. */
  readonly requests: IncomingMessage[];
  /** Open streams by session. */
  readonly streams: Map<string, ServerResponse>;
  /** Streams that were ever opened. */
  opened: number;
  /** What it does with a method, after 202. */
  readonly on: Record<string, SseHandler>;
  /** In place of its answer to GET. */
  onStream: StreamHandler | undefined;
  /** In place of 202, for requests that it returns true for. */
  onPost: ((exchange: SseExchange) => boolean) | undefined;
  tools: unknown[];
  count(method: string): number;
  /** Says something on every open stream. */
  notify(message: unknown): void;
  /** Ends every stream. */
  loseStreams(): void;
  stop(): Promise<void>;
}

export interface SseBackendOptions {
  readonly port?: number;
  readonly tools?: unknown[];
  readonly capabilities?: Record<string, unknown>;
  readonly path?: string;
}

/**
 * A small MCP server over HTTP+SSE of 2024-11-05 that can be told to misbehave in ways that a well-made server
 * can't be made to.
 */
export async function startSseBackend(options: SseBackendOptions = {}): Promise<SseBackend> {
  const path = options.path ?? '/sse';
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (request.method === 'GET' && url.pathname === path) open(request, response);
    else if (request.method === 'POST' && url.pathname === '/messages') {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => void take(request, response, url, Buffer.concat(chunks).toString()));
    } else response.writeHead(url.pathname === path ? 405 : 404).end('not here');
  });

  function open(request: IncomingMessage, response: ServerResponse): void {
    backend.opened++;
    if (backend.onStream) {
      backend.onStream(request, response);
      return;
    }
    const session = randomUUID();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`event: endpoint\ndata: /messages?sessionId=${session}\n\n`);
    backend.streams.set(session, response);
    response.once('close', () => backend.streams.delete(session));
  }

  async function take(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    text: string,
  ): Promise<void> {
    const stream = backend.streams.get(url.searchParams.get('sessionId') ?? '');
    if (!stream) {
      response.writeHead(404).end('Session not found');
      return;
    }
    const message = JSON.parse(text) as Received;
    const send = (item: unknown): void =>
      void stream.write(
        `event: message\ndata: ${typeof item === 'string' ? item : JSON.stringify(item)}\n\n`,
      );
    const exchange: SseExchange = {
      request,
      response,
      message,
      stream,
      send,
      result: (result) => send({ jsonrpc: '2.0', id: message.id, result }),
    };
    backend.received.push(message);
    backend.requests.push(request);
    if (backend.onPost?.(exchange)) return;
    response.writeHead(202).end('Accepted');
    const custom = backend.on[message.method ?? 'response'];
    if (custom) await custom(exchange);
    else ordinary(exchange);
  }

  function ordinary({ message, result }: SseExchange): void {
    if (message.id === undefined || message.method === undefined) return;
    switch (message.method) {
      case 'initialize':
        result({
          protocolVersion: '2024-11-05',
          capabilities: options.capabilities ?? { tools: { listChanged: true } },
          serverInfo: { name: 'sse-backend', version: '1' },
        });
        return;
      case 'tools/list':
        result({ tools: backend.tools });
        return;
      case 'tools/call':
        result({
          content: [{ type: 'text', text: `${String(message.params?.['name'])} by ${backend.port}` }],
        });
        return;
      default:
        result({});
    }
  }

  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const backend: SseBackend = {
    port: (server.address() as AddressInfo).port,
    received: [],
    requests: [],
    streams: new Map(),
    opened: 0,
    on: {},
    onStream: undefined,
    onPost: undefined,
    tools: options.tools ?? [simpleTool('echo', { readOnlyHint: true }), simpleTool('write')],
    count: (method) => backend.received.filter((message) => message.method === method).length,
    notify(message) {
      for (const stream of backend.streams.values()) stream.write(`data: ${JSON.stringify(message)}\n\n`);
    },
    loseStreams() {
      for (const stream of backend.streams.values()) stream.destroy();
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return backend;
}
