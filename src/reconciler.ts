import { buildCatalog, type ShownService } from './catalog/build.ts';
import { groupByDefinition, leadingDefinition, splitTargets } from './catalog/definition-groups.ts';
import type {
  Catalog,
  Clock,
  Instance,
  Layout,
  Learned,
  Log,
  RegisteredService,
  RegistrySnapshot,
  RoutingTable,
  ServiceName,
  ServiceRoute,
  VersionWeights,
} from './model.ts';
import { poolOf, votes } from './routing/pool.ts';
import { targetsOf } from './routing/targets.ts';

export interface ReconcilerOptions {
  /** How long changes are gathered. An instance that may take no more calls does not wait. */
  readonly debounceMs: number;
  /** How long the tools of a service without a healthy instance stay listed; calls are refused meanwhile. */
  readonly graceMs: number;
  readonly learned: (instance: Instance) => Learned;
  /** Datacenters and the router's own node; a change is followed by {@link Reconciler.layoutChanged}. */
  readonly layout: () => Layout;
  /** Canary weights that are in force; a change is followed by {@link Reconciler.layoutChanged}. */
  readonly versions: (service: ServiceName) => VersionWeights | undefined;
  /** Asked with every snapshot to learn what is new. */
  readonly learn: (services: Iterable<RegisteredService>) => void;
  readonly onSwap: (next: RoutingTable, previous: RoutingTable) => void;
  readonly log: Log;
  readonly now: Clock;
}

const emptyCatalog: Catalog = {
  services: [],
  byName: new Map(),
  claims: [],
  tools: new Map(),
  prompts: new Map(),
  resources: new Map(),
  problems: new Map(),
};

/**
 * The single writer of the routing table. What Consul says and what instances say of themselves come together
 * here; the next table is built purely and swapped in whole, and only if it differs.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  #snapshot: RegistrySnapshot | undefined;
  /** Since when a listed service has had nobody to serve it. */
  readonly #unserved = new Map<ServiceName, number>();
  #table: RoutingTable = Object.freeze({ version: 0, catalog: emptyCatalog, services: new Map() });
  /** What the present table was laid out by. */
  #layout: Layout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #graceTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Never undefined: before the first snapshot it is an empty one. */
  get table(): RoutingTable {
    return this.#table;
  }

  get snapshot(): RegistrySnapshot | undefined {
    return this.#snapshot;
  }

  onSnapshot(snapshot: RegistrySnapshot): void {
    if (this.#stopped) return;
    this.#snapshot = snapshot;
    this.#options.learn(snapshot.services.values());
    if (this.#someoneMustGo(snapshot)) this.rebuild();
    else this.#schedule();
  }

  onLearned(): void {
    this.#schedule();
  }

  layoutChanged(): void {
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#graceTimer);
  }

  /** Builds the next table now and swaps it in, unless it is the same. */
  rebuild(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#snapshot || this.#stopped) return;
    const previous = this.#table;
    const services = new Map<ServiceName, ServiceRoute>();
    for (const service of this.#snapshot.services.values()) {
      services.set(service.name, this.#route(service, previous.services.get(service.name)));
    }
    for (const name of this.#unserved.keys()) if (!services.has(name)) this.#unserved.delete(name);
    this.#layout = this.#options.layout();
    const catalog = buildCatalog(this.#shown(services), previous.catalog);
    if (sameRoutes(services, previous.services) && sameCatalog(catalog, previous.catalog)) return;
    const next: RoutingTable = Object.freeze({ version: previous.version + 1, catalog, services });
    this.#table = next;
    this.#options.onSwap(next, previous);
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer ??= setTimeout(() => this.rebuild(), this.#options.debounceMs);
  }

  /** A target of the present table that may take no more calls, or is gone. */
  #someoneMustGo(snapshot: RegistrySnapshot): boolean {
    for (const route of this.#table.services.values()) {
      if (route.targets.length === 0) continue;
      const service = snapshot.services.get(route.name);
      const states = new Map(service?.instances.map((instance) => [instance.id, instance.state]));
      for (const { instance } of route.targets) {
        const state = states.get(instance.id);
        if (state === undefined || state === 'critical' || state === 'maintenance') return true;
      }
    }
    return false;
  }

  #route(service: RegisteredService, before: ServiceRoute | undefined): ServiceRoute {
    const layout = this.#options.layout();
    const versions = this.#options.versions(service.name);
    const targets = targetsOf(service, this.#options.learned, before?.targets, versions);
    const instances = sameInstances(service, before)
      ? before.instances
      : new Map(service.instances.map((instance) => [instance.id, instance]));
    if (
      before?.targets === targets &&
      before.instances === instances &&
      before.settings === service.settings &&
      before.versions === versions &&
      this.#layout === layout
    ) {
      return before;
    }
    const pool = poolOf(targets, layout, versions);
    const groups = groupByDefinition(targets);
    // A service that nobody serves for a while is still what it was.
    const definition = leadingDefinition(groups, votes(pool)) ?? before?.definition;
    return {
      name: service.name,
      settings: service.settings,
      instances,
      targets,
      pool,
      ...(versions && { versions }),
      definition,
      split: splitTargets(definition, groups, (some) => poolOf(some, layout, versions)),
    };
  }

  #shown(services: ReadonlyMap<ServiceName, ServiceRoute>): readonly ShownService[] {
    const now = this.#options.now();
    const shown: ShownService[] = [];
    let nextExpiry = Number.POSITIVE_INFINITY;
    for (const route of services.values()) {
      if (!route.definition) continue;
      if (route.targets.length > 0) this.#unserved.delete(route.name);
      else {
        const since = this.#unserved.get(route.name) ?? now;
        this.#unserved.set(route.name, since);
        const expiry = since + this.#options.graceMs;
        if (expiry <= now) continue;
        nextExpiry = Math.min(nextExpiry, expiry);
      }
      const { namespace, toolsAllow, toolsDeny } = route.settings;
      shown.push({ name: route.name, namespace, toolsAllow, toolsDeny, definition: route.definition });
    }
    clearTimeout(this.#graceTimer);
    if (Number.isFinite(nextExpiry)) {
      this.#graceTimer = setTimeout(() => this.rebuild(), nextExpiry - now + 1);
      this.#graceTimer.unref();
    }
    return shown;
  }
}

function sameInstances(service: RegisteredService, before: ServiceRoute | undefined): before is ServiceRoute {
  return (
    before?.instances.size === service.instances.length &&
    service.instances.every((instance) => before.instances.get(instance.id) === instance)
  );
}

function sameRoutes(
  a: ReadonlyMap<ServiceName, ServiceRoute>,
  b: ReadonlyMap<ServiceName, ServiceRoute>,
): boolean {
  if (a.size !== b.size) return false;
  for (const [name, route] of a) if (b.get(name) !== route) return false;
  return true;
}

function sameCatalog(a: Catalog, b: Catalog): boolean {
  return (
    a.services.length === b.services.length && a.services.every((service, at) => service === b.services[at])
  );
}
