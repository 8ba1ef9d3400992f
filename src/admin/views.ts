import type {
  CatalogItem,
  CatalogService,
  Instance,
  InstanceId,
  InstanceState,
  Learned,
  Problem,
  RegisteredService,
  RegistrySnapshot,
  RoutingTable,
  ServiceName,
  ServiceRoute,
} from '../model.ts';
import type { InstanceView, ProbeView, ServiceBody, ServicesBody, ServiceSummary } from './shapes.ts';

/** JSON shapes of the admin API, made from the table and the registry of one moment. */

export interface LoadOf {
  inFlight(instance: Instance['id']): number;
  latencyMs(instance: Instance['id']): number | undefined;
}

/** Shown as it is; see routing/standing.ts. */
export type StandingOf = NonNullable<InstanceView['standing']>;

export interface Moment {
  readonly table: RoutingTable;
  readonly snapshot: RegistrySnapshot | undefined;
  readonly learned: (instance: Instance) => Learned;
  readonly load: LoadOf;
  /** How the router itself sees each registered instance of a service. */
  readonly standings: (route: ServiceRoute) => ReadonlyMap<InstanceId, StandingOf>;
  /** Of what Consul KV says about a service. */
  readonly kvProblems: (service: ServiceName) => readonly Problem[];
}

export function catalogView({ table }: Pick<Moment, 'table'>): unknown {
  const items = (entries: readonly CatalogItem[]): unknown[] =>
    entries.map(({ service, item, canonical, portable }) => ({
      name: portable,
      canonical,
      service,
      original: item.key,
      definition: JSON.parse(item.json) as unknown,
    }));
  return {
    version: table.version,
    tools: items(table.catalog.services.flatMap((service) => service.tools)),
    prompts: items(table.catalog.services.flatMap((service) => service.prompts)),
  };
}

export function servicesView(moment: Moment): ServicesBody {
  return {
    version: moment.table.version,
    ...(moment.snapshot?.doubt !== undefined && { stale: moment.snapshot.doubt }),
    services: summaries(moment),
    skipped: moment.snapshot?.skipped ?? [],
  };
}

/** One line for every registered service. */
export function summaries(moment: Moment): readonly ServiceSummary[] {
  return Array.from(moment.snapshot?.services.values() ?? [], (service) => summary(service, moment));
}

function summary(service: RegisteredService, moment: Moment): ServiceSummary {
  const shown = moment.table.catalog.byName.get(service.name);
  const latencies = service.instances
    .map((instance) => moment.load.latencyMs(instance.id))
    .filter((latency) => latency !== undefined);
  const definitions = new Set<string>();
  for (const instance of service.instances) {
    const learned = moment.learned(instance);
    if (learned.kind === 'learned') definitions.add(learned.definition.digest);
  }
  const versions = new Set(service.instances.flatMap(({ version }) => version ?? []));
  return {
    name: service.name,
    namespace: service.settings.namespace,
    instances: countStates(service),
    healthy: moment.table.services.get(service.name)?.targets.length ?? 0,
    tools: shown?.tools.length ?? 0,
    prompts: shown?.prompts.length ?? 0,
    resources: (shown?.resources.length ?? 0) + (shown?.resourceTemplates.length ?? 0),
    problems: allProblems(service, moment).length,
    versions: [...versions].sort(),
    definitions: definitions.size,
    inFlight: service.instances.reduce((sum, instance) => sum + moment.load.inFlight(instance.id), 0),
    latencyMs: latencies.length === 0 ? null : Math.round(Math.max(...latencies)),
    edition: shown ? editionOf(shown) : null,
    ...(service.doubt !== undefined && { stale: service.doubt }),
  };
}

/** Everything that is known of one service; undefined for one that Consul does not have. */
export function serviceView(name: string, moment: Moment): ServiceBody | undefined {
  const service = [...(moment.snapshot?.services.values() ?? [])].find((entry) => entry.name === name);
  if (!service) {
    const skipped = moment.snapshot?.skipped.filter((entry) => entry.service === name) ?? [];
    return skipped.length > 0 ? { name, served: false, skipped } : undefined;
  }
  const route = moment.table.services.get(service.name);
  const standings = route && moment.standings(route);
  const shown = moment.table.catalog.services.find((entry) => entry.name === name);
  return {
    name,
    served: true,
    settings: { ...service.settings },
    ...(route?.versions && { versions: Object.fromEntries(route.versions) }),
    ...(service.doubt !== undefined && { stale: service.doubt }),
    problems: allProblems(service, moment),
    instances: service.instances.map((instance) =>
      instanceView(instance, standings?.get(instance.id), moment),
    ),
    skipped: service.skipped,
    tools:
      shown?.tools.map((entry) => ({
        name: entry.portable,
        canonical: entry.canonical,
        original: entry.item.key,
      })) ?? [],
    prompts:
      shown?.prompts.map((entry) => ({
        name: entry.portable,
        canonical: entry.canonical,
        original: entry.item.key,
      })) ?? [],
  };
}

function instanceView(instance: Instance, standing: StandingOf | undefined, moment: Moment): InstanceView {
  const learned = moment.learned(instance);
  const target = moment.table.services.get(instance.service)?.pool.byId.get(instance.id);
  return {
    id: instance.id,
    datacenter: instance.datacenter,
    node: instance.node,
    serviceId: instance.serviceId,
    endpoint: instance.endpoint,
    state: instance.state,
    checks: instance.checks,
    weights: instance.weights,
    version: instance.version ?? null,
    receivesCalls: target !== undefined && standing?.state !== 'ejected',
    weight: target?.weight ?? 0,
    ...(standing && { standing }),
    inFlight: moment.load.inFlight(instance.id),
    latencyMs: moment.load.latencyMs(instance.id) ?? null,
    probe: probeView(learned),
    problems: instance.problems,
  };
}

function probeView(learned: Learned): ProbeView {
  switch (learned.kind) {
    case 'pending':
      return { result: 'pending' };
    case 'failed':
      return { result: 'failed', reason: learned.problem, hasEarlierDefinition: learned.last !== undefined };
    case 'learned': {
      const { definition } = learned;
      return {
        result: 'learned',
        digest: definition.digest,
        protocolVersion: definition.protocolVersion,
        server: JSON.parse(definition.serverInfo) as unknown,
        tools: definition.tools.length,
        prompts: definition.prompts.length,
        resources: definition.resources.length,
      };
    }
  }
}

/** Of the registration, of its instances, of what they list, and of names. */
export function allProblems(service: RegisteredService, moment: Moment): readonly Problem[] {
  const problems: Problem[] = [...service.problems, ...service.skipped.map((entry) => entry.reason)];
  for (const instance of service.instances) {
    problems.push(...instance.problems);
    const learned = moment.learned(instance);
    if (learned.kind === 'failed') problems.push(learned.problem);
    else if (learned.kind === 'learned') problems.push(...learned.definition.problems);
  }
  problems.push(...moment.kvProblems(service.name));
  problems.push(...(moment.table.catalog.problems.get(service.name) ?? []));
  // Instances of one service repeat each other.
  return [
    ...new Map(
      problems.map((problem) => [`${problem.code} ${problem.subject ?? ''} ${problem.message}`, problem]),
    ).values(),
  ];
}

let editions = 0;
const edition = new WeakMap<CatalogService, string>();

/** A catalog entry keeps its identity while what it shows stays the same. */
function editionOf(shown: CatalogService): string {
  const known = edition.get(shown) ?? `${shown.definition.digest.slice(0, 12)}.${++editions}`;
  edition.set(shown, known);
  return known;
}

export function countStates(service: RegisteredService): Record<InstanceState, number> {
  const counts: Record<InstanceState, number> = { passing: 0, warning: 0, critical: 0, maintenance: 0 };
  for (const instance of service.instances) counts[instance.state]++;
  return counts;
}
