import type { DoubtReason } from '../model.ts';
import type { ConsulError } from './consul-answer.ts';

/**
 * What one query says by now. "The registry is down", "the registry says none" and "the registry says something
 * that is not to be believed" are three different things.
 */
export type Discovered<Value> =
  | { readonly kind: 'believed'; readonly value: Value }
  /** `value` is what was said; who believed something before keeps that. */
  | { readonly kind: 'doubted'; readonly reason: DoubtReason; readonly value: Value }
  | { readonly kind: 'failed'; readonly error: ConsulError };

/** An answer with what speaks for and against it. */
export interface Statement<Value> {
  readonly value: Value;
  readonly index: bigint;
  /** `X-Consul-Results-Filtered-By-ACLs` */
  readonly filtered: boolean;
  /** `X-Consul-KnownLeader` says so. */
  readonly knownLeader?: boolean;
}

export interface JudgementOptions<Value> {
  readonly same: (a: Value, b: Value) => boolean;
  /** Why the answer is not to be believed, given what was believed last; undefined if it is. */
  readonly doubt: (answer: Statement<Value>, last: Statement<Value> | undefined) => DoubtReason | undefined;
  /** Told of every believed answer that differs from the last, and of every turn to doubt or failure and back. */
  readonly onChange: (discovered: Discovered<Value>) => void;
  /** A doubted answer that is repeated for this long is believed after all; milliseconds. */
  readonly holdMs: number;
}

/** Believes, doubts, and remembers: what came of the answers to one question so far. */
export class Judgement<Value> {
  readonly #options: JudgementOptions<Value>;
  /** The last believed answer, kept over doubts and failures. */
  #believed: Statement<Value> | undefined;
  #state: 'none' | 'believed' | 'doubted' | 'failed' = 'none';
  #doubted: (Statement<Value> & { reason: DoubtReason }) | undefined;
  #hold: NodeJS.Timeout | undefined;

  constructor(options: JudgementOptions<Value>) {
    this.#options = options;
  }

  /** True if the answer brought something new. */
  take(answer: Statement<Value>): boolean {
    const reason = this.#options.doubt(answer, this.#believed);
    if (reason === undefined) return this.#believe(answer);
    const before = this.#doubted;
    this.#doubted = { ...answer, reason };
    const news =
      this.#state !== 'doubted' ||
      before?.reason !== reason ||
      !this.#options.same(before.value, answer.value);
    this.#state = 'doubted';
    // A server without a leader says "none" for as long as it has none; that is never true by repetition.
    if (reason !== 'empty-at-start')
      this.#hold ??= setTimeout(() => this.#accept(), this.#options.holdMs).unref();
    if (news) this.#options.onChange({ kind: 'doubted', reason, value: answer.value });
    return news;
  }

  failed(error: ConsulError): void {
    this.#state = 'failed';
    this.#options.onChange({ kind: 'failed', error });
  }

  close(): void {
    clearTimeout(this.#hold);
  }

  #accept(): void {
    this.#hold = undefined;
    if (this.#state === 'doubted' && this.#doubted) this.#believe(this.#doubted);
  }

  #believe(answer: Statement<Value>): boolean {
    const last = this.#believed;
    const equal = last !== undefined && this.#options.same(last.value, answer.value);
    const news = !equal || this.#state !== 'believed';
    // The older value stays: whoever compares by identity sees that nothing changed.
    this.#believed = { ...answer, value: equal ? last.value : answer.value };
    this.#state = 'believed';
    this.#doubted = undefined;
    clearTimeout(this.#hold);
    this.#hold = undefined;
    if (news) this.#options.onChange({ kind: 'believed', value: this.#believed.value });
    return !equal;
  }
}
