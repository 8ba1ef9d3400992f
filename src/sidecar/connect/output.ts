import type { Writable } from 'node:stream';
import { asLine } from '../lines.ts';

/** Something that stopped because the client does not keep up. */
export interface Held {
  resume(): void;
}

/** The client's side: one JSON-RPC message a line, and nothing else, ever. */
export class Output {
  readonly #stream: Writable;
  readonly #held = new Set<Held>();
  #closed = false;

  /** `onGone`: nobody reads any more. */
  constructor(stream: Writable, onGone: () => void) {
    this.#stream = stream;
    stream.on('drain', () => this.#resume());
    const gone = (): void => {
      if (this.#closed) return;
      this.#closed = true;
      this.#resume();
      onGone();
    };
    stream.on('error', gone);
    stream.on('close', gone);
  }

  /** Sends one message. The caller has made sure that it is one. */
  send(message: string): void {
    if (!this.#closed) this.#stream.write(`${asLine(message)}\n`);
  }

  /** False while the client does not keep up; then `source` is resumed as soon as it does. */
  keepsUp(source: Held): boolean {
    if (this.#closed || !this.#stream.writableNeedDrain) return true;
    this.#held.add(source);
    return false;
  }

  /** Bytes that the client has not taken. */
  get waitingBytes(): number {
    return this.#closed ? 0 : this.#stream.writableLength;
  }

  /** Resolves when the client has taken everything or is gone, at the latest after `withinMs`. */
  flushed(withinMs: number): Promise<void> {
    if (this.waitingBytes === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(done, withinMs);
      // Called when everything before it has been taken, or with an error.
      this.#stream.write('', done);
    });
  }

  #resume(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const source of held) source.resume();
  }
}
