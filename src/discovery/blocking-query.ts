import { setTimeout as delay } from 'node:timers/promises';
import type { Clock, Random } from '../model.ts';
import { BackOff } from './back-off.ts';
import { ConsulError } from './consul-answer.ts';
import type { ConsulCall, ConsulLine } from './consul-client.ts';
import type { Judgement } from './judgement.ts';
import { Pace } from './pace.ts';

export interface BlockingQueryOptions<Value> {
  readonly line: ConsulLine;
  readonly call: ConsulCall;
  readonly dc: string | undefined;
  readonly waitMs: number;
  /** @throws {ConsulError} 'garbage' for JSON that Consul would not send. */
  readonly parse: (body: unknown) => Value;
  readonly judgement: Judgement<Value>;
  readonly watcher: QueryWatcher;
  /** Shared with the other queries at the same agent. */
  readonly backOff: BackOff;
  readonly now: Clock;
  readonly random: Random;
}

/** Told how queries fare. */
export interface QueryWatcher {
  /** Consul was there, whatever it said. */
  contact(): void;
  error(error: ConsulError): void;
}

/** An agent without a leader takes 7 to 12 s to say so. */
const LEADER_RETRY_MS = 15_000;
const FRESH_TIMEOUT_MS = 20_000;

/**
 * One blocking query, for ever, by HashiCorp's rules (API documentation, blocking queries): the index is at
 * least 1; one that went back starts over; an error starts over, since a higher index of an earlier life would
 * block through changes; answers are paced; and only content counts as a change.
 */
export class BlockingQuery<Value> {
  readonly #options: BlockingQueryOptions<Value>;
  readonly #stop = new AbortController();
  readonly #pace: Pace;
  /** For what concerns this query alone: a refusal or garbage is an answer, and others may fare better. */
  readonly #ownBackOff: BackOff;
  /** 0: answer at once. */
  #index = 0n;
  #epoch = 0;

  constructor(options: BlockingQueryOptions<Value>) {
    this.#options = options;
    this.#pace = new Pace(options.now);
    this.#ownBackOff = new BackOff(options.now, options.random);
  }

  start(): void {
    void this.#loop();
  }

  stop(): void {
    this.#stop.abort();
    this.#options.line.close();
  }

  async #loop(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#ownBackOff.turn(signal);
      await this.#options.backOff.turn(signal);
      if (signal.aborted) {
        this.#options.backOff.gaveUp();
        return;
      }
      const pauseMs = await this.#once(signal);
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One query; gives the pause before the next. */
  async #once(signal: AbortSignal): Promise<number> {
    const { line, call, dc, waitMs, now, backOff, parse, judgement, watcher } = this.#options;
    const startedAt = now();
    if (this.#epoch !== backOff.epoch) this.#index = 0n;
    this.#epoch = backOff.epoch;
    const before = this.#index;
    try {
      const answer = await line.call(call, {
        signal,
        ...(dc !== undefined && { dc }),
        ...(before > 0n && { index: before, waitMs }),
        // Consul adds up to a sixteenth to the wait.
        timeoutMs: before > 0n ? waitMs + waitMs / 16 + LEADER_RETRY_MS : FRESH_TIMEOUT_MS,
      });
      if (answer.index === undefined) {
        throw new ConsulError(
          'garbage',
          'answered without X-Consul-Index: something stands between the router and Consul',
        );
      }
      const value = parse(answer.body);
      backOff.succeeded();
      this.#ownBackOff.succeeded();
      watcher.contact();
      // Some versions answered 0, which would not block.
      const index = answer.index > 0n ? answer.index : 1n;
      this.#index = index < before ? 0n : index;
      const changed = judgement.take({ value, index, filtered: answer.filtered });
      return this.#pace.next({ tookMs: now() - startedAt, changed, sameIndex: index === before });
    } catch (error) {
      if (signal.aborted) backOff.gaveUp();
      else this.#failed(error);
      return 0;
    }
  }

  #failed(thrown: unknown): void {
    const error =
      thrown instanceof ConsulError ? thrown : new ConsulError('garbage', String(thrown), { cause: thrown });
    this.#index = 0n;
    if (error.reason === 'refused' || error.reason === 'garbage') {
      this.#options.backOff.succeeded();
      this.#ownBackOff.failed();
    } else {
      this.#options.backOff.failed(error.retryAfterMs);
    }
    this.#options.watcher.error(error);
    this.#options.judgement.failed(error);
  }
}
