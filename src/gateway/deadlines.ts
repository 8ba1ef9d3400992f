import type { Clock } from '../model.ts';

export interface Deadlined {
  /** Ends itself if it has been silent for too long. */
  checkDeadline(now: number): void;
}

const EVERY_MS = 250;

/** Looks after all running calls with one timer, instead of one timer for each. */
export class Deadlines {
  readonly #running = new Set<Deadlined>();
  readonly #onIdle: (() => void)[] = [];
  readonly #now: Clock;
  #timer: NodeJS.Timeout | undefined;

  constructor(now: Clock) {
    this.#now = now;
  }

  get size(): number {
    return this.#running.size;
  }

  add(call: Deadlined): void {
    this.#running.add(call);
    this.#timer ??= setInterval(() => this.#sweep(), EVERY_MS).unref();
  }

  delete(call: Deadlined): void {
    this.#running.delete(call);
    if (this.#running.size > 0) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  /** Resolves when no call is running, or after `timeoutMs`. */
  idle(timeoutMs: number): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onIdle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #sweep(): void {
    if (this.#running.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const now = this.#now();
    for (const call of this.#running) call.checkDeadline(now);
  }
}
