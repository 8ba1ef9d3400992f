import type { ServerResponse } from 'node:http';
import { formatSse, sseHeaders, sseKeepAlive } from './sse.ts';

/** Bytes that may wait for a slow client before its stream is cut; it opens another one when it is ready. */
const MAX_WAITING_BYTES = 1 << 20;

/** The stream that a client opens with GET, on which the router speaks by itself. */
export class HttpStream {
  readonly #response: ServerResponse;
  readonly #keepAlive: NodeJS.Timeout;

  /** `onClose`: the client closed it, or it was ended here. */
  constructor(
    response: ServerResponse,
    headers: Record<string, string>,
    keepAliveMs: number,
    onClose: () => void,
  ) {
    this.#response = response;
    response.writeHead(200, { ...sseHeaders, ...headers });
    response.flushHeaders();
    this.#keepAlive = setInterval(() => response.write(sseKeepAlive), keepAliveMs);
    this.#keepAlive.unref();
    response.once('close', () => {
      clearInterval(this.#keepAlive);
      onClose();
    });
  }

  send(message: string): void {
    if (this.#response.writableLength > MAX_WAITING_BYTES) {
      this.#response.destroy();
      return;
    }
    this.#response.write(formatSse(message));
  }

  end(): void {
    clearInterval(this.#keepAlive);
    this.#response.end();
  }
}
