import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RouterError } from '../errors.ts';
import type { RawJson } from '../model.ts';
import { errorResponse } from '../relay/envelope.ts';
import { accepts, forwardedHeaders, JSON_TYPE, SSE_TYPE } from '../relay/headers.ts';
import { formatSse, sseHeaders } from '../relay/sse.ts';

/**
 * The HTTP response to one client message. Knows which form the answer has taken (nothing yet, JSON, or an
 * event stream), so that an error that comes late still reaches the client in a form that it can read.
 */
export class ClientAnswer {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  /** Sent with whatever the answer becomes. */
  readonly #headers: Record<string, string> = {};
  #form: 'open' | 'json' | 'sse' | 'over' = 'open';

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
  }

  /** The client reads event streams: the specification demands it, and a few clients don't. */
  get takesStream(): boolean {
    return accepts(this.#request.headers.accept, SSE_TYPE);
  }

  /** Headers of the client's request that go on to the backend: trace context and request id. */
  get forwarded(): string[] {
    return forwardedHeaders(this.#request.headers);
  }

  /** The client hung up: nothing that is written reaches it. */
  get gone(): boolean {
    return this.#response.destroyed;
  }

  get started(): boolean {
    return this.#form !== 'open';
  }

  get streaming(): boolean {
    return this.#form === 'sse';
  }

  setHeader(name: string, value: string): void {
    this.#headers[name] = value;
  }

  /** `done` is called once, when the answer is out or the client is gone. */
  onClose(done: () => void): void {
    this.#response.once('close', done);
  }

  /** Called once, when the client has taken what was written. */
  onceDrained(resume: () => void): void {
    this.#response.once('drain', resume);
    this.#response.once('close', resume);
  }

  /** A whole answer. */
  send(status: number, body: string | Buffer, contentType: string = JSON_TYPE): void {
    if (this.#form !== 'open') return;
    this.#form = 'over';
    this.#response.writeHead(status, {
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
      ...this.#headers,
    });
    this.#response.end(body);
  }

  /** A whole answer in parts that are ready; they go out together. */
  sendParts(parts: readonly Buffer[]): void {
    if (this.#form !== 'open') return;
    this.#form = 'over';
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.#response.writeHead(200, { 'content-type': JSON_TYPE, 'content-length': length, ...this.#headers });
    for (const part of parts) this.#response.write(part);
    this.#response.end();
  }

  /** An HTTP status without a body: 202 for a notification. */
  status(status: number): void {
    if (this.#form !== 'open') return;
    this.#form = 'over';
    this.#response.writeHead(status, { 'content-length': 0, ...this.#headers });
    this.#response.end();
  }

  /** Begins a JSON answer whose bytes come from somewhere else. */
  beginJson(contentLength: number | undefined): void {
    this.#form = 'json';
    this.#response.writeHead(
      200,
      contentLength === undefined
        ? { 'content-type': JSON_TYPE, ...this.#headers }
        : { 'content-type': JSON_TYPE, 'content-length': contentLength, ...this.#headers },
    );
  }

  /** False while the client does not keep up. */
  write(chunk: Buffer): boolean {
    return this.#response.write(chunk);
  }

  beginStream(): void {
    if (this.#form !== 'open') return;
    this.#form = 'sse';
    this.#response.writeHead(200, { ...sseHeaders, ...this.#headers });
    // Headers alone tell a waiting client that its request was taken.
    this.#response.flushHeaders();
  }

  /** One message on the stream. False while the client does not keep up. */
  event(data: string): boolean {
    return this.#response.write(formatSse(data));
  }

  end(): void {
    if (this.#form === 'over') return;
    this.#form = 'over';
    this.#response.end();
  }

  /**
   * Answers request `id` with an error, in the form that the answer has by now. Half a JSON body can't be
   * mended: then the connection is cut, so that the client sees a failed request and not a wrong answer.
   */
  fail(id: RawJson | 'null', error: RouterError, httpStatus: number = error.httpStatus): void {
    const body = errorResponse(id, error.toRpc());
    switch (this.#form) {
      case 'open':
        if (error.details.retryAfterMs !== undefined) {
          this.setHeader('retry-after', String(Math.ceil(error.details.retryAfterMs / 1000)));
        }
        this.send(httpStatus, body);
        return;
      case 'sse':
        this.event(body);
        this.end();
        return;
      case 'json':
        this.#form = 'over';
        this.#response.destroy();
        return;
      case 'over':
    }
  }
}
