import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { z } from 'zod';

/** A server made with the official SDK's own HTTP+SSE transport. */
export interface SdkSseServer {
  readonly port: number;
  /** Open sessions. */
  readonly sessions: Map<string, { readonly transport: SSEServerTransport; readonly server: McpServer }>;
  /** Sessions that were ever opened. */
  opened: number;
  /** Calls whose cancellation has reached the handler. */
  cancelled: number;
  /** Gives every session one more tool; the SDK announces it. */
  addTool(name: string): void;
  stop(): Promise<void>;
}

export async function startSdkSseServer(): Promise<SdkSseServer> {
  const extra: string[] = [];
  const offer = (server: McpServer, name: string): void => {
    server.registerTool(name, { description: name }, () => ({ content: [{ type: 'text', text: name }] }));
  };
  const create = (): McpServer => {
    const server = new McpServer({ name: 'sdk-sse', version: '1' }, { capabilities: { logging: {} } });
    server.registerTool(
      'after',
      { description: 'Answers later.', inputSchema: { ms: z.number(), text: z.string() } },
      async ({ ms, text }) => {
        await delay(ms);
        return { content: [{ type: 'text', text }] };
      },
    );
    server.registerTool('wait', { description: 'Until it is cancelled.' }, async ({ signal }) => {
      if (!signal.aborted) await once(signal, 'abort');
      running.cancelled++;
      return { content: [] };
    });
    for (const name of extra) offer(server, name);
    return server;
  };

  const http = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (request.method === 'GET' && url.pathname === '/events') {
      const transport = new SSEServerTransport('/post', response);
      const server = create();
      running.opened++;
      running.sessions.set(transport.sessionId, { transport, server });
      response.once('close', () => running.sessions.delete(transport.sessionId));
      void server.connect(transport);
      return;
    }
    const session = running.sessions.get(url.searchParams.get('sessionId') ?? '');
    if (request.method === 'POST' && session) void session.transport.handlePostMessage(request, response);
    else response.writeHead(404).end('No such session');
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const running: SdkSseServer = {
    port: (http.address() as AddressInfo).port,
    sessions: new Map(),
    opened: 0,
    cancelled: 0,
    addTool(name) {
      extra.push(name);
      for (const { server } of running.sessions.values()) offer(server, name);
    },
    async stop() {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
  return running;
}
