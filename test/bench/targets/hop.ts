import { createServer } from 'node:http';
import { Pool } from 'undici';
import { report } from './report.ts';

/**
 * The yardstick: Node's http server and undici's lowest interface, nothing parsed. What any Node program pays
 * to pass a request on.
 */
const pool = new Pool(`http://127.0.0.1:${process.argv[2]}`, { pipelining: 1 });

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const headers: string[] = [
      'content-type',
      'application/json',
      'accept',
      'application/json, text/event-stream',
    ];
    const session = request.headers['mcp-session-id'];
    if (typeof session === 'string') headers.push('mcp-session-id', session);
    pool.dispatch(
      { method: 'POST', path: request.url ?? '/', headers, body: Buffer.concat(chunks) },
      {
        onRequestStart: () => undefined,
        onResponseStart(_controller, status, answer) {
          const header = (name: string): Record<string, string> => {
            const value = answer[name];
            return typeof value === 'string' ? { [name]: value } : {};
          };
          response.writeHead(status, {
            ...header('content-type'),
            ...header('content-length'),
            ...header('mcp-session-id'),
          });
        },
        onResponseData(controller, chunk) {
          if (!response.write(chunk)) {
            controller.pause();
            response.once('drain', () => controller.resume());
          }
        },
        onResponseEnd: () => void response.end(),
        onResponseError: () => void response.destroy(),
      },
    );
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => report(server));
