import type { Check, DoubtReason, InstanceState, Problem, Skipped } from '../model.ts';

/**
 * JSON of the admin API, as the dashboard reads it. Types only. Times are milliseconds since 1970, durations
 * milliseconds.
 */

/** One line of the list of services. */
export interface ServiceSummary {
  readonly name: string;
  readonly namespace: string;
  /** Registered ones, by Consul's state. */
  readonly instances: Readonly<Record<InstanceState, number>>;
  /** How many of them may take calls. */
  readonly healthy: number;
  readonly tools: number;
  readonly prompts: number;
  readonly resources: number;
  readonly problems: number;
  /** Of the instances, sorted, each once. */
  readonly versions: readonly string[];
  /** How many different definitions the instances have; more than one is a rolling deploy. */
  readonly definitions: number;
  readonly inFlight: number;
  /** Of its slowest instance; null before the first call. */
  readonly latencyMs: number | null;
  /** Another one whenever what clients see of it is; null while they see nothing. */
  readonly edition: string | null;
  readonly stale?: DoubtReason;
}

export interface ServicesBody {
  readonly version: number;
  readonly stale?: DoubtReason;
  readonly services: readonly ServiceSummary[];
  readonly skipped: readonly Skipped[];
}

export type ProbeView =
  | { readonly result: 'pending' }
  | { readonly result: 'failed'; readonly reason: Problem; readonly hasEarlierDefinition: boolean }
  | {
      readonly result: 'learned';
      readonly digest: string;
      readonly protocolVersion: string;
      readonly server: unknown;
      readonly tools: number;
      readonly prompts: number;
      readonly resources: number;
    };

export interface InstanceView {
  readonly id: string;
  readonly datacenter: string;
  readonly node: string;
  readonly serviceId: string;
  readonly endpoint: {
    readonly transport: string;
    readonly scheme: string;
    readonly host: string;
    readonly port: number;
    readonly path: string;
  };
  readonly state: InstanceState;
  readonly checks: readonly Check[];
  readonly weights: { readonly passing: number; readonly warning: number };
  readonly version: string | null;
  readonly receivesCalls: boolean;
  readonly weight: number;
  /** How the router itself sees it. */
  readonly standing?: {
    readonly state: string;
    /** A sentence. */
    readonly why: string;
    /** Part of the service's calls, 0…1. */
    readonly share: number;
    readonly endsInMs?: number;
  };
  readonly inFlight: number;
  readonly latencyMs: number | null;
  readonly probe: ProbeView;
  readonly problems: readonly Problem[];
}

export interface NamedItem {
  readonly name: string;
  readonly canonical: string;
  readonly original: string;
}

/** Everything that is known of one service. */
export type ServiceBody =
  | {
      readonly name: string;
      readonly served: true;
      readonly settings: Readonly<Record<string, unknown>>;
      /** Share of calls by version, where Consul KV gives one. */
      readonly versions?: Readonly<Record<string, number>>;
      readonly stale?: DoubtReason;
      readonly problems: readonly Problem[];
      readonly instances: readonly InstanceView[];
      readonly skipped: readonly Skipped[];
      readonly tools: readonly NamedItem[];
      readonly prompts: readonly NamedItem[];
    }
  | { readonly name: string; readonly served: false; readonly skipped: readonly Skipped[] };

export type ItemKindName = 'tools' | 'prompts' | 'resources' | 'resourceTemplates';

/** What a list of the catalog shows of one thing. */
export interface CatalogEntry {
  readonly kind: ItemKindName;
  /** As clients call it: the portable name, or the URI. */
  readonly name: string;
  /** `namespace.tool`; for resources the URI. */
  readonly canonical: string;
  readonly title?: string;
  /** The beginning of its description, in one line. */
  readonly about?: string;
  /** Of tools: what they say they do. */
  readonly hints?: readonly ('reads' | 'destroys' | 'repeatable' | 'app')[];
}

/** Entries by service; only of those that were asked for. */
export interface EntriesBody {
  readonly version: number;
  readonly services: Readonly<Record<string, readonly CatalogEntry[]>>;
}

/** One thing of the catalog, whole. */
export interface ItemBody {
  readonly kind: ItemKindName;
  readonly service: string;
  readonly name: string;
  readonly canonical: string;
  /** As its server calls it. */
  readonly original: string;
  /** As clients see it in their lists. */
  readonly definition: Readonly<Record<string, unknown>>;
}

export interface SessionBody {
  readonly path: string;
  /** What it says of itself, unchecked. */
  readonly client: Readonly<Record<string, unknown>>;
  readonly protocolVersion: string;
  readonly idleMs: number;
  readonly running: number;
  readonly stream: boolean;
  /** Instance by service. */
  readonly backends: Readonly<Record<string, string>>;
}

/** A call that has ended. */
export interface CallRecord {
  /** Counts up; unique in one process. */
  readonly n: number;
  /** When it ended. */
  readonly at: number;
  readonly method: string;
  /** A canonical name, or the method. */
  readonly label: string;
  readonly service: string;
  /** Consul's service id of the last one tried. */
  readonly instance: string | null;
  /** `ok`, `tool-error`, `rpc-error`, `cancelled`, or the code of a router error. */
  readonly result: string;
  readonly attempts: number;
  readonly durationMs: number;
  readonly client: string;
  readonly era: 'legacy' | 'modern';
  /** Why the last attempt that failed did. */
  readonly trouble?: string;
}

export type TimelineKind =
  'router' | 'service' | 'instance' | 'health' | 'definition' | 'failover' | 'consul';

/** Something that happened, in plain words. An entry with the same `n` as an earlier one replaces it. */
export interface TimelineEntry {
  readonly n: number;
  readonly at: number;
  readonly kind: TimelineKind;
  readonly tone: 'good' | 'bad' | 'plain';
  readonly service?: string;
  readonly text: string;
}

export interface RouterStatus {
  readonly version: string;
  /** Where clients connect. */
  readonly data: { readonly host: string; readonly port: number };
  readonly tableVersion: number;
  readonly synced: boolean;
  readonly draining: boolean;
  readonly sessions: number;
  /** Calls under way. */
  readonly running: number;
  readonly datacenters: readonly { readonly name: string; readonly doubt?: DoubtReason }[];
  /** Registrations that are not served. */
  readonly skipped: number;
}

/** Begins every event stream: all there is. */
export interface StateEvent {
  readonly status: RouterStatus;
  readonly services: readonly ServiceSummary[];
  readonly calls: readonly CallRecord[];
  readonly timeline: readonly TimelineEntry[];
}

/** What changed since the event before. */
export interface ChangeEvent {
  readonly status?: RouterStatus;
  readonly services?: readonly ServiceSummary[];
  readonly removed?: readonly string[];
  readonly calls?: readonly CallRecord[];
  /** Further calls that are not in `calls`: too many to show one by one. */
  readonly callsLeftOut?: number;
  readonly timeline?: readonly TimelineEntry[];
}

/** Asks for one call of a tool, as a client would make it. */
export interface TryRequest {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** Goes on with a call that asked for something (2026-07-28, multi round-trip requests). */
  readonly requestState?: string;
  readonly inputResponses?: Readonly<Record<string, unknown>>;
}
