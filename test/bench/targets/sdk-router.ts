import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CallToolRequestSchema,
  CallToolResultSchema,
  ListToolsRequestSchema,
  ListToolsResultSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { report } from './report.ts';

/** How a router is written in an afternoon: an SDK server in front, an SDK client behind, names with a prefix. */
const backend = new URL(`http://127.0.0.1:${process.argv[2]}/mcp`);
const sessions = new Map<string, StreamableHTTPServerTransport>();

async function open(): Promise<StreamableHTTPServerTransport> {
  const client = new Client({ name: 'bench', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(backend));
  const server = new Server({ name: 'sdk-router', version: '1' }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, async () => {
    const listed = await client.request({ method: 'tools/list' }, ListToolsResultSchema);
    return { tools: listed.tools.map((tool) => ({ ...tool, name: `bench__${tool.name}` })) };
  });
  server.setRequestHandler(CallToolRequestSchema, (request, extra) => {
    const token = request.params._meta?.progressToken;
    return client.request(
      {
        method: 'tools/call',
        params: { ...request.params, name: request.params.name.replace('bench__', '') },
      },
      CallToolResultSchema,
      token === undefined
        ? {}
        : {
            onprogress: (progress) =>
              void extra.sendNotification({
                method: 'notifications/progress',
                params: { ...progress, progressToken: token },
              }),
          },
    );
  });
  const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => void sessions.set(id, transport),
  });
  await server.connect(transport);
  return transport;
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const id = request.headers['mcp-session-id'];
  const transport = typeof id === 'string' ? sessions.get(id) : await open();
  await transport?.handleRequest(request, response);
}

const server = createServer((request, response) => void handle(request, response));
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => report(server));
