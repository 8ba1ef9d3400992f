/** A slow answer counts at once and is forgotten over about this long (Finagle's peak EWMA). */
const DECAY_MS = 10_000;

/**
 * Moving average of an instance's answer times that takes peaks at once. Without news it sinks towards nothing:
 * an instance that was slow once is tried again, else it would never get the chance to show that it no longer is.
 */
export class PeakEwma {
  #valueMs: number | undefined;
  #updatedAt = 0;

  /** After the last answer; undefined before the first. */
  get valueMs(): number | undefined {
    return this.#valueMs;
  }

  /** What it is worth now; undefined before the first answer. */
  at(now: number): number | undefined {
    return this.#valueMs === undefined ? undefined : this.#valueMs * this.#keep(now);
  }

  observe(sampleMs: number, now: number): void {
    const keep = this.#keep(now);
    const before = this.#valueMs;
    this.#valueMs =
      before === undefined || sampleMs >= before ? sampleMs : before * keep + sampleMs * (1 - keep);
    this.#updatedAt = now;
  }

  #keep(now: number): number {
    return Math.exp((this.#updatedAt - now) / DECAY_MS);
  }
}
