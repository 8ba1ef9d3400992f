import type { IncomingMessage } from 'node:http';
import { RouterError } from '../errors.ts';

/**
 * The whole body as text.
 * @throws {RouterError} BODY_TOO_LARGE, as soon as it is known; INVALID_REQUEST where the client broke off.
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const tooLarge = (): RouterError =>
      new RouterError('BODY_TOO_LARGE', `The body has more than ${maxBytes} bytes (MCP_ROUTER_MAX_BODY).`);
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
      reject(tooLarge());
      return;
    }
    let first: Buffer | undefined;
    let rest: Buffer[] | undefined;
    let bytes = 0;
    let complete = false;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        request.pause();
        reject(tooLarge());
      } else if (first === undefined) first = chunk;
      else (rest ??= [first]).push(chunk);
    });
    request.on('end', () => {
      complete = true;
      resolve((rest ? Buffer.concat(rest) : (first ?? Buffer.alloc(0))).toString());
    });
    request.on('error', (error) => {
      reject(
        new RouterError('INVALID_REQUEST', 'The connection broke while the request was read.', {}, error),
      );
    });
    request.on('close', () => {
      if (complete) return;
      reject(
        new RouterError('INVALID_REQUEST', 'The connection was closed before the request was complete.'),
      );
    });
  });
}
