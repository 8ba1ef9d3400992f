import type {
  Clock,
  DoubtReason,
  Instance,
  Log,
  Problem,
  Random,
  RegisteredService,
  RegistrySnapshot,
  ServiceName,
  ServiceSettings,
} from '../model.ts';
import type { ConsulError } from './consul-answer.ts';
import type { ConsulClient } from './consul-client.ts';
import { DatacenterWatch } from './datacenter-watch.ts';
import type { ParsedInstance } from './parse-answers.ts';
import type { ServiceWatch } from './service-watch.ts';

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
  /** Every datacenter has answered once, with every service. */
  readonly synced: boolean;
  /** Blocking queries under way. */
  readonly queries: number;
  readonly datacenters: readonly {
    /** `local` for the agent's own. */
    readonly name: string;
    readonly lastContactMs: number | undefined;
    readonly doubt: DoubtReason | undefined;
  }[];
}

/** Everything that is registered, from all datacenters, as one snapshot after the other. */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #watches: readonly { name: string; watch: DatacenterWatch }[];
  #services: ReadonlyMap<ServiceName, RegisteredService> = new Map();
  #version = 0;
  #doubt: DoubtReason | undefined;
  /** What was last said of each query that fails, so that the log says it once. */
  readonly #reported = new Map<string, string>();

  constructor(options: RegistryOptions) {
    this.#options = options;
    const datacenters = options.datacenters.length > 0 ? options.datacenters : [undefined];
    const { client, tag, waitMs, holdMs, log, now, random } = options;
    this.#watches = datacenters.map((dc) => ({
      name: dc ?? 'local',
      watch: new DatacenterWatch({
        client,
        dc,
        tag,
        waitMs,
        // The agent counts connections, whatever datacenter is asked for.
        maxQueries: Math.floor(options.maxQueries / datacenters.length),
        holdMs,
        onChange: () => this.#changed(),
        onContact: (what) => this.#reported.delete(`${what} ${dc ?? ''}`),
        onError: (error, what) => this.#failed(error, what, dc),
        log,
        now,
        random,
      }),
    }));
  }

  start(): void {
    for (const { watch } of this.#watches) watch.start();
  }

  stop(): void {
    for (const { watch } of this.#watches) watch.stop();
  }

  status(): RegistryStatus {
    return {
      synced: this.#version > 0,
      queries: this.#watches.reduce((sum, { watch }) => sum + watch.queries, 0),
      datacenters: this.#watches.map(({ name, watch }) => ({
        name,
        lastContactMs: watch.lastContactMs,
        doubt: doubtOf(watch),
      })),
    };
  }

  #changed(): void {
    // Once synced, a datacenter that adds a service tells of it when the service is known.
    if (this.#version === 0 && !this.#watches.every(({ watch }) => watch.synced)) return;
    if (this.#version === 0) this.#options.log.info('first sync with Consul is complete');
    const services = new Map<ServiceName, RegisteredService>();
    for (const name of this.#names()) {
      const parts = this.#watches.flatMap(({ watch }) => watch.services.get(name) ?? []);
      const service = combine(name, parts, this.#services.get(name));
      if (service) services.set(name, service);
    }
    const doubt = this.#watches.map(({ watch }) => watch.doubt).find((reason) => reason !== undefined);
    if (this.#version > 0 && doubt === this.#doubt && sameServices(services, this.#services)) return;
    this.#reportDoubt(doubt);
    this.#services = services;
    this.#doubt = doubt;
    this.#version++;
    this.#options.onSnapshot({
      version: this.#version,
      services,
      skipped: [],
      ...(doubt !== undefined && { doubt }),
    });
  }

  #names(): ReadonlySet<ServiceName> {
    return new Set(this.#watches.flatMap(({ watch }) => [...watch.services.keys()]));
  }

  #failed(error: ConsulError, what: string, dc: string | undefined): void {
    this.#options.onError(error.reason);
    const query = `${what} ${dc ?? ''}`;
    if (this.#reported.get(query) === error.message) return;
    this.#reported.set(query, error.message);
    this.#options.log.warn('Consul could not be asked', {
      query: what,
      ...(dc !== undefined && { datacenter: dc }),
      address: this.#options.client.address,
      reason: error.message,
    });
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

/** One service from all datacenters; undefined while nothing is known of it yet. */
function combine(
  name: ServiceName,
  parts: readonly ServiceWatch[],
  before: RegisteredService | undefined,
): RegisteredService | undefined {
  const known = parts.filter((part) => part.doubt !== 'not-synced');
  if (known.length === 0) return undefined;
  const parsed = known.flatMap((part) => part.known.instances);
  const instances = parsed.map(({ instance }) => instance);
  const skipped = known.flatMap((part) => part.known.skipped);
  const doubt = known.map((part) => part.doubt).find((reason) => reason !== undefined);
  if (
    before &&
    before.doubt === doubt &&
    sameItems(before.instances, instances) &&
    JSON.stringify(before.skipped) === JSON.stringify(skipped)
  ) {
    return before;
  }
  const newest = newestOf(parsed);
  const settings = newest?.settings ?? before?.settings ?? defaults(name);
  return {
    name,
    settings:
      before && JSON.stringify(before.settings) === JSON.stringify(settings) ? before.settings : settings,
    instances,
    skipped,
    problems: newest ? conflicts(newest, parsed) : [],
    ...(doubt !== undefined && { doubt }),
  };
}

/** The newest registration: the highest index in the first datacenter that has any, then the lower id. */
function newestOf(parsed: readonly ParsedInstance[]): ParsedInstance | undefined {
  const home = parsed[0]?.instance.datacenter;
  let newest: ParsedInstance | undefined;
  for (const one of parsed) {
    if (one.instance.datacenter !== home) continue;
    if (!newest || one.instance.modifyIndex > newest.instance.modifyIndex) newest = one;
  }
  return newest;
}

/** Instances whose settings differ from the newest one's; each setting is reported once. */
function conflicts(newest: ParsedInstance, parsed: readonly ParsedInstance[]): readonly Problem[] {
  const problems = new Map<string, Problem>();
  for (const one of parsed) {
    const theirs = comparable(one);
    for (const [setting, value] of Object.entries(comparable(newest))) {
      if (JSON.stringify(theirs[setting]) === JSON.stringify(value) || problems.has(setting)) continue;
      const own = setting === 'path' || setting === 'transport' || setting === 'scheme';
      problems.set(setting, {
        code: 'SETTINGS_DIFFER',
        subject: setting,
        message:
          `Instances differ in ${setting}: ${newest.instance.serviceId} (the newest) says ${JSON.stringify(value)}, ` +
          `${one.instance.serviceId} says ${JSON.stringify(theirs[setting])}. ` +
          (own ? 'Each instance is called at its own.' : 'The newest registration counts for all.'),
      });
    }
  }
  return [...problems.values()];
}

function comparable({ settings, instance }: ParsedInstance): Record<string, unknown> {
  const { transport, scheme, path } = instance.endpoint;
  return { group: undefined, credential: undefined, ...settings, transport, scheme, path };
}

function defaults(name: ServiceName): ServiceSettings {
  return {
    namespace: name,
    session: 'stateful',
    timeoutMs: 60_000,
    maxConcurrency: 0,
    toolsAllow: [],
    toolsDeny: [],
  };
}

function sameItems(a: readonly Instance[], b: readonly Instance[]): boolean {
  return a.length === b.length && a.every((instance, at) => instance === b[at]);
}

function sameServices(
  a: ReadonlyMap<ServiceName, RegisteredService>,
  b: ReadonlyMap<ServiceName, RegisteredService>,
): boolean {
  if (a.size !== b.size) return false;
  for (const [name, service] of a) if (b.get(name) !== service) return false;
  return true;
}
