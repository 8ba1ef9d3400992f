import type { RouterError, WireEra } from '../errors.ts';
import type { RawJson } from '../model.ts';
import type { Answer } from './answer.ts';
import { errorResponse } from './envelope.ts';
import type { HttpStream } from './http-stream.ts';

/** A whole answer: an HTTP status and a JSON-RPC response. */
export interface Gathered {
  readonly status: number;
  readonly body: string;
}

/** An answer that is wanted whole, to be carried on by somebody else. */
export class GatheredAnswer implements Answer {
  readonly takesStream = false;
  readonly prefersStream = false;
  readonly forwarded: string[] = [];
  readonly gone = false;
  readonly streaming = false;
  era: WireEra = 'legacy';
  /** Settles with the answer's end; never rejects. */
  readonly whole: Promise<Gathered>;
  #settle: (gathered: Gathered) => void = () => undefined;
  #chunks: Buffer[] = [];

  constructor() {
    this.whole = new Promise((resolve) => (this.#settle = resolve));
  }

  setHeader(): void {
    // Only what is answered is carried on.
  }

  onGone(): void {
    // Nobody is told when the client of another replica leaves.
  }

  onceDrained(resume: () => void): void {
    resume();
  }

  send(status: number, body: string | Buffer): void {
    this.#settle({ status, body: body.toString() });
  }

  sendParts(parts: readonly Buffer[]): void {
    this.send(200, Buffer.concat(parts));
  }

  status(status: number): void {
    this.send(status, '');
  }

  beginJson(): void {
    this.#chunks = [];
  }

  write(chunk: Buffer): boolean {
    this.#chunks.push(chunk);
    return true;
  }

  beginStream(): void {
    throw new TypeError('an answer that is gathered is no stream');
  }

  event(): void {
    this.beginStream();
  }

  flush(): boolean {
    return true;
  }

  keepAlive(): void {
    // No connection of its own.
  }

  suspend(): boolean {
    return false;
  }

  end(): void {
    this.send(200, Buffer.concat(this.#chunks));
  }

  fail(id: RawJson | 'null', error: RouterError): void {
    this.send(error.httpStatus(this.era), errorResponse(id, error.toRpc(this.era)));
  }

  openStream(): HttpStream {
    throw new TypeError('an answer that is gathered is no stream');
  }
}
