import type {
  Instance,
  InstanceId,
  ItemKind,
  Learned,
  Problem,
  RegistrySnapshot,
  RoutingTable,
  ServiceName,
  ServiceRoute,
  Sighting,
  UpstreamName,
} from '../model.ts';

/** What the router sees at one moment, and the settings that decide what is shown of it. */
export interface Outlook {
  readonly table: RoutingTable;
  readonly snapshot: RegistrySnapshot | undefined;
  readonly learned: (instance: Instance) => Learned;
  /** What is strange about what Consul KV says of a service. */
  readonly kvProblems: (service: ServiceName) => readonly Problem[];
  /** How the balancer would treat each registered instance of a service now, for a call of an item. */
  readonly chances: (
    route: ServiceRoute,
    item: { readonly kind: ItemKind; readonly key: UpstreamName } | undefined,
  ) => ReadonlyMap<InstanceId, Chance>;
  readonly settings: {
    readonly tag: string;
    readonly unhealthyGraceMs: number;
    readonly pageSize: number;
  };
}

/** What an instance may expect of the balancer. */
export interface Chance {
  /** `in`: gets its share. `out`: gets no new calls. The rest as the balancer calls it. */
  readonly state: 'in' | 'slow-start' | 'ejected' | 'spared' | 'out';
  /** Part of the service's calls while all are equally busy, 0…1. */
  readonly share: number;
  /** A sentence: why this share. */
  readonly why: string;
  readonly inFlight: number;
  readonly latencyMs?: number;
}

/** Asks Consul itself for a name that the router does not know. Never rejects. */
export type LookUp = (service: string) => Promise<Sighting>;
