import type { RouterError, WireEra } from '../errors.ts';
import type { RawJson } from '../model.ts';
import type { Answer } from './answer.ts';
import { errorResponse } from './envelope.ts';
import type { HttpStream } from './http-stream.ts';

/** A stream that carries the answers to several messages. */
export interface SharedStream {
  /** One whole message. False while the client does not keep up. */
  send(message: string): boolean;
  readonly gone: boolean;
  /** @returns what takes it back */
  onGone(gone: () => void): () => void;
  onceDrained(resume: () => void): void;
}

/**
 * The answer to one message of several that share a stream: everything is an event there, and an HTTP status of
 * its own it has none. `done` is called once, when the answer is complete.
 */
export class EventAnswer implements Answer {
  readonly takesStream = true;
  readonly prefersStream = true;
  era: WireEra = 'legacy';
  readonly forwarded: string[];
  readonly #stream: SharedStream;
  readonly #done: () => void;
  #form: 'open' | 'json' | 'sse' | 'over' = 'open';
  #chunks: Buffer[] = [];
  #keepsUp = true;
  readonly #taken: (() => void)[] = [];

  /** @param forwarded header pairs of the client's request that go on to the backend */
  constructor(stream: SharedStream, forwarded: string[], done: () => void = () => undefined) {
    this.#stream = stream;
    this.forwarded = forwarded;
    this.#done = done;
  }

  get gone(): boolean {
    return this.#stream.gone;
  }

  get streaming(): boolean {
    return this.#form === 'sse';
  }

  setHeader(): void {
    // The headers of the shared stream are out.
  }

  onGone(gone: () => void): void {
    if (this.#form !== 'over') this.#taken.push(this.#stream.onGone(gone));
  }

  onceDrained(resume: () => void): void {
    this.#stream.onceDrained(() => {
      this.#keepsUp = true;
      resume();
    });
  }

  send(_status: number, body: string | Buffer): void {
    if (this.#form !== 'open') return;
    this.#stream.send(body.toString());
    this.#over();
  }

  sendParts(parts: readonly Buffer[]): void {
    this.send(200, Buffer.concat(parts));
  }

  status(): void {
    this.#over();
  }

  beginJson(): void {
    this.#form = 'json';
  }

  write(chunk: Buffer): boolean {
    this.#chunks.push(chunk);
    return true;
  }

  beginStream(): void {
    if (this.#form === 'open') this.#form = 'sse';
  }

  event(data: string): void {
    if (this.#form !== 'over') this.#keepsUp = this.#stream.send(data);
  }

  flush(): boolean {
    return this.#keepsUp;
  }

  keepAlive(): void {
    // The shared stream has its own.
  }

  suspend(): boolean {
    return false;
  }

  end(): void {
    if (this.#form === 'json') this.#stream.send(Buffer.concat(this.#chunks).toString());
    this.#over();
  }

  fail(id: RawJson | 'null', error: RouterError): void {
    if (this.#form === 'over') return;
    this.#stream.send(errorResponse(id, error.toRpc(this.era)));
    this.#over();
  }

  openStream(): HttpStream {
    throw new TypeError('a shared stream can not be given away');
  }

  #over(): void {
    if (this.#form === 'over') return;
    this.#form = 'over';
    this.#chunks = [];
    for (const takeBack of this.#taken.splice(0)) takeBack();
    this.#done();
  }
}
