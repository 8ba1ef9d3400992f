import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { report } from './report.ts';

/**
 * The backend of the benchmarks: as little server as possible, so that the hop in front of it is what is
 * measured. Speaks enough MCP for a handshake, a list and calls.
 *
 * Tools: `small` answers some bytes; `large` answers 100 KB; `stream` answers by SSE with ten progress
 * notifications.
 */
const large = 'x'.repeat(100_000);

function result(id: unknown, name: string): string {
  const text = name === 'large' ? large : 'Echo: hello';
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"content":[{"type":"text","text":"${text}"}]}}`;
}

const tools = ['small', 'large', 'stream'].map((name) => ({
  name,
  description: `The ${name} one.`,
  inputSchema: { type: 'object', properties: { message: { type: 'string' } } },
  annotations: { readOnlyHint: true },
}));

const server = createServer((request, response) => {
  if (request.method !== 'POST') {
    response.writeHead(request.method === 'DELETE' ? 200 : 405).end();
    return;
  }
  let body = '';
  request.on('data', (chunk: Buffer) => (body += chunk.toString()));
  request.on('end', () => {
    const message = JSON.parse(body) as {
      id?: unknown;
      method: string;
      params?: { name: string; _meta?: { progressToken?: unknown } };
    };
    const json = (text: string, headers = {}): void => {
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        ...headers,
      });
      response.end(text);
    };
    switch (message.method) {
      case 'initialize':
        json(
          JSON.stringify({
            jsonrpc: '2.0',
            id: message.id,
            result: {
              protocolVersion: '2025-11-25',
              capabilities: { tools: {} },
              serverInfo: { name: 'bench', version: '1' },
            },
          }),
          { 'mcp-session-id': randomUUID() },
        );
        return;
      case 'tools/list':
        json(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { tools } }));
        return;
      case 'tools/call': {
        const name = message.params?.name ?? '';
        if (name !== 'stream') {
          json(result(message.id, name));
          return;
        }
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        const token = JSON.stringify(message.params?._meta?.progressToken ?? 0);
        for (let step = 1; step <= 10; step++) {
          response.write(
            `event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":${step},"total":10}}\n\n`,
          );
        }
        response.end(`event: message\ndata: ${result(message.id, 'stream')}\n\n`);
        return;
      }
      default:
        response.writeHead(202).end();
    }
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => report(server));
