import { JSON_TYPE, SSE_TYPE } from '../relay/headers.ts';
import { formatSse } from '../relay/sse.ts';
import type { AnswerHead, Receiver } from './exchange.ts';

/**
 * What a receiver may be behind, in characters, before its call is given up. The stream belongs to all calls of
 * the session, so it can't be held back for one.
 */
const MAX_BEHIND = 4 * 1024 * 1024;

/**
 * Gives a receiver what came for it in the form of Streamable HTTP: an answer alone is JSON, an answer with
 * something before it an event stream.
 */
export class SseDelivery {
  readonly #receiver: Receiver;
  readonly #headers: AnswerHead['headers'];
  #begun = false;
  #over = false;
  #paused = false;
  #queue: string[] = [];
  #behind = 0;
  #last: string | undefined;

  constructor(receiver: Receiver, headers: AnswerHead['headers'] = {}) {
    this.#receiver = receiver;
    this.#headers = headers;
  }

  /** Something has reached the receiver. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Everything has reached the receiver, or it wants no more. */
  get over(): boolean {
    return this.#over;
  }

  begin(): void {
    if (this.#begun || this.#over) return;
    this.#begun = true;
    this.#receiver.head({
      status: 200,
      mediaType: SSE_TYPE,
      contentLength: undefined,
      headers: this.#headers,
    });
  }

  /** A message before the answer. False: the receiver is too far behind, and this one was not kept. */
  message(text: string): boolean {
    if (this.#over) return true;
    if (!this.#paused) {
      this.begin();
      this.#give(text);
      return true;
    }
    if (this.#behind > MAX_BEHIND) return false;
    this.#behind += text.length;
    this.#queue.push(text);
    return true;
  }

  answer(text: string): void {
    if (this.#over) return;
    if (this.#begun) {
      this.#last = text;
      this.#flush();
      return;
    }
    const body = Buffer.from(text);
    this.#begun = true;
    this.#over = true;
    this.#receiver.head({
      status: 200,
      mediaType: JSON_TYPE,
      contentLength: body.length,
      headers: this.#headers,
    });
    this.#receiver.data(body);
    this.#receiver.end();
  }

  resume(): void {
    this.#paused = false;
    this.#flush();
  }

  /** There is no more, and no answer either. */
  end(): void {
    if (this.#over) return;
    this.drop();
    this.#receiver.end();
  }

  /** The receiver wants no more. */
  drop(): void {
    this.#over = true;
    this.#queue = [];
    this.#last = undefined;
  }

  #flush(): void {
    while (!this.#paused && !this.#over) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        this.#behind -= next.length;
        this.#give(next);
      } else if (this.#last === undefined) {
        return;
      } else {
        const last = this.#last;
        this.drop();
        this.#give(last);
        this.#receiver.end();
      }
    }
  }

  #give(text: string): void {
    if (!this.#receiver.data(Buffer.from(formatSse(text)))) this.#paused = true;
  }
}
