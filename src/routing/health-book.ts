import type { Clock, InstanceId } from '../model.ts';

/** How an attempt at an instance ended, as far as the instance's health is concerned. */
export type Outcome =
  /** It answered: also with `isError` or a JSON-RPC error, which say nothing about its health. */
  | 'answered'
  /** Refused, reset, cut, or an answer that is no MCP. */
  | 'failed'
  | 'timed-out'
  /** The caller went away; says nothing. */
  | 'abandoned';

/** To be called exactly once, when an attempt is over; later calls do nothing. */
export type Done = (outcome: Outcome, sentAt?: number) => void;

/** What is known of one instance from its own traffic. Mutable, and outlives tables. */
interface Page {
  inFlight: number;
  /** Peak-sensitive moving average of the answer time in milliseconds; undefined before the first answer. */
  latencyMs: number | undefined;
  updatedAt: number;
}

/** A slow answer counts at once and is forgotten over about this long (Finagle's peak EWMA). */
const DECAY_MS = 10_000;

export class HealthBook {
  readonly #pages = new Map<InstanceId, Page>();
  readonly #now: Clock;

  constructor(now: Clock) {
    this.#now = now;
  }

  /**
   * Counts an attempt in; the returned function counts it out, once. Its answer time runs from `sentAt`, when
   * the request left: opening a session first says nothing about how fast the instance answers.
   */
  begin(instance: InstanceId): Done {
    const page = this.#page(instance);
    page.inFlight++;
    let open = true;
    return (outcome, sentAt) => {
      if (!open) return;
      open = false;
      page.inFlight--;
      if (outcome === 'answered' && sentAt !== undefined) this.#observe(page, sentAt);
    };
  }

  inFlight(instance: InstanceId): number {
    return this.#pages.get(instance)?.inFlight ?? 0;
  }

  latencyMs(instance: InstanceId): number | undefined {
    return this.#pages.get(instance)?.latencyMs;
  }

  /** Forgets instances that are gone. Calls that still run there keep their page until they end. */
  prune(known: { has(instance: InstanceId): boolean }): void {
    for (const id of this.#pages.keys()) {
      if (!known.has(id)) this.#pages.delete(id);
    }
  }

  get size(): number {
    return this.#pages.size;
  }

  #page(instance: InstanceId): Page {
    let page = this.#pages.get(instance);
    if (!page) {
      page = { inFlight: 0, latencyMs: undefined, updatedAt: this.#now() };
      this.#pages.set(instance, page);
    }
    return page;
  }

  #observe(page: Page, startedAt: number): void {
    const now = this.#now();
    const sample = now - startedAt;
    if (page.latencyMs === undefined || sample >= page.latencyMs) {
      page.latencyMs = sample;
    } else {
      const keep = Math.exp(-(now - page.updatedAt) / DECAY_MS);
      page.latencyMs = page.latencyMs * keep + sample * (1 - keep);
    }
    page.updatedAt = now;
  }
}
