import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RouterError, WireEra } from '../errors.ts';
import type { RawJson } from '../model.ts';
import { errorResponse } from './envelope.ts';
import { accepts, forwardedHeaders, JSON_TYPE, SSE_TYPE } from './headers.ts';
import { HttpStream } from './http-stream.ts';
import { formatSse, sseHeaders } from './sse.ts';

/** Up to here a copy is cheaper than a second write. */
const ONE_WRITE_BYTES = 16 * 1024;

const { 'content-type': _type, ...streamExtras } = sseHeaders;

/**
 * The HTTP response to one client message. Knows which form the answer has taken (nothing yet, JSON, or an
 * event stream), so that an error that comes late still reaches the client in a form that it can read.
 */
export class HttpAnswer {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  /** Sent with whatever the answer becomes. */
  readonly #headers: Record<string, string> = {};
  #form: 'open' | 'json' | 'sse' | 'over' = 'open';
  /** Events that wait for `flush`: those that a backend sent in one piece go out in one piece. */
  #pending = '';
  /** Headers of an event stream are written. */
  #begun = false;
  /** Of the request: errors differ a little on the wire. */
  era: WireEra = 'legacy';

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
  }

  /** The client reads event streams: the specification demands it, and a few clients don't. */
  get takesStream(): boolean {
    return accepts(this.#request.headers.accept, SSE_TYPE);
  }

  /** The client names event streams before JSON: where both would do, it gets one. */
  get prefersStream(): boolean {
    return /^\s*text\/event-stream\b/i.test(this.#request.headers.accept ?? '');
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

  /** `gone` is called if the client hangs up before the whole answer was written. */
  onGone(gone: () => void): void {
    this.#response.once('close', () => {
      if (!this.#response.writableFinished) gone();
    });
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

  /** A whole answer. */
  send(status: number, body: string | Buffer, contentType: string = JSON_TYPE): void {
    if (this.#form !== 'open') return;
    this.#form = 'over';
    this.#response.writeHead(status, {
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
      ...this.#headers,
    });
    // Node puts a string behind its headers in one write, a buffer in a second one. Latin-1 keeps every byte.
    if (typeof body === 'string') this.#response.end(body);
    else if (body.length > ONE_WRITE_BYTES) this.#response.end(body);
    else this.#response.end(body.toString('latin1'), 'latin1');
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

  /** The answer is a stream that stays open and belongs to whoever asks for it. */
  openStream(keepAliveMs: number, onClose: () => void): HttpStream {
    this.#form = 'over';
    return new HttpStream(this.#response, this.#headers, keepAliveMs, onClose);
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

  /** The answer is an event stream. Its headers are out by the end of this turn, with or without events. */
  beginStream(): void {
    if (this.#form !== 'open') return;
    this.#form = 'sse';
    queueMicrotask(() => {
      if (this.#form !== 'sse' || this.#begun) return;
      this.#begin();
      this.#response.flushHeaders();
    });
  }

  #begin(): void {
    this.#begun = true;
    this.#response.writeHead(200, { ...sseHeaders, ...this.#headers });
  }

  /** One message on the stream; written with the others of this turn when `flush` is called. */
  event(data: string): void {
    this.#pending += formatSse(data);
  }

  /** Writes the events gathered so far. False while the client does not keep up. */
  flush(): boolean {
    if (this.#pending === '') return true;
    if (!this.#begun) this.#begin();
    const text = this.#pending;
    this.#pending = '';
    return this.#response.write(text);
  }

  /** Ends the answer, with what was gathered and not written yet. */
  end(): void {
    if (this.#form === 'over') return;
    const rest = this.#pending;
    this.#pending = '';
    if (this.#form === 'sse' && !this.#begun) {
      // The whole stream is here before anything of it was written: no need to send it in chunks.
      this.#form = 'open';
      for (const [name, value] of Object.entries(streamExtras)) this.setHeader(name, value);
      this.send(200, rest, sseHeaders['content-type']);
      return;
    }
    this.#form = 'over';
    this.#response.end(rest);
  }

  /**
   * Answers request `id` with an error, in the form that the answer has by now. Half a JSON body can't be
   * mended: then the connection is cut, so that the client sees a failed request and not a wrong answer.
   */
  fail(id: RawJson | 'null', error: RouterError): void {
    const body = errorResponse(id, error.toRpc(this.era));
    switch (this.#form) {
      case 'open':
        if (error.details.retryAfterMs !== undefined) {
          this.setHeader('retry-after', String(Math.ceil(error.details.retryAfterMs / 1000)));
        }
        this.send(error.httpStatus(this.era), body);
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
