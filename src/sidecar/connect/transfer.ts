import type { RouterError } from '../../errors.ts';
import { JSON_TYPE, SSE_TYPE } from '../../relay/headers.ts';
import { SseLimitError, SseParser } from '../../relay/sse.ts';
import type { AnswerHead, Exchange, ExchangeFailure, Receiver } from '../../upstream/exchange.ts';
import type { Link, Sending } from './link.ts';
import type { Held, Output } from './output.ts';
import { garbage, tooLarge, type Refusal } from './problems.ts';
import { Cursor } from './reconnect.ts';

/** How an HTTP request ended. */
export type Outcome =
  /** Everything was read. That the response was in it is for the caller to know. */
  | { readonly kind: 'complete'; readonly streamed: boolean }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** An answer that no client of MCP can read. */
  | { readonly kind: 'unreadable'; readonly error: RouterError }
  | { readonly kind: 'failed'; readonly failure: ExchangeFailure };

export interface Hearing {
  /** The server took the request: its answer has begun. */
  opened?(head: AnswerHead): void;
  /** The text of one event, or of a whole JSON body. */
  message(text: string): void;
  /** Called once, last; not after `abort`. */
  over(outcome: Outcome): void;
}

/** Enough of a refusal to find a JSON-RPC error or a sentence in it. */
const MAX_REFUSAL_BYTES = 64 * 1024;

type Form = 'none' | 'json' | 'stream' | 'foreign' | 'refusal';

/** One HTTP request to the server, and the answer read as MCP: a JSON body, an event stream, or nothing. */
export class Transfer implements Receiver, Held {
  readonly #link: Link;
  readonly #output: Output;
  readonly #hearing: Hearing;
  readonly #cursor: Cursor;
  /** Unset until the exchange has begun, and it may fail before that. */
  readonly #exchange: Exchange | undefined;
  #over = false;
  #form: Form = 'none';
  #head: AnswerHead | undefined;
  #parser: SseParser | undefined;
  #body: Buffer[] = [];
  #bytes = 0;

  constructor(link: Link, output: Output, sending: Sending, hearing: Hearing, cursor: Cursor = new Cursor()) {
    this.#link = link;
    this.#output = output;
    this.#hearing = hearing;
    this.#cursor = cursor;
    const exchange = link.send(sending, this);
    this.#exchange = exchange;
    if (this.#over) exchange.abort();
  }

  /** The answer is an event stream, and has begun. */
  get streaming(): boolean {
    return this.#form === 'stream';
  }

  /** Breaks it off. Nothing is heard any more. */
  abort(): void {
    this.#over = true;
    this.#body = [];
    this.#exchange?.abort();
  }

  resume(): void {
    this.#exchange?.resume();
  }

  head(answer: AnswerHead): void {
    if (this.#over) return;
    this.#head = answer;
    const taken = answer.status >= 200 && answer.status < 300;
    if (!taken) this.#form = 'refusal';
    else if (answer.mediaType === SSE_TYPE) this.#form = 'stream';
    else if (answer.mediaType === JSON_TYPE) this.#form = 'json';
    else this.#form = 'foreign';
    if (this.#form === 'stream') {
      this.#parser = new SseParser((event) => {
        if (this.#over) return;
        this.#cursor.heard(event);
        // Events of other names are not MCP: some servers send heartbeats like that.
        if (event.event === 'message' && event.data) this.#hearing.message(event.data);
      }, this.#link.limits.maxMessageBytes);
    }
    if (taken) this.#hearing.opened?.(answer);
  }

  data(chunk: Buffer): boolean {
    if (this.#over) return true;
    if (this.#parser) this.#parse(this.#parser, chunk);
    else this.#collect(chunk);
    return this.#over || this.#output.keepsUp(this);
  }

  #parse(parser: SseParser, chunk: Buffer): void {
    try {
      parser.push(chunk);
    } catch (error) {
      if (!(error instanceof SseLimitError)) throw error;
      this.#unreadable(tooLarge(this.#link.url, this.#link.limits.maxMessageBytes));
    }
  }

  #collect(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#form === 'json') {
      const { maxMessageBytes } = this.#link.limits;
      if (this.#bytes > maxMessageBytes) this.#unreadable(tooLarge(this.#link.url, maxMessageBytes));
      else this.#body.push(chunk);
    } else if (this.#bytes <= MAX_REFUSAL_BYTES) this.#body.push(chunk);
  }

  end(): void {
    if (this.#over) return;
    const body = Buffer.concat(this.#body).toString();
    this.#body = [];
    const head = this.#head;
    if (this.#form === 'json') this.#hearing.message(body);
    if (this.#form === 'refusal' && head) {
      this.#finish({ kind: 'refused', refusal: { head, body } });
    } else if (this.#form === 'foreign' && this.#bytes > 0) {
      const type = head?.mediaType || 'no content type';
      this.#finish({
        kind: 'unreadable',
        error: garbage(this.#link.url, `answered HTTP ${head?.status ?? 0} with ${type}`),
      });
    } else this.#finish({ kind: 'complete', streamed: this.#form === 'stream' });
  }

  fail(failure: ExchangeFailure): void {
    if (!this.#over) this.#finish({ kind: 'failed', failure });
  }

  #unreadable(error: RouterError): void {
    this.#finish({ kind: 'unreadable', error });
    this.#exchange?.abort();
  }

  #finish(outcome: Outcome): void {
    // A message may have led to `abort` in the meantime.
    if (this.#over) return;
    this.#over = true;
    this.#body = [];
    this.#hearing.over(outcome);
  }
}
