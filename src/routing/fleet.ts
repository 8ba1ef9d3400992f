import type { Instance, ServiceRoute } from '../model.ts';
import { Ejection } from './ejection.ts';
import { PeakEwma } from './peak-ewma.ts';

/** What is known of one registration of one instance from its own traffic. */
export class Page {
  instance: Instance;
  inFlight = 0;
  readonly latency = new PeakEwma();
  readonly ejection = new Ejection();
  /** It asked for a pause until then (Retry-After). */
  restsUntil = Number.NEGATIVE_INFINITY;
  /** Since when it takes calls; `-Infinity` for one that was there before the router. Undefined while it takes none. */
  joinedAt: number | undefined;
  /** It was registered when the router started, and has been well since. */
  established: boolean;

  constructor(instance: Instance, established: boolean) {
    this.instance = instance;
    this.established = established;
  }
}

/** The least part of its weight that a new instance gets: with less it would not warm up at all. */
const MIN_RAMP = 0.1;

/**
 * The instances of one service that take calls, as far as they depend on each other: at most half of them may be
 * ejected, and a new one gets less than the old ones only while there are old ones.
 */
export class Fleet {
  readonly pages = new Map<Instance['id'], Page>();
  #members: readonly Page[] = [];
  #route: ServiceRoute | undefined;
  #ejected = 0;
  #sparing = false;
  #nextReturn = Number.POSITIVE_INFINITY;
  #restsUntil = Number.NEGATIVE_INFINITY;
  /** When the longest serving and the newest one joined. */
  #oldest = Number.NEGATIVE_INFINITY;
  #newest = Number.NEGATIVE_INFINITY;
  readonly #onReturn: (page: Page) => void;

  /** @param onReturn told of each member whose ejection is over because its time is */
  constructor(onReturn: (page: Page) => void) {
    this.#onReturn = onReturn;
  }

  get route(): ServiceRoute | undefined {
    return this.#route;
  }

  /** Takes the service's present state; its pages have been brought up to date. */
  become(route: ServiceRoute, members: readonly Page[], now: number): void {
    this.#route = route;
    this.#members = members;
    this.recount(now);
  }

  get size(): number {
    return this.#members.length;
  }

  /** Members that get no calls because of their own answers: never more than half. */
  get ejected(): number {
    return this.#ejected;
  }

  /** More than half would have to be ejected: then all are used, since the few left would not bear the load. */
  get sparing(): boolean {
    return this.#sparing;
  }

  /** Until then somebody may rest. */
  get restsUntil(): number {
    return this.#restsUntil;
  }

  rest(page: Page, until: number): void {
    page.restsUntil = Math.max(page.restsUntil, until);
    this.#restsUntil = Math.max(this.#restsUntil, page.restsUntil);
  }

  /** Whether this member gets no calls. */
  isOut(page: Page): boolean {
    return page.ejection.out && !this.#sparing;
  }

  /** Ends ejections whose time is over. Costs nothing while there are none. */
  refresh(now: number): void {
    if (now >= this.#nextReturn) this.recount(now);
  }

  recount(now: number): void {
    let marked = 0;
    this.#nextReturn = Number.POSITIVE_INFINITY;
    this.#oldest = Number.POSITIVE_INFINITY;
    this.#newest = Number.NEGATIVE_INFINITY;
    for (const page of this.#members) {
      const { ejection } = page;
      if (ejection.out && now >= ejection.until) {
        ejection.returned('time', now);
        page.joinedAt = now;
        this.#onReturn(page);
      }
      if (ejection.out) {
        marked++;
        this.#nextReturn = Math.min(this.#nextReturn, ejection.until);
      } else {
        this.#oldest = Math.min(this.#oldest, page.joinedAt ?? now);
        this.#newest = Math.max(this.#newest, page.joinedAt ?? now);
      }
    }
    this.#sparing = marked * 2 > this.#members.length;
    this.#ejected = this.#sparing ? 0 : marked;
  }

  /** Nobody is ejected and nobody is new: each member gets its weight, without a look at it. */
  isCalm(slowStartMs: number, now: number): boolean {
    return this.#ejected === 0 && now - this.#newest >= slowStartMs;
  }

  /**
   * Which part of its weight an instance gets: it grows in a line while the instance is new, in relation to the
   * one that has served longest. So of instances that are all new each gets all.
   */
  ramp(page: Page, slowStartMs: number, now: number): number {
    const { joinedAt = now } = page;
    if (now - joinedAt >= slowStartMs) return 1;
    const grown = (since: number): number => Math.min(1, Math.max(MIN_RAMP, (now - since) / slowStartMs));
    return grown(joinedAt) / grown(Math.min(this.#oldest, joinedAt));
  }
}
