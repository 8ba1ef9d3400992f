import type { Dispatcher } from 'undici';
import { SSE_TYPE } from '../relay/headers.ts';
import { SseLimitError, SseParser, type SseEvent } from '../relay/sse.ts';
import { Exchange, type AnswerHead, type ExchangeFailure, type Receiver } from './exchange.ts';
import { messagePath } from './sse-endpoint.ts';

/** Where one server of the HTTP+SSE transport is, and the connections to it. */
export interface SseSite {
  /** `http://host:port`, IPv6 in brackets. */
  readonly origin: string;
  /** Of the event stream. */
  readonly path: string;
  readonly calls: () => Dispatcher;
  readonly streams: () => Dispatcher;
}

/** Why there is no stream, or none any more. */
export type StreamEnd =
  /** GET was answered with another status than 200; `body` says so. */
  | { readonly kind: 'refused'; readonly head: AnswerHead; readonly body: string }
  | { readonly kind: 'failed'; readonly failure: Omit<ExchangeFailure, 'sent'> };

/** Told what comes on the stream. `over` comes last, and once. */
export interface StreamHearer {
  /** Messages may be posted to this path from now on. */
  open(path: string): void;
  /** The data of a `message` event; nothing is known of it yet. */
  event(data: string): void;
  over(end: StreamEnd): void;
}

/** As much as a call over Streamable HTTP may bring in one event. */
const MAX_EVENT_BYTES = 64 * 1024 * 1024;
/** Before the endpoint is named there is nothing to say but comments. */
const MAX_PREFACE_BYTES = 64 * 1024;
const MAX_REFUSAL_BYTES = 4096;

/**
 * The event stream of one session (2024-11-05, transports: HTTP with SSE). It is opened once; when it is over, so
 * is the session.
 */
export class SseStream implements Receiver {
  readonly #site: SseSite;
  readonly #hearer: StreamHearer;
  readonly #patienceMs: number;
  // Set last: a closed pool fails the exchange before its constructor returns.
  readonly #exchange: Exchange | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #parser: SseParser;
  #head: AnswerHead | undefined;
  #refusal: Buffer[] = [];
  #open = false;
  #over = false;
  /** Received so far, comments included: a sign of life. */
  bytes = 0;

  /** @param patienceMs for the answer's head and the `endpoint` event together */
  constructor(site: SseSite, headers: readonly string[], patienceMs: number, hearer: StreamHearer) {
    this.#site = site;
    this.#hearer = hearer;
    this.#patienceMs = patienceMs;
    this.#parser = new SseParser((event) => this.#event(event), MAX_EVENT_BYTES);
    this.#timer = setTimeout(() => this.#late(), patienceMs);
    this.#exchange = new Exchange(
      site.streams(),
      {
        method: 'GET',
        path: site.path,
        headers: ['accept', SSE_TYPE, 'cache-control', 'no-store', ...headers],
        firstByteTimeoutMs: 0,
        idleTimeoutMs: 0,
      },
      this,
    );
  }

  /** Ends the stream; the hearer is told nothing. */
  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#exchange?.abort();
  }

  head(answer: AnswerHead): void {
    this.#head = answer;
    if (answer.status === 200 && answer.mediaType !== SSE_TYPE) {
      const type = answer.mediaType || 'no content type';
      this.#fail('garbage', `answered GET ${this.#site.path} with ${type}, which is no event stream`);
    }
  }

  data(chunk: Buffer): boolean {
    if (this.#over) return true;
    this.bytes += chunk.length;
    if (this.#head?.status !== 200) {
      if (this.bytes <= MAX_REFUSAL_BYTES) this.#refusal.push(chunk);
      else this.#refused();
      return true;
    }
    try {
      this.#parser.push(chunk);
    } catch (error) {
      if (!(error instanceof SseLimitError)) throw error;
      this.#fail('garbage', `sent ${error.message}`);
    }
    if (!this.#open && this.bytes > MAX_PREFACE_BYTES) {
      this.#fail('garbage', `sent ${MAX_PREFACE_BYTES} bytes and no endpoint event`);
    }
    return true;
  }

  end(): void {
    if (this.#head?.status === 200) this.#fail('cut', this.#endSentence());
    else this.#refused();
  }

  fail(failure: ExchangeFailure): void {
    const says = failure.kind === 'cut' && this.#head ? this.#endSentence() : undefined;
    this.#conclude({
      kind: 'failed',
      failure: { kind: failure.kind, cause: failure.cause, ...(says !== undefined && { says }) },
    });
  }

  #event({ event, data }: SseEvent): void {
    if (this.#over || data === undefined || data === '') return;
    if (this.#open) {
      // Events of other names are for other listeners (HTML standard, 9.2.6).
      if (event === 'message') this.#hearer.event(data);
      return;
    }
    if (event !== 'endpoint') return;
    const read = messagePath(data, this.#site.origin + this.#site.path);
    if ('why' in read) {
      this.#fail('garbage', read.why);
      return;
    }
    this.#open = true;
    clearTimeout(this.#timer);
    this.#hearer.open(read.path);
  }

  #late(): void {
    const { path } = this.#site;
    if (this.#head && this.#head.status !== 200) {
      this.#refused();
      return;
    }
    this.#fail(
      'timeout',
      this.#head === undefined
        ? `did not answer GET ${path} within ${this.#patienceMs} ms`
        : `opened its event stream at ${path} but sent no endpoint event within ${this.#patienceMs} ms`,
    );
  }

  #endSentence(): string {
    return this.#open ? 'ended its event stream' : 'ended its event stream before it sent an endpoint event';
  }

  #refused(): void {
    if (!this.#head) return;
    const { location } = this.#head.headers;
    const body =
      typeof location === 'string' ? `it leads to ${location}` : Buffer.concat(this.#refusal).toString();
    this.#conclude({
      kind: 'refused',
      head: { ...this.#head, mediaType: 'text/plain', contentLength: undefined },
      body: `GET ${this.#site.path} opened no event stream: ${body || '(empty)'}`,
    });
  }

  #fail(kind: ExchangeFailure['kind'], says: string): void {
    this.#conclude({ kind: 'failed', failure: { kind, says, cause: new Error(says) } });
  }

  #conclude(end: StreamEnd): void {
    if (this.#over) return;
    this.close();
    this.#refusal = [];
    this.#hearer.over(end);
  }
}
