import type { Clock, Random } from '../model.ts';

const FIRST_MS = 200;
const LAST_MS = 30_000;

/**
 * The pause after failures, shared by all queries at one agent: exponential from 0.2 s to 30 s with full jitter
 * (AWS architecture blog, "Exponential backoff and jitter"). While it lasts one query at a time tries, and the
 * others follow when it got through: an agent that comes back is not met by all of them at once.
 */
export class BackOff {
  readonly #now: Clock;
  readonly #random: Random;
  #level = 0;
  #epoch = 0;
  #until = 0;
  #trying = false;
  readonly #waiting = new Set<() => void>();

  constructor(now: Clock, random: Random) {
    this.#now = now;
    this.#random = random;
  }

  /**
   * Counts up with every failure. An index from before a failure may be of another life of the agent, also for a
   * query that was just pausing and did not fail itself.
   */
  get epoch(): number {
    return this.#epoch;
  }

  /** Waits for one's turn. To be followed by `succeeded`, `failed` or `gaveUp`. */
  async turn(signal: AbortSignal): Promise<void> {
    while (this.#level > 0 && !signal.aborted) {
      const pauseMs = this.#until - this.#now();
      if (pauseMs <= 0 && !this.#trying) {
        this.#trying = true;
        return;
      }
      await this.#sleep(Math.max(pauseMs, this.#trying ? LAST_MS : 1), signal);
    }
  }

  succeeded(): void {
    this.#level = 0;
    this.#trying = false;
    this.#wakeAll();
  }

  /** The failures of one moment count once, however many queries met them. */
  failed(retryAfterMs = 0): void {
    this.#epoch++;
    const wasTrying = this.#trying;
    this.#trying = false;
    if (this.#level === 0 || wasTrying) {
      const most = Math.min(LAST_MS, FIRST_MS * 2 ** this.#level);
      this.#level++;
      this.#until = this.#now() + Math.max(retryAfterMs, most * this.#random());
    }
    this.#wakeAll();
  }

  /** The one who tried was stopped; somebody else may try. */
  gaveUp(): void {
    this.#trying = false;
    this.#wakeAll();
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
