import type { HttpStream } from '../relay/http-stream.ts';

/** Kept for a client that has no stream open at the moment; the oldest go first. */
const MAX_WAITING = 100;
const MAX_WAITING_CHARACTERS = 256 * 1024;

/** What a server says to one client by itself: on the client's own stream, once there is one. */
export class Outbox {
  #stream: HttpStream | undefined;
  readonly #waiting: string[] = [];
  #characters = 0;

  /** The stream that the client has opened; undefined when it closed it. */
  listen(stream: HttpStream | undefined): void {
    this.#stream = stream;
    if (!stream) return;
    for (const text of this.#waiting.splice(0)) stream.send(text);
    this.#characters = 0;
  }

  send(text: string): void {
    if (this.#stream) {
      this.#stream.send(text);
      return;
    }
    this.#waiting.push(text);
    this.#characters += text.length;
    while (this.#waiting.length > MAX_WAITING || this.#characters > MAX_WAITING_CHARACTERS) {
      this.#characters -= this.#waiting.shift()?.length ?? 0;
    }
  }
}
