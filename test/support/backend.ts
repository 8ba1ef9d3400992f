import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A JSON-RPC message as the backend got it. */
export interface Received {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: unknown;
  readonly error?: unknown;
}

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The body as it came, to the byte. */
  readonly text: string;
  readonly message: Received;
  /** Answers with a JSON-RPC result. */
  readonly result: (result: unknown) => void;
  readonly json: (status: number, body: string, headers?: Record<string, string>) => void;
  /** Begins an event stream. */
  readonly stream: () => { send(message: unknown): void; end(): void };
}

/** What the backend does with one method; undefined: the ordinary thing. */
export type Handler = (exchange: Exchange) => void | Promise<void>;

export interface Backend {
  readonly port: number;
  /** Everything that was posted, in order. */
  readonly received: Received[];
  readonly texts: string[];
  /** Open sessions. */
  readonly sessions: Set<string>;
  /** Change what the backend does, while it runs. */
  readonly on: Record<string, Handler>;
  tools: unknown[];
  count(method: string): number;
  /** Sends on every open GET stream. */
  notify(message: unknown): void;
  /** Ends every open GET stream. */
  endStreams(): void;
  /** Cuts all connections and stops listening. */
  stop(): Promise<void>;
}

export interface BackendOptions {
  readonly port?: number;
  readonly tools?: unknown[];
  readonly capabilities?: Record<string, unknown>;
  readonly sessionless?: boolean;
}

export const simpleTool = (
  name: string,
  annotations: Record<string, unknown> = {},
): Record<string, unknown> => ({
  name,
  description: `Tool ${name}.`,
  inputSchema: { type: 'object', properties: { message: { type: 'string' } } },
  annotations,
});

/**
 * A small MCP server over Streamable HTTP that can be told to misbehave in ways that a well-made server can't
 * be made to.
 */
export async function startBackend(options: BackendOptions = {}): Promise<Backend> {
  const sessions = new Set<string>();
  const received: Received[] = [];
  const texts: string[] = [];
  const streams = new Set<ServerResponse>();
  const on: Record<string, Handler> = {};

  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => void answer(request, response, Buffer.concat(chunks).toString()));
  });

  async function answer(request: IncomingMessage, response: ServerResponse, text: string): Promise<void> {
    const session = request.headers['mcp-session-id'];
    if (request.method === 'DELETE') {
      sessions.delete(String(session));
      response.writeHead(200).end();
      return;
    }
    const message = text === '' ? {} : (JSON.parse(text) as Received);
    const exchange: Exchange = {
      request,
      response,
      text,
      message,
      result: (result) => exchange.json(200, JSON.stringify({ jsonrpc: '2.0', id: message.id, result })),
      json(status, body, headers = {}) {
        response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
      },
      stream() {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        return {
          send: (item) =>
            void response.write(`data: ${typeof item === 'string' ? item : JSON.stringify(item)}\n\n`),
          end: () => void response.end(),
        };
      },
    };
    if (request.method === 'GET') {
      const custom = on['GET'];
      if (custom) await custom(exchange);
      else {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.flushHeaders();
        streams.add(response);
        response.once('close', () => streams.delete(response));
      }
      return;
    }
    received.push(message);
    texts.push(text);
    const custom = on[message.method ?? 'response'];
    if (custom) {
      await custom(exchange);
      return;
    }
    if (message.method === 'initialize') {
      const id = randomUUID();
      if (!options.sessionless) sessions.add(id);
      exchange.json(
        200,
        JSON.stringify({
          jsonrpc: '2.0',
          id: message.id,
          result: {
            protocolVersion: message.params?.['protocolVersion'],
            capabilities: options.capabilities ?? { tools: { listChanged: true } },
            serverInfo: { name: 'backend', version: '1' },
          },
        }),
        options.sessionless ? {} : { 'mcp-session-id': id },
      );
      return;
    }
    if (!options.sessionless && !sessions.has(String(session))) {
      exchange.json(
        404,
        JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }),
      );
      return;
    }
    if (message.id === undefined || message.method === undefined) response.writeHead(202).end();
    else if (message.method === 'tools/list') exchange.result({ tools: backend.tools });
    else if (message.method === 'tools/call') {
      exchange.result({
        content: [{ type: 'text', text: `${String(message.params?.['name'])} by ${backend.port}` }],
      });
    } else exchange.result({});
  }

  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const backend: Backend = {
    port: (server.address() as AddressInfo).port,
    received,
    texts,
    sessions,
    on,
    tools: options.tools ?? [simpleTool('echo', { readOnlyHint: true }), simpleTool('write')],
    count: (method) => received.filter((message) => message.method === method).length,
    notify(message) {
      for (const stream of streams) stream.write(`data: ${JSON.stringify(message)}\n\n`);
    },
    endStreams() {
      for (const stream of streams) stream.end();
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return backend;
}
