/** What speaks against an instance. */
export type Failing =
  /** Refused, reset, cut, or an answer that is no MCP. */
  | 'failed'
  /** Silent for longer than the service's timeout. */
  | 'timed-out'
  /** It could not be asked what it can do. */
  | 'list-failed';

/** What ends an ejection. */
export type Recovery = 'time' | 'check' | 'probe' | 'answer';

/** All times in milliseconds. */
export interface EjectionRules {
  /** Failures in a row that eject; 0: nothing does. */
  readonly after: number;
  /** The first ejection lasts this long, the nth in short order n times that. */
  readonly baseMs: number;
  readonly maxMs: number;
}

/** Each time this long in use takes one ejection off the count. */
const FORGIVEN_MS = 60_000;

/**
 * Whether one instance is kept out because its own answers say that it fails, beside what Consul's checks say
 * (outlier detection, as in Envoy). Three failures in a row eject; after the time is over one more is enough.
 */
export class Ejection {
  #failures = 0;
  #last: { readonly kind: Failing; readonly at: number } | undefined;
  #count = 0;
  #since = 0;
  #until = 0;
  #out = false;
  #onProbation = false;
  /** Taken back because it listed well, and no call has been answered since. */
  #listedBack = false;
  /** It lists well and breaks off its calls all the same: another good list says nothing. */
  #listsMislead = false;
  /** When it was last taken back; attempts from before say nothing about it as it is now. */
  #returnedAt = Number.NEGATIVE_INFINITY;

  /** Kept out; true until {@link returned} even if its time is over. */
  get out(): boolean {
    return this.#out;
  }

  get since(): number {
    return this.#since;
  }

  get until(): number {
    return this.#until;
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures;
  }

  get lastFailure(): { readonly kind: Failing; readonly at: number } | undefined {
    return this.#last;
  }

  /** Ejections that still count for how long the next one lasts. */
  get count(): number {
    return this.#count;
  }

  /**
   * @param begunAt when the attempt began
   * @returns true if this ejects it
   */
  failed(kind: Failing, begunAt: number, now: number, rules: EjectionRules): boolean {
    if (kind === 'list-failed') this.#listsMislead = false;
    if (this.#out || begunAt < this.#returnedAt) return false;
    this.#failures++;
    this.#last = { kind, at: now };
    if (rules.after === 0 || this.#failures < (this.#onProbation ? 1 : rules.after)) return false;
    const forgiven = Math.floor((now - this.#returnedAt) / FORGIVEN_MS);
    this.#count = Math.max(0, this.#count - forgiven) + 1;
    this.#out = true;
    this.#listsMislead = this.#listedBack && kind !== 'list-failed';
    this.#since = now;
    this.#until = now + Math.min(rules.maxMs, rules.baseMs * this.#count);
    return true;
  }

  /** An answer of any kind. @returns true if this ends an ejection: it was asked after that had begun */
  answered(begunAt: number, now: number): boolean {
    if (this.#out) return begunAt >= this.#since && this.returned('answer', now);
    this.#failures = 0;
    this.#onProbation = false;
    this.#listedBack = false;
    return false;
  }

  /**
   * It said what it can do. That speaks against failures of its calls only once these have had their effect, and
   * only the first time: a server may list well and break off every call.
   * @returns true if this ends an ejection: it was asked after that had begun
   */
  listed(begunAt: number, now: number): boolean {
    if (this.#out) return begunAt >= this.#since && !this.#listsMislead && this.returned('probe', now);
    if (this.#last?.kind === 'list-failed') this.#failures = 0;
    return false;
  }

  /** Takes it back. @returns false if it was not out */
  returned(by: Recovery, now: number): boolean {
    this.#listedBack = by === 'probe' && this.#last?.kind !== 'list-failed';
    if (by !== 'time') this.#failures = 0;
    this.#onProbation = by === 'time' || this.#listedBack;
    if (!this.#out) return false;
    this.#failures = 0;
    this.#out = false;
    this.#returnedAt = now;
    return true;
  }
}
