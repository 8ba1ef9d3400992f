import type { Clock, Random } from '../model.ts';

const FIRST_MS = 200;
const LAST_MS = 30_000;

/** One try, from its turn to its end. Exactly one of the three is called, once. */
export interface Try {
  succeeded(): void;
  /** @param retryAfterMs what the server asked for; 0 for nothing */
  failed(retryAfterMs?: number): void;
  /** It was stopped; somebody else may try. */
  gaveUp(): void;
}

/**
 * The pause after failures, shared by all queries at one agent: exponential from 0.2 s to `lastMs` with full
 * jitter (AWS architecture blog, "Exponential backoff and jitter"). While it lasts one query at a time tries, and
 * the others follow when it got through: an agent that comes back is not met by all of them at once.
 */
export class BackOff {
  readonly #now: Clock;
  readonly #random: Random;
  readonly #lastMs: number;
  #level = 0;
  #epoch = 0;
  #until = 0;
  #trying = false;
  readonly #waiting = new Set<() => void>();

  constructor(now: Clock, random: Random, lastMs = LAST_MS) {
    this.#now = now;
    this.#random = random;
    this.#lastMs = lastMs;
  }

  /** Counts up with {@link voidIndexes}. */
  get epoch(): number {
    return this.#epoch;
  }

  /**
   * The agent may have begun another life: every index from before is of no use, also that of a query which was
   * just pausing and met no failure itself.
   */
  voidIndexes(): void {
    this.#epoch++;
  }

  /** Waits for one's turn, or for `signal`. */
  async turn(signal: AbortSignal): Promise<Try> {
    while (this.#level > 0 && !signal.aborted) {
      const pauseMs = this.#until - this.#now();
      if (pauseMs <= 0 && !this.#trying) {
        this.#trying = true;
        return this.#try(true);
      }
      await this.#sleep(this.#trying ? LAST_MS : Math.max(pauseMs, 1), signal);
    }
    return this.#try(false);
  }

  /** @param alone whether it is the one that others wait for */
  #try(alone: boolean): Try {
    return {
      succeeded: () => {
        this.#level = 0;
        this.#trying = false;
        this.#wakeAll();
      },
      failed: (retryAfterMs = 0) => {
        if (alone) this.#trying = false;
        this.#grow(alone, retryAfterMs);
        this.#wakeAll();
      },
      gaveUp: () => {
        if (!alone) return;
        this.#trying = false;
        this.#wakeAll();
      },
    };
  }

  /** The failures of one moment count once, however many queries met them. */
  #grow(alone: boolean, retryAfterMs: number): void {
    let pauseMs = retryAfterMs;
    if (this.#level === 0 || alone) {
      pauseMs = Math.max(pauseMs, Math.min(this.#lastMs, FIRST_MS * 2 ** this.#level) * this.#random());
      this.#level++;
    }
    this.#until = Math.max(this.#until, this.#now() + pauseMs);
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake();
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      this.#waiting.add(done);
    });
  }
}
