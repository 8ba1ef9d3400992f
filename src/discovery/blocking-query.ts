import { setTimeout as delay } from 'node:timers/promises';
import type { Clock, Random } from '../model.ts';
import { BackOff, type Try } from './back-off.ts';
import { ConsulError, type ConsulAnswer } from './consul-answer.ts';
import type { ConsulLine } from './consul-line.ts';
import type { ConsulCall } from './consul-package.ts';
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
  /** Consul answered. */
  contact(index: bigint): void;
  error(error: ConsulError): void;
}

/** An agent without a leader takes 7 to 12 s to say so. */
const LEADER_RETRY_MS = 15_000;
export const FRESH_TIMEOUT_MS = 20_000;
/** Longest pause of a query that fares worse than others: when all fare badly, the shared pauses govern. */
const OWN_PAUSE_MS = 5000;

/**
 * One blocking query, for ever, by HashiCorp's rules (API documentation, blocking queries): the index is at
 * least 1; one that went back starts over; an error starts over, since a higher index of an earlier life would
 * block through changes; answers are paced; and only content counts as a change.
 */
export class BlockingQuery<Value> {
  readonly #options: BlockingQueryOptions<Value>;
  readonly #stop = new AbortController();
  readonly #pace: Pace;
  /** Others may fare better, and each of their successes ends the shared pause. */
  readonly #ownBackOff: BackOff;
  /** 0: answer at once. */
  #index = 0n;
  #epoch = 0;

  constructor(options: BlockingQueryOptions<Value>) {
    this.#options = options;
    this.#pace = new Pace(options.now);
    this.#ownBackOff = new BackOff(options.now, options.random, OWN_PAUSE_MS);
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
      const own = await this.#ownBackOff.turn(signal);
      const shared = await this.#options.backOff.turn(signal);
      const pauseMs = signal.aborted ? 0 : await this.#once(signal, [own, shared]);
      if (signal.aborted) shared.gaveUp();
      else if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One query; gives the pause before the next. */
  async #once(signal: AbortSignal, tries: readonly [own: Try, shared: Try]): Promise<number> {
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
      const { filtered, knownLeader } = answer;
      const index = indexOf(answer);
      const value = parse(answer.body);
      for (const each of tries) each.succeeded();
      watcher.contact(index);
      this.#index = index < before ? 0n : index;
      const changed = judgement.take({ value, index, filtered, knownLeader });
      return this.#pace.next({ tookMs: now() - startedAt, changed, sameIndex: index === before });
    } catch (error) {
      if (!signal.aborted) this.#failed(asFailure(error), tries);
      return 0;
    }
  }

  #failed(error: ConsulError, [own, shared]: readonly [own: Try, shared: Try]): void {
    const { backOff, watcher, judgement } = this.#options;
    this.#index = 0n;
    if (error.reason === 'unreachable' || error.reason === 'server-error') backOff.voidIndexes();
    shared.failed(error.retryAfterMs);
    // What ends a connection ends it for all, and so does a limit: there the shared pauses are enough.
    if (error.reason === 'unreachable' || error.reason === 'rate-limited') own.succeeded();
    else own.failed();
    watcher.error(error);
    judgement.failed(error);
  }
}

/**
 * The index to go on with, at least 1: some versions answered 0, which would not block.
 * @throws {ConsulError}
 */
export function indexOf(answer: ConsulAnswer): bigint {
  if (answer.index === undefined) {
    throw new ConsulError(
      'garbage',
      'answered without X-Consul-Index: something stands between the router and Consul',
    );
  }
  return answer.index > 0n ? answer.index : 1n;
}

/** A parser that breaks met something that Consul would not send. */
export function asFailure(thrown: unknown): ConsulError {
  return thrown instanceof ConsulError
    ? thrown
    : new ConsulError('garbage', String(thrown), { cause: thrown });
}
