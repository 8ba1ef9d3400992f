import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RouterError, WireEra } from '../errors.ts';
import type { RawJson } from '../model.ts';
import type { Answer, LogSource } from './answer.ts';
import { errorResponse } from './envelope.ts';
import { accepts, forwardedHeaders, JSON_TYPE, SSE_TYPE } from './headers.ts';
import { HttpStream } from './http-stream.ts';
import { formatSse, sseHeaders, sseKeepAlive } from './sse.ts';
import { RETRY_MS, type StreamLog } from './stream-log.ts';

/** Up to here a copy is cheaper than a second write. */
const ONE_WRITE_BYTES = 16 * 1024;

const { 'content-type': _type, ...streamExtras } = sseHeaders;

/**
 * The HTTP response to one client message. Knows which form the answer has taken (nothing yet, JSON, or an
 * event stream), so that an error that comes late still reaches the client in a form that it can read.
 *
 * With a log, an event stream outlives its connection: what is sent while the client is away waits for it.
 */
export class HttpAnswer implements Answer {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  /** Sent with whatever the answer becomes. */
  readonly #headers: Record<string, string> = {};
  #form: 'open' | 'json' | 'sse' | 'over' = 'open';
  /** Events that wait for `flush`: those that a backend sent in one piece go out in one piece. */
  #pending = '';
  /** Headers of an event stream are written. */
  #begun = false;
  /** The stream goes on without this connection. */
  #left = false;
  #lastWriteAt: number | undefined;
  #logs: LogSource | undefined;
  #log: StreamLog | undefined;
  era: WireEra = 'legacy';

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
  }

  get takesStream(): boolean {
    return accepts(this.#request.headers.accept, SSE_TYPE);
  }

  /** It names event streams before JSON. */
  get prefersStream(): boolean {
    return /^\s*text\/event-stream\b/i.test(this.#request.headers.accept ?? '');
  }

  get forwarded(): string[] {
    return forwardedHeaders(this.#request.headers);
  }

  get gone(): boolean {
    return this.#left || this.#response.destroyed;
  }

  get streaming(): boolean {
    return this.#form === 'sse';
  }

  /** An event stream, if there will be one, is kept for a client that loses it. */
  keepIn(logs: LogSource): void {
    this.#logs = logs;
  }

  setHeader(name: string, value: string): void {
    this.#headers[name] = value;
  }

  onGone(gone: () => void): void {
    this.#response.once('close', () => {
      if (!this.#response.writableFinished) gone();
    });
  }

  onceDrained(resume: () => void): void {
    const done = (): void => {
      this.#response.off('drain', done);
      this.#response.off('close', done);
      resume();
    };
    this.#response.on('drain', done);
    this.#response.on('close', done);
  }

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

  sendParts(parts: readonly Buffer[]): void {
    if (this.#form !== 'open') return;
    this.#form = 'over';
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.#response.writeHead(200, { 'content-type': JSON_TYPE, 'content-length': length, ...this.#headers });
    for (const part of parts) this.#response.write(part);
    this.#response.end();
  }

  openStream(keepAliveMs: number, onClose: () => void): HttpStream {
    this.#form = 'over';
    return new HttpStream(this.#response, this.#headers, keepAliveMs, onClose);
  }

  status(status: number): void {
    if (this.#form !== 'open') return;
    this.#form = 'over';
    this.#response.writeHead(status, { 'content-length': 0, ...this.#headers });
    this.#response.end();
  }

  beginJson(contentLength: number | undefined): void {
    this.#form = 'json';
    this.#response.writeHead(
      200,
      contentLength === undefined
        ? { 'content-type': JSON_TYPE, ...this.#headers }
        : { 'content-type': JSON_TYPE, 'content-length': contentLength, ...this.#headers },
    );
  }

  write(chunk: Buffer): boolean {
    return this.#response.write(chunk);
  }

  /** The headers are out by the end of this turn, with or without events. */
  beginStream(): void {
    if (this.#form !== 'open') return;
    this.#form = 'sse';
    if (this.#logs) {
      this.#log = this.#logs.open();
      this.#log.onTakenOver(() => this.#leave());
      if (this.#logs.polls) this.#pending = this.#log.prime();
    }
    queueMicrotask(() => {
      if (this.#form !== 'sse' || this.#begun || this.#left) return;
      this.#begin();
      this.#response.flushHeaders();
      this.flush();
    });
  }

  #begin(): void {
    this.#begun = true;
    this.#response.writeHead(200, { ...sseHeaders, ...this.#headers });
  }

  event(data: string): void {
    const text = this.#log ? this.#log.append(data) : formatSse(data);
    if (!this.#left) this.#pending += text;
  }

  flush(): boolean {
    if (this.#pending === '') return true;
    const text = this.#pending;
    this.#pending = '';
    if (this.gone) return true;
    if (!this.#begun) this.#begin();
    this.#lastWriteAt = undefined;
    return this.#response.write(text);
  }

  keepAlive(now: number, everyMs: number): void {
    if (this.#form !== 'sse' || this.gone) return;
    // Writes are not timed one by one; the first look after one counts as its time.
    this.#lastWriteAt ??= now;
    if (now - this.#lastWriteAt < everyMs || this.#response.writableNeedDrain) return;
    this.#pending = sseKeepAlive + this.#pending;
    this.flush();
  }

  suspend(): boolean {
    if (this.#form !== 'sse' || !this.#log || this.#logs?.polls !== true) return false;
    if (this.gone) return true;
    this.flush();
    if (!this.#begun) this.#begin();
    this.#response.write(`retry: ${RETRY_MS}\n\n`);
    this.#leave();
    return true;
  }

  #leave(): void {
    this.#left = true;
    this.#pending = '';
    this.#response.end();
  }

  end(): void {
    if (this.#form === 'over') return;
    if (this.#log) this.#logs?.close(this.#log);
    const rest = this.#pending;
    this.#pending = '';
    if (this.#form === 'sse' && !this.#begun && !this.#left) {
      // The whole stream is here before anything of it was written: no need to send it in chunks.
      this.#form = 'open';
      for (const [name, value] of Object.entries(streamExtras)) this.setHeader(name, value);
      this.send(200, rest, sseHeaders['content-type']);
      return;
    }
    this.#form = 'over';
    if (!this.#left) this.#response.end(rest);
  }

  /**
   * Half a JSON body can't be mended: then the connection is cut, so that the client sees a failed request and not
   * a wrong answer.
   */
  fail(id: RawJson | 'null', error: RouterError): void {
    const body = errorResponse(id, error.toRpc(this.era));
    switch (this.#form) {
      case 'open':
        for (const [name, value] of Object.entries(error.headers)) this.setHeader(name, value);
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
