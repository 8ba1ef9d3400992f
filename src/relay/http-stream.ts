import type { ServerResponse } from 'node:http';
import { formatSse, sseHeaders, sseKeepAlive } from './sse.ts';

/** Bytes that may wait for a slow client before its stream is cut; it opens another one when it is ready. */
const MAX_WAITING_BYTES = 1 << 20;

/** A stream that a client opened and that stays open. */
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
    this.#keepAlive = setInterval(() => this.write(sseKeepAlive), keepAliveMs);
    this.#keepAlive.unref();
    response.once('close', () => {
      clearInterval(this.#keepAlive);
      onClose();
    });
  }

  send(message: string): void {
    this.write(formatSse(message));
  }

  /** Text of whole events or comments. */
  write(text: string): void {
    if (this.#response.writableEnded || this.#response.destroyed) return;
    if (this.#response.writableLength > MAX_WAITING_BYTES) this.#response.destroy();
    else this.#response.write(text);
  }

  end(): void {
    clearInterval(this.#keepAlive);
    this.#response.end();
  }
}
