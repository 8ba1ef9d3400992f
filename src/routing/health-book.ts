import type { Clock, Instance, InstanceId, RoutingTable, ServiceName, ServiceRoute } from '../model.ts';
import type { EjectionRules, Failing, Recovery } from './ejection.ts';
import { Fleet, Page } from './fleet.ts';

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

/** All times in milliseconds. */
export interface HealthRules extends EjectionRules {
  /** How long a new instance gets less than its weight; 0: not at all. */
  readonly slowStartMs: number;
}

/** Told of what is worth a line in the log. */
export interface HealthWatcher {
  /** The first failure after successes: something may have changed there. */
  failed(instance: Instance): void;
  ejected(instance: Instance, about: EjectedEvent): void;
  returned(instance: Instance, by: Recovery): void;
}

export interface EjectedEvent {
  readonly why: Failing;
  /** In a row. */
  readonly failures: number;
  readonly forMs: number;
  /** So many others of the service are ejected as well that all are used after all. */
  readonly spared: boolean;
}

const noRules: HealthRules = { after: 0, baseMs: 0, maxMs: 0, slowStartMs: 0 };
const nobody: HealthWatcher = {
  failed: () => undefined,
  ejected: () => undefined,
  returned: () => undefined,
};

/**
 * What is known of instances from their own traffic. Mutable, and outlives tables: a new table changes who is in
 * it, and nothing of what is known about those that stay.
 */
export class HealthBook {
  readonly #pages = new Map<InstanceId, Page>();
  readonly #fleets = new Map<ServiceName, Fleet>();
  readonly #watcher: HealthWatcher;
  readonly now: Clock;
  readonly rules: HealthRules;
  #started = false;

  constructor(now: Clock, rules: HealthRules = noRules, watcher: HealthWatcher = nobody) {
    this.now = now;
    this.rules = rules;
    this.#watcher = watcher;
  }

  /** Takes the table in use: forgets instances that are gone; calls that still run there keep their own hold. */
  follow(table: RoutingTable): void {
    const now = this.now();
    for (const route of table.services.values()) {
      const fleet = this.#fleets.get(route.name) ?? this.#newFleet(route.name);
      if (fleet.route !== route) this.#take(fleet, route, now);
    }
    for (const [name, fleet] of this.#fleets) {
      if (table.services.has(name)) continue;
      this.#fleets.delete(name);
      for (const id of fleet.pages.keys()) this.#pages.delete(id);
    }
    this.#started = true;
  }

  /**
   * Counts an attempt in; the returned function counts it out, once. Its answer time runs from `sentAt`, when
   * the request left: opening a session first says nothing about how fast the instance answers.
   */
  begin(instance: InstanceId, begunAt = this.now()): Done {
    const page = this.#pages.get(instance);
    // Gone between the choice and now: nobody is interested any more.
    if (!page) return () => undefined;
    page.inFlight++;
    let open = true;
    return (outcome, sentAt) => {
      if (!open) return;
      open = false;
      page.inFlight--;
      // Registered anew meanwhile: what another process did says nothing about this one.
      if (this.#pages.get(instance) !== page) return;
      const now = this.now();
      if (outcome === 'answered') {
        if (sentAt !== undefined) page.latency.observe(now - sentAt, now);
        if (page.ejection.answered(begunAt, now)) this.#returned(page, 'answer', now);
      } else if (outcome !== 'abandoned') {
        this.#failed(page, outcome, begunAt, now);
      }
    };
  }

  /** It asked to be left alone for so long (Retry-After); believed up to the longest ejection. */
  rest(instance: InstanceId, forMs: number): void {
    const page = this.#pages.get(instance);
    if (!page) return;
    const until = this.now() + Math.min(forMs, this.rules.maxMs);
    this.#fleets.get(page.instance.service)?.rest(page, until);
  }

  /** How a look at what the instance can do ended, which began `tookMs` ago. */
  looked({ id, registration }: Instance, ended: 'learned' | 'failed', tookMs: number): void {
    const page = this.#pages.get(id);
    if (page?.instance.registration !== registration) return;
    const now = this.now();
    if (ended === 'learned') {
      if (page.ejection.listed(now - tookMs, now)) this.#returned(page, 'probe', now);
      // One that takes no calls has none to lose.
    } else if (page.joinedAt !== undefined) {
      this.#failed(page, 'list-failed', now - tookMs, now);
    }
  }

  /** Ends ejections whose time is over, also where no call asks. To be called now and then. */
  refresh(): void {
    const now = this.now();
    for (const fleet of this.#fleets.values()) fleet.refresh(now);
  }

  inFlight(instance: InstanceId): number {
    return this.#pages.get(instance)?.inFlight ?? 0;
  }

  /** Of the last answers; undefined before the first. */
  latencyMs(instance: InstanceId): number | undefined {
    return this.#pages.get(instance)?.latency.valueMs;
  }

  page(instance: InstanceId): Page | undefined {
    return this.#pages.get(instance);
  }

  fleet(service: ServiceName): Fleet | undefined {
    return this.#fleets.get(service);
  }

  /** By service: instances that get no calls because of their own answers. */
  ejected(): ReadonlyMap<ServiceName, number> {
    this.refresh();
    return new Map(Array.from(this.#fleets, ([name, fleet]) => [name, fleet.ejected]));
  }

  get size(): number {
    return this.#pages.size;
  }

  #newFleet(name: ServiceName): Fleet {
    const fleet = new Fleet((page) => this.#watcher.returned(page.instance, 'time'));
    this.#fleets.set(name, fleet);
    return fleet;
  }

  #take(fleet: Fleet, route: ServiceRoute, now: number): void {
    for (const id of fleet.pages.keys()) {
      if (route.instances.has(id)) continue;
      fleet.pages.delete(id);
      this.#pages.delete(id);
    }
    for (const instance of route.instances.values()) this.#turnPage(fleet, instance, now);
    const members: Page[] = [];
    for (const { instance } of route.targets) {
      const page = fleet.pages.get(instance.id);
      if (!page) continue;
      members.push(page);
      page.joinedAt ??= page.established ? Number.NEGATIVE_INFINITY : now;
    }
    for (const page of fleet.pages.values()) {
      if (!route.pool.byId.has(page.instance.id)) page.joinedAt = undefined;
    }
    fleet.become(route, members, now);
  }

  /** A page for each registration: a new one under the same id is another process. */
  #turnPage(fleet: Fleet, instance: Instance, now: number): void {
    const { id, registration, state } = instance;
    const known = fleet.pages.get(id);
    if (known?.instance.registration !== registration) {
      const page = new Page(instance, !this.#started);
      fleet.pages.set(id, page);
      this.#pages.set(id, page);
      return;
    }
    const before = known.instance.state;
    known.instance = instance;
    if (state === 'critical' || state === 'maintenance') known.established = false;
    if (state === 'passing' && before !== 'passing') this.#recovered(known, 'check', now);
  }

  #failed(page: Page, kind: Failing, begunAt: number, now: number): void {
    const { ejection } = page;
    const first = ejection.failures === 0;
    const ejected = ejection.failed(kind, begunAt, now, this.rules);
    if (first && ejection.failures > 0) this.#watcher.failed(page.instance);
    if (!ejected) return;
    const fleet = this.#fleets.get(page.instance.service);
    fleet?.recount(now);
    this.#watcher.ejected(page.instance, {
      why: kind,
      failures: ejection.failures,
      forMs: ejection.until - ejection.since,
      spared: fleet?.sparing ?? false,
    });
  }

  #recovered(page: Page, by: Recovery, now: number): void {
    if (page.ejection.returned(by, now)) this.#returned(page, by, now);
  }

  /** Back in, gradually. */
  #returned(page: Page, by: Recovery, now: number): void {
    if (page.joinedAt !== undefined) page.joinedAt = now;
    this.#fleets.get(page.instance.service)?.recount(now);
    this.#watcher.returned(page.instance, by);
  }
}
