/**
 * Lets a bounded number of tasks run at a time. A task that takes longer than `patienceMs` gives its place to
 * the next while it goes on: with every place taken by servers that never answer, the others would wait.
 */
export class Gate {
  #free: number;
  readonly #patienceMs: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number, patienceMs: number) {
    this.#free = places;
    this.#patienceMs = patienceMs;
  }

  async run<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let inside = true;
    const leave = (): void => {
      if (!inside) return;
      inside = false;
      // The place goes straight to the next in line, so nobody can slip in between.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    };
    const timer = setTimeout(leave, this.#patienceMs);
    try {
      return await task();
    } finally {
      clearTimeout(timer);
      leave();
    }
  }
}
