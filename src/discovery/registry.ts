import type {
  Clock,
  DoubtReason,
  Log,
  Random,
  RegisteredService,
  RegistrySnapshot,
  ServiceName,
  Skipped,
} from '../model.ts';
import { combine, sameJson, skippedAsWhole } from './combine.ts';
import type { ConsulClient } from './consul-client.ts';
import { DatacenterWatch } from './datacenter-watch.ts';
import { FailureLog } from './failure-log.ts';

export interface RegistryOptions {
  readonly client: ConsulClient;
  /** In failover order; empty: the agent's own. */
  readonly datacenters: readonly string[];
  readonly tag: string;
  readonly waitMs: number;
  readonly maxQueries: number;
  /** How long things that vanished suspiciously are kept. */
  readonly holdMs: number;
  readonly onSnapshot: (snapshot: RegistrySnapshot) => void;
  /** Told of every answer that was none or was not believed. */
  readonly onError: (reason: DoubtReason) => void;
  readonly log: Log;
  readonly now: Clock;
  readonly random: Random;
}

export interface RegistryStatus {
  /** Every datacenter that can be reached has answered once, with every service. */
  readonly synced: boolean;
  /** Blocking queries under way. */
  readonly queries: number;
  readonly datacenters: readonly DatacenterStatus[];
}

export interface DatacenterStatus {
  /** `local` for the agent's own. */
  readonly name: string;
  readonly synced: boolean;
  /** Milliseconds since Consul last answered; undefined before the first time. */
  readonly lastContactMs: number | undefined;
  /** `X-Consul-Index` of the list of names; undefined before the first answer. */
  readonly index: bigint | undefined;
  readonly queries: number;
  readonly doubt: DoubtReason | undefined;
  /** Queries that failed since the start, by reason. */
  readonly errors: ReadonlyMap<DoubtReason, number>;
}

interface Watched {
  readonly name: string;
  readonly watch: DatacenterWatch;
  readonly errors: ReadonlyMap<DoubtReason, number>;
}

/** Everything that is registered, from all datacenters, as one snapshot after the other. */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #watches: readonly Watched[];
  #services: ReadonlyMap<ServiceName, RegisteredService> = new Map();
  #skipped: readonly Skipped[] = [];
  #version = 0;
  #doubt: DoubtReason | undefined;
  /** Changed since the last snapshot. */
  readonly #dirty = new Set<ServiceName>();
  #due = false;
  #stopped = false;

  constructor(options: RegistryOptions) {
    this.#options = options;
    const datacenters = options.datacenters.length > 0 ? options.datacenters : [undefined];
    // The agent counts connections, whatever datacenter is asked for.
    const maxQueries = Math.floor(options.maxQueries / datacenters.length);
    this.#watches = datacenters.map((dc) => this.#watch(dc, maxQueries));
  }

  #watch(dc: string | undefined, maxQueries: number): Watched {
    const { client, tag, waitMs, holdMs, log, now, random, onError } = this.#options;
    const errors = new Map<DoubtReason, number>();
    const failures = new FailureLog(log);
    const watch = new DatacenterWatch({
      client,
      dc,
      tag,
      waitMs,
      maxQueries,
      holdMs,
      onChange: (service) => this.#changed(service),
      onAnswered: (query) => failures.answered(query),
      onError: (error, query) => {
        errors.set(error.reason, (errors.get(error.reason) ?? 0) + 1);
        onError(error.reason);
        failures.failed(error, query, {
          ...(dc !== undefined && { datacenter: dc }),
          address: client.address,
        });
      },
      log,
      now,
      random,
    });
    return { name: dc ?? 'local', watch, errors };
  }

  start(): void {
    for (const { watch } of this.#watches) watch.start();
  }

  stop(): void {
    this.#stopped = true;
    for (const { watch } of this.#watches) watch.stop();
  }

  status(): RegistryStatus {
    return {
      synced: this.#version > 0,
      queries: this.#watches.reduce((sum, { watch }) => sum + watch.queries, 0),
      datacenters: this.#watches.map(({ name, watch, errors }) => ({
        name,
        synced: watch.synced,
        lastContactMs: watch.lastContactMs,
        index: watch.index,
        queries: watch.queries,
        doubt: doubtOf(watch),
        errors,
      })),
    };
  }

  /**
   * Gathers what changes in one turn of the event loop, and waits for nothing else: when an agent is lost, every
   * service is in doubt at once, and that is one change.
   */
  #changed(service: ServiceName | undefined): void {
    if (service !== undefined) this.#dirty.add(service);
    else {
      for (const { watch } of this.#watches) {
        for (const name of watch.services.keys()) if (!this.#services.has(name)) this.#dirty.add(name);
      }
      for (const name of this.#services.keys()) this.#dirty.add(name);
      for (const { service: name } of this.#skipped) this.#dirty.add(name as ServiceName);
    }
    if (this.#due) return;
    this.#due = true;
    // Not a microtask: sockets that break together are told of one by one, with microtasks in between.
    setImmediate(() => {
      this.#due = false;
      if (!this.#stopped) this.#publish();
    });
  }

  #publish(): void {
    // Once synced, a datacenter that adds a service tells of it when the service is known.
    if (this.#version === 0 && !this.#complete) return;
    if (this.#version === 0) this.#options.log.info('first sync with Consul is complete');
    const changed = this.#update();
    const doubt = this.#watches.map(({ watch }) => watch.doubt).find((reason) => reason !== undefined);
    if (this.#version > 0 && doubt === this.#doubt && !changed) return;
    this.#reportDoubt(doubt);
    this.#doubt = doubt;
    this.#version++;
    this.#options.onSnapshot({
      version: this.#version,
      services: this.#services,
      skipped: this.#skipped,
      ...(doubt !== undefined && { doubt }),
    });
  }

  /** Every datacenter has answered, but for those that can't be reached while others can. */
  get #complete(): boolean {
    const reached = this.#watches.filter(({ watch }) => !watch.unreached);
    return reached.length > 0 && reached.every(({ watch }) => watch.synced);
  }

  /** True if a service changed, came or went. */
  #update(): boolean {
    const services = new Map(this.#services);
    const skipped = new Map(this.#skipped.map((entry) => [entry.service, entry]));
    let changed = false;
    for (const name of this.#dirty) {
      const parts = this.#watches.flatMap(({ watch }) => watch.services.get(name) ?? []);
      const before = services.get(name);
      const service = combine(name, parts, before);
      const left = service && skippedAsWhole(service);
      if (!service || left) services.delete(name);
      else services.set(name, service);
      if (left) skipped.set(name, left);
      else skipped.delete(name);
      changed ||= services.get(name) !== before;
    }
    this.#dirty.clear();
    const list = [...skipped.values()].sort((a, b) => (a.service < b.service ? -1 : 1));
    const sameSkipped = sameJson(list, this.#skipped);
    if (changed) this.#services = services;
    if (!sameSkipped) this.#skipped = list;
    return changed || !sameSkipped;
  }

  #reportDoubt(doubt: DoubtReason | undefined): void {
    if (doubt === this.#doubt) return;
    if (doubt === undefined) {
      this.#options.log.info('what Consul says is believed again', { address: this.#options.client.address });
    } else {
      this.#options.onError(doubt);
      this.#options.log.warn('what Consul says is not believed; the last good state is kept', {
        reason: doubt,
      });
    }
  }
}

function doubtOf(watch: DatacenterWatch): DoubtReason | undefined {
  if (watch.doubt !== undefined) return watch.doubt;
  for (const service of watch.services.values()) if (service.doubt !== undefined) return service.doubt;
  return undefined;
}
