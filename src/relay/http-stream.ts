import type { ServerResponse } from 'node:http';
import { formatSse, sseHeaders, sseKeepAlive } from './sse.ts';

/** Bytes that may wait for a slow client before its stream is cut; it opens another one when it is ready. */
const MAX_WAITING_BYTES = 1 << 20;

/** A stream that a client opened and that stays open. */
export class HttpStream {
  readonly #response: ServerResponse;
  readonly #keepAlive: NodeJS.Timeout;
  readonly #maxWaiting: number;

  /**
   * @param onClose the client closed it, or it was ended here
   * @param maxWaiting bytes that may wait for a slow client before it is cut
   */
  constructor(
    response: ServerResponse,
    headers: Record<string, string>,
    keepAliveMs: number,
    onClose: () => void,
    maxWaiting: number = MAX_WAITING_BYTES,
  ) {
    this.#response = response;
    this.#maxWaiting = maxWaiting;
    response.writeHead(200, { ...sseHeaders, ...headers });
    response.flushHeaders();
    // One listener a running answer, all of them taken back.
    response.setMaxListeners(0);
    this.#keepAlive = setInterval(() => this.write(sseKeepAlive), keepAliveMs);
    this.#keepAlive.unref();
    response.once('close', () => {
      clearInterval(this.#keepAlive);
      onClose();
    });
  }

  /** False while the client does not keep up. */
  send(message: string): boolean {
    return this.write(formatSse(message));
  }

  /** Text of whole events or comments. False while the client does not keep up. */
  write(text: string): boolean {
    if (this.#response.writableEnded || this.gone) return true;
    if (this.#response.writableLength <= this.#maxWaiting) return this.#response.write(text);
    this.#response.destroy();
    return true;
  }

  get gone(): boolean {
    return this.#response.destroyed;
  }

  /** @returns what takes it back */
  onGone(gone: () => void): () => void {
    this.#response.once('close', gone);
    return () => void this.#response.off('close', gone);
  }

  /** Called once, when the client has taken what was written, or is gone. */
  onceDrained(resume: () => void): void {
    const done = (): void => {
      this.#response.off('drain', done);
      this.#response.off('close', done);
      resume();
    };
    this.#response.on('drain', done);
    this.#response.on('close', done);
  }

  end(): void {
    clearInterval(this.#keepAlive);
    this.#response.end();
  }
}
