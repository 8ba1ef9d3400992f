import type { Dispatcher } from 'undici';
import {
  Exchange,
  type AnswerHead,
  type ExchangeFailure,
  type Outbound,
  type Receiver,
  type Sending,
} from './exchange.ts';
import { abandoned } from './sse-answer-now.ts';
import { SseDelivery } from './sse-delivery.ts';

/** How a request left the session. */
export type RequestEnd =
  | 'result'
  | 'error'
  /** The POST was answered with another status than 2xx, or not at all; or the stream was lost. */
  | 'failed'
  /** Its receiver could not take what came. */
  | 'given-up'
  /** From our side. */
  | 'aborted';

export interface SseRequestOptions {
  readonly receiver: Receiver;
  /** Of the answer's head. */
  readonly headers?: AnswerHead['headers'];
  /** As JSON text; undefined where the sender wants no progress. */
  readonly progressToken: string | undefined;
  /** Takes the server's own messages beside its answer. */
  readonly hears: boolean;
  readonly onEnd: (how: RequestEnd) => void;
}

/** After the answer has come, the POST that asked for it is of no interest. */
const LINGER_MS = 10_000;
const MAX_POST_ANSWER_BYTES = 64 * 1024;

/**
 * One request in a session: as a receiver it hears what becomes of the POST that carries it, and from the session
 * what comes for it on the stream. A POST that was taken says nothing more; one that was not is the answer.
 */
export class SseRequest implements Receiver, Sending {
  readonly progressToken: string | undefined;
  readonly hears: boolean;
  readonly #receiver: Receiver;
  readonly #delivery: SseDelivery;
  readonly #onEnd: (how: RequestEnd) => void;
  #post: Exchange | undefined;
  #postState: 'none' | 'sent' | 'refused' | 'over' = 'none';
  #taken = false;
  #postBytes = 0;
  #linger: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(options: SseRequestOptions) {
    this.progressToken = options.progressToken;
    this.hears = options.hears;
    this.#receiver = options.receiver;
    this.#delivery = new SseDelivery(options.receiver, options.headers);
    this.#onEnd = options.onEnd;
  }

  /** The server has accepted the POST. */
  get taken(): boolean {
    return this.#taken;
  }

  post(dispatcher: Dispatcher, outbound: Outbound): void {
    if (this.#ended) return;
    this.#postState = 'sent';
    this.#post = new Exchange(dispatcher, outbound, this);
  }

  // --- What the stream brings ---------------------------------------------------------------------------------

  message(text: string): void {
    if (this.#ended) return;
    this.#guarded(() => {
      if (this.#delivery.message(text)) return;
      const cause = new Error('the client is too far behind');
      this.giveUp({ kind: 'cut', sent: true, cause }, 'given-up');
    });
  }

  answer(text: string, failed: boolean): void {
    if (this.#ended) return;
    this.#guarded(() => this.#delivery.answer(text));
    this.#end(failed ? 'error' : 'result');
    if (this.#postState !== 'sent') return;
    this.#linger = setTimeout(() => this.#post?.abort(), LINGER_MS);
    this.#linger.unref();
  }

  /** There will be no answer. */
  giveUp(failure: ExchangeFailure, how: RequestEnd = 'failed'): void {
    if (this.#ended) return;
    this.#end(how);
    this.#delivery.drop();
    this.#post?.abort();
    this.#receiver.fail(failure);
  }

  /** The session could not be opened: this is what the server said instead. */
  refuse(head: AnswerHead, body: string): void {
    if (this.#ended) return;
    this.#delivery.drop();
    this.#end('failed');
    this.#receiver.head(head);
    this.#receiver.data(Buffer.from(body));
    this.#receiver.end();
  }

  // --- Sending ------------------------------------------------------------------------------------------------

  resume(): void {
    if (this.#postState === 'refused') this.#post?.resume();
    else this.#delivery.resume();
  }

  abort(): void {
    if (this.#postState === 'refused') {
      this.#post?.abort();
      return;
    }
    if (this.#delivery.over) return;
    this.#delivery.drop();
    this.#end('aborted');
    this.#post?.abort();
    abandoned(this.#receiver);
  }

  // --- Receiver: the HTTP answer to the POST ------------------------------------------------------------------

  head(answer: AnswerHead): void {
    if (answer.status >= 200 && answer.status < 300) {
      this.#taken = true;
      return;
    }
    if (this.#ended) return;
    if (this.#delivery.begun) {
      // It has begun to answer and then says that it won't.
      const says = `answered the message with HTTP ${answer.status}`;
      this.giveUp({ kind: 'cut', sent: true, cause: new Error(says), says });
      return;
    }
    this.#postState = 'refused';
    this.#delivery.drop();
    this.#end('failed');
    this.#receiver.head(answer);
  }

  data(chunk: Buffer): boolean {
    if (this.#postState === 'refused') return this.#receiver.data(chunk);
    this.#postBytes += chunk.length;
    if (this.#postBytes > MAX_POST_ANSWER_BYTES) this.#post?.abort();
    return true;
  }

  end(): void {
    const refused = this.#postState === 'refused';
    this.#postOver();
    if (refused) this.#receiver.end();
  }

  fail(failure: ExchangeFailure): void {
    const refused = this.#postState === 'refused';
    this.#postOver();
    if (refused) this.#receiver.fail(failure);
    // Once it is taken, the stream decides.
    else if (!this.#taken && failure.kind !== 'aborted') this.giveUp(failure);
  }

  #postOver(): void {
    this.#postState = 'over';
    clearTimeout(this.#linger);
  }

  #end(how: RequestEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd(how);
  }

  /** What one receiver can't take must not end the stream of the others. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error));
      this.giveUp({ kind: 'garbage', sent: true, cause }, 'given-up');
    }
  }
}
