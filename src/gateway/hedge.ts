import type { RawJson, Target } from '../model.ts';
import { JSON_TYPE, SSE_TYPE } from '../relay/headers.ts';
import type { Done, Outcome } from '../routing/health-book.ts';
import type { BackendSession } from '../upstream/backend-sessions.ts';
import type { Connections } from '../upstream/connections.ts';
import { Exchange, type AnswerHead, type ExchangeFailure, type Receiver } from '../upstream/exchange.ts';
import type { Bridge } from './bridge.ts';

/** Everything that makes up one attempt of a call. */
export interface Attempt {
  readonly target: Target;
  readonly done: Done;
  readonly bridge: Bridge;
  readonly backend: BackendSession;
  readonly exchange: Exchange;
  readonly sentAt: number;
}

export interface HedgeOptions {
  readonly connections: Connections;
  readonly target: Target;
  readonly done: Done;
  readonly bridge: Bridge;
  /** Header pairs of the client's request. */
  readonly forwarded: readonly string[];
  readonly now: () => number;
  /** It answers first: whoever hears this goes on with it, and hears all the rest as its receiver. */
  readonly onWin: (hedge: Hedge, attempt: Attempt) => Receiver;
  /** It came to nothing; the first attempt is alone again. */
  readonly onLost: (outcome: Outcome) => void;
}

/**
 * A second attempt of a call that only reads, at another instance, while the first one is silent (Dean and
 * Barroso 2013, hedged requests). Whoever answers first is taken, the other is cancelled.
 */
export class Hedge implements Receiver {
  readonly #options: HedgeOptions;
  #exchange: Exchange | undefined;
  #backend: BackendSession | undefined;
  #sentAt = 0;
  /** Who goes on with it, once it was taken. */
  #taker: Receiver | undefined;
  #over = false;

  constructor(options: HedgeOptions) {
    this.#options = options;
  }

  start(): void {
    const ready = this.#options.bridge.ready();
    if (ready) this.#send(ready);
    else void this.#openFirst();
  }

  /** The first attempt has failed: this one takes its place, if its request is out. */
  promote(): Attempt | undefined {
    const { target, done, bridge } = this.#options;
    if (this.#over || this.#taker || !this.#exchange || !this.#backend) return undefined;
    return { target, done, bridge, backend: this.#backend, exchange: this.#exchange, sentAt: this.#sentAt };
  }

  /** What comes from now on is for this receiver. */
  handTo(receiver: Receiver): void {
    this.#taker = receiver;
  }

  /** The first attempt answers, or the call is over. */
  drop(reason: RawJson): void {
    if (this.#over || this.#taker) return;
    this.#over = true;
    this.#exchange?.abort();
    if (this.#backend) this.#options.bridge.cancel(this.#backend, reason);
    this.#settle('abandoned');
  }

  head(head: AnswerHead): void {
    if (this.#over) return;
    if (!this.#taker) {
      const good = head.status === 200 && (head.mediaType === JSON_TYPE || head.mediaType === SSE_TYPE);
      const attempt = good ? this.promote() : undefined;
      if (!attempt) {
        this.#exchange?.abort();
        this.#lose('failed');
        return;
      }
      this.#taker = this.#options.onWin(this, attempt);
    }
    this.#taker.head(head);
  }

  data(chunk: Buffer): boolean {
    return this.#taker?.data(chunk) ?? true;
  }

  end(): void {
    if (this.#taker) this.#taker.end();
    else this.#lose('failed');
  }

  fail(failure: ExchangeFailure): void {
    if (this.#taker) this.#taker.fail(failure);
    else this.#lose('failed');
  }

  async #openFirst(): Promise<void> {
    try {
      const backend = await this.#options.bridge.open();
      if (this.#over) this.#options.bridge.release?.();
      else this.#send(backend);
    } catch {
      this.#lose('failed');
    }
  }

  #send(backend: BackendSession): void {
    const { bridge, connections, forwarded, now } = this.#options;
    const { endpoint } = backend.instance;
    this.#backend = backend;
    this.#sentAt = now();
    const { headers, body } = bridge.outgoing(backend, forwarded);
    this.#exchange = new Exchange(
      connections.forCalls(endpoint),
      { method: 'POST', path: endpoint.path, headers, body, firstByteTimeoutMs: 0, idleTimeoutMs: 0 },
      this,
    );
  }

  #lose(outcome: Outcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#settle(outcome);
    this.#options.onLost(outcome);
  }

  #settle(outcome: Outcome): void {
    this.#options.done(outcome, this.#sentAt);
    this.#options.bridge.release?.();
  }
}
