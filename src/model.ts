/**
 * The nouns that rooms share. Types only: nothing here runs.
 *
 * Everything is deeply read-only. A value that has not changed keeps its object identity from one snapshot to
 * the next (`===`), so that builders can reuse what they made of it.
 */

declare const brand: unique symbol;
/** A string that may not be mixed up with another kind of string. */
export type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A service's name as registered in Consul; any characters, case kept. */
export type ServiceName = Branded<'ServiceName'>;
/**
 * `<datacenter>/<node>/<service id>`, each part percent-encoded. A Consul service id is unique only on its
 * agent, so all three are needed.
 */
export type InstanceId = Branded<'InstanceId'>;
/** A name as a backend spells it. */
export type UpstreamName = Branded<'UpstreamName'>;
/** `namespace.tool`: the name that policy, audit and metrics use; unique over the table. */
export type CanonicalName = Branded<'CanonicalName'>;
/** A name as clients see it: the portable or the dotted spelling; unique over the table. */
export type PublicName = Branded<'PublicName'>;
/** Lower-case hex SHA-256 over a canonical form. */
export type Digest = Branded<'Digest'>;

/**
 * Something is wrong that takes nothing down: a default was used, an entry was left out.
 * Kept beside the thing it concerns and shown by `/api/v1/services/:name`.
 */
export interface Problem {
  /** Stable, upper snake case; the sentence may change, the code may not. */
  readonly code: string;
  /** A sentence for people, with what was used instead and the mend where one is known. */
  readonly message: string;
  /** Which part of the registration or of the server's answer, e.g. `mcp-timeout-ms` or `tools/search`. */
  readonly subject?: string;
}

// ---------------------------------------------------------------------------------------------------------
// The registry

/**
 * Consul's health, reduced: the worst of an instance's checks, node checks included.
 * `maintenance` drains (running calls finish), `critical` ejects.
 */
export type InstanceState = 'passing' | 'warning' | 'critical' | 'maintenance';

export interface Check {
  readonly id: string;
  readonly name: string;
  readonly status: InstanceState;
  /** What the check printed, or the reason of a maintenance; at most 512 characters are kept. */
  readonly output: string;
  /** True for a check of the node (it counts for every service on it). */
  readonly ofNode: boolean;
}

export type Transport = 'streamable-http' | 'sse' | 'openapi';

/** Where one instance is and how it is spoken to; its own registration decides. */
export interface Endpoint {
  readonly transport: Transport;
  readonly scheme: 'http' | 'https';
  /** A host name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Begins with `/`; percent-encoded as it goes on the wire. */
  readonly path: string;
  /** Name to check the certificate against, where it is not the host. */
  readonly tlsServerName?: string;
  /** Where the API description is, with the `openapi` transport. */
  readonly openapiPath: string;
}

/**
 * How one of several instances is chosen. `p2c`: of two drawn by weight the one that would take less time;
 * `weighted`: drawn by weight, whatever the load; `rendezvous`: by a hash of the session, the same at every replica.
 */
export type Balance = 'p2c' | 'weighted' | 'rendezvous';

/** What `mcp-*` meta says about the service as a whole; the newest registration decides. */
export interface ServiceSettings {
  /** What stands before the dot; the service's name unless `mcp-namespace` is set. */
  readonly namespace: string;
  readonly group?: string;
  readonly session: 'stateful' | 'stateless';
  /** How an instance is chosen for a call, or for a session where the service keeps any. */
  readonly balance: Balance;
  /** Longest silence of a running call in milliseconds; progress resets it. */
  readonly timeoutMs: number;
  /** Calls at one instance at a time; 0 = no limit. */
  readonly maxConcurrency: number;
  /** Globs over the service's own tool names. */
  readonly toolsAllow: readonly string[];
  readonly toolsDeny: readonly string[];
  /** Name of an outbound credential in the router's settings; never the secret. */
  readonly credential?: string;
}

export interface Instance {
  readonly id: InstanceId;
  readonly service: ServiceName;
  readonly datacenter: string;
  readonly node: string;
  /** Consul's service id, unique on its agent. */
  readonly serviceId: string;
  readonly endpoint: Endpoint;
  readonly state: InstanceState;
  readonly checks: readonly Check[];
  /** Consul's `Weights`: 1…65535 when passing, 0…65535 when warning (0 = no traffic). */
  readonly weights: { readonly passing: number; readonly warning: number };
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  /** `mcp-version`: shown, and usable in canary weights. */
  readonly version?: string;
  /** Changes whenever the instance registers anew; what was learned of the old registration is then doubtful. */
  readonly registration: string;
  /** Consul's ModifyIndex of the registration; the newest of a service has the highest. */
  readonly modifyIndex: number;
  readonly problems: readonly Problem[];
}

/** A registration that is not served, and why: what `explain` answers from. */
export interface Skipped {
  readonly service: string;
  /** Absent when the whole service is skipped. */
  readonly serviceId?: string;
  readonly node?: string;
  readonly datacenter: string;
  readonly reason: Problem;
}

/** Why an answer of Consul was not believed, or there was none. The last good instances are kept. */
export type DoubtReason =
  | 'not-synced' // nothing was ever learned
  | 'unreachable' // no answer: refused, reset, timed out, cut
  | 'refused' // 401 or 403
  | 'rate-limited' // 429, or the connection limit
  | 'server-error' // 5xx
  | 'garbage' // 200 with a body that Consul would not send
  | 'empty-at-start' // `[]` or `{}` at index <= 1: a server without a leader or state
  | 'filtered' // the token may not see everything
  | 'mass-disappearance'; // most of what was there is gone at once

export interface RegisteredService {
  readonly name: ServiceName;
  readonly settings: ServiceSettings;
  /** Sorted by id. Instances that can't be addressed are in `skipped`. */
  readonly instances: readonly Instance[];
  readonly skipped: readonly Skipped[];
  /** Of the service as a whole: conflicting settings among instances. */
  readonly problems: readonly Problem[];
  /** Set while the instances are the last good ones and not what Consul says now. */
  readonly doubt?: DoubtReason;
}

export interface RegistrySnapshot {
  /** Counts up with every change. */
  readonly version: number;
  readonly services: ReadonlyMap<ServiceName, RegisteredService>;
  /** Services left out as a whole (kind, tag). */
  readonly skipped: readonly Skipped[];
  /** Set while the list of names is the last good one; per-service doubt stands at the service. */
  readonly doubt?: DoubtReason;
}

/** What Consul itself says of a service that the router does not serve. */
export type Sighting =
  | {
      readonly kind: 'seen';
      /** By datacenter, also of datacenters that the router does not ask. */
      readonly found: readonly SeenService[];
      /** Names of all services that the token may see in the datacenters that the router asks. */
      readonly names: readonly string[];
      /** ACLs hid something. */
      readonly filtered: boolean;
    }
  /** Consul could not be asked; a sentence. */
  | { readonly kind: 'failed'; readonly reason: string };

export interface SeenService {
  readonly datacenter: string;
  /** One of those that the router asks. */
  readonly asked: boolean;
  /** All tags that its instances have. */
  readonly tags: readonly string[];
  /** `""` is a plain service. */
  readonly kinds: readonly string[];
}

// ---------------------------------------------------------------------------------------------------------
// What servers can do

/** The text of a JSON value exactly as the server sent it: numbers, key order and unknown fields kept. */
export type RawJson = Branded<'RawJson'>;

/** A list item that the router names anew: a tool, a prompt, a resource or a resource template. */
export interface ListItem {
  /** `name` of tools and prompts, `uri` of resources, `uriTemplate` of templates. */
  readonly key: UpstreamName;
  readonly json: RawJson;
  /** Where in `json` the string literal of `key` stands, quotes included. */
  readonly keySpan: readonly [start: number, end: number];
  /** Over the canonical form (keys sorted): spelling differences don't count. */
  readonly digest: Digest;
  /** Clients of the other era would refuse it, and with it their whole list. */
  readonly eras: 'both' | 'legacy' | 'modern';
}

/** Annotations as a client may believe them: absent hints have the specification's defaults. */
export interface ToolHints {
  readonly readOnly: boolean;
  readonly destructive: boolean;
  readonly idempotent: boolean;
  readonly openWorld: boolean;
}

/** An argument that a modern client mirrors into the header `Mcp-Param-<name>`. */
export interface ParamHeader {
  readonly name: string;
  /** Keys that lead to the argument. */
  readonly path: readonly string[];
}

export interface Tool extends ListItem {
  readonly hints: ToolHints;
  readonly headers: readonly ParamHeader[];
  /** It opens a page (MCP Apps): `_meta.ui.resourceUri`. */
  readonly hasApp: boolean;
  /** Only its app's page may call it, no model: `_meta.ui.visibility` without `model`. */
  readonly appOnly: boolean;
}

/** Everything one server said of itself, at one moment, to a client that can do everything. */
export interface ServerDefinition {
  /** Over all items; instances with the same digest are interchangeable. */
  readonly digest: Digest;
  readonly protocolVersion: string;
  readonly serverInfo: RawJson;
  readonly capabilities: RawJson;
  readonly instructions?: string;
  /** Sorted by key, no key twice. */
  readonly tools: readonly Tool[];
  readonly prompts: readonly ListItem[];
  readonly resources: readonly ListItem[];
  readonly resourceTemplates: readonly ListItem[];
  /** How long, and by whom, its lists may be kept; from a server of the modern era. */
  readonly cache?: { readonly ttlMs: number; readonly scope: 'public' | 'private' };
  readonly problems: readonly Problem[];
}

/** Which eras of MCP a server speaks: sessions (up to 2025-11-25), or stateless (from 2026-07-28). */
export interface Eras {
  readonly legacy: boolean;
  readonly modern: boolean;
}

/** What the router knows of one instance from asking it. */
export type Learned =
  | { readonly kind: 'pending' }
  | {
      readonly kind: 'learned';
      readonly definition: ServerDefinition;
      /** The server gave no session id: any request may go without one. */
      readonly sessionless: boolean;
      readonly eras: Eras;
    }
  | {
      readonly kind: 'failed';
      readonly problem: Problem;
      /** The last good definition of the same registration, if there was one, and the eras it was learned in. */
      readonly last?: ServerDefinition;
      readonly eras?: Eras;
    };

// ---------------------------------------------------------------------------------------------------------
// The table: where control and data meet

/** The lists of MCP. */
export type ItemKind = 'tools' | 'prompts' | 'resources' | 'resourceTemplates';

/** One tool or prompt under its public names. */
export interface CatalogItem<Item extends ListItem = ListItem> {
  readonly service: ServiceName;
  readonly item: Item;
  readonly canonical: CanonicalName;
  readonly portable: PublicName;
  /** What a profile calls it, and lists instead of either spelling. */
  readonly own?: PublicName;
}

/** One resource or resource template under its public URI, which is its own unless another service has the same. */
export interface CatalogResource {
  readonly service: ServiceName;
  readonly item: ListItem;
  /** For templates: the template. */
  readonly uri: string;
}

/**
 * What one service shows. Keeps its identity while what it shows stays the same, so whatever is made of it
 * (bytes of a list) can be kept with it.
 */
export interface CatalogService {
  readonly name: ServiceName;
  readonly namespace: string;
  readonly definition: ServerDefinition;
  /** Sorted by the service's own names; after `mcp-tools-allow` and `-deny`. */
  readonly tools: readonly CatalogItem<Tool>[];
  readonly prompts: readonly CatalogItem[];
  readonly resources: readonly CatalogResource[];
  readonly resourceTemplates: readonly CatalogResource[];
  /** Some of its URIs belong to another service: what it says has to be read for URIs. */
  readonly rewritesUris: boolean;
  /** All of the service, where this is the part of it that some caller may see. */
  readonly whole?: CatalogService;
}

export interface Catalog {
  /** Sorted by name. */
  readonly services: readonly CatalogService[];
  readonly byName: ReadonlyMap<ServiceName, CatalogService>;
  /** The same before name conflicts were settled: what the next build starts from. */
  readonly claims: readonly CatalogService[];
  /** By both spellings. */
  readonly tools: ReadonlyMap<string, CatalogItem<Tool>>;
  readonly prompts: ReadonlyMap<string, CatalogItem>;
  /** By public URI. */
  readonly resources: ReadonlyMap<string, CatalogResource>;
  /** Name conflicts and left-out items, by service. */
  readonly problems: ReadonlyMap<ServiceName, readonly Problem[]>;
}

/** An instance that may take new calls, and what it can do. */
export interface Target {
  readonly instance: Instance;
  readonly definition: ServerDefinition;
  /** Any request may go without a session id. */
  readonly sessionless: boolean;
  readonly eras: Eras;
  /** Share of the traffic: Consul's weight for the present state; above 0. */
  readonly weight: number;
}

/**
 * How much of a service's traffic each `mcp-version` gets; relative numbers, `*` for every version not named. A
 * version with 0 gets nothing; one that is neither named nor covered by `*` only what no other can take.
 */
export type VersionWeights = ReadonlyMap<string, number>;

/** Targets to draw from by weight, in constant time (routing/urn.ts). */
export interface Urn {
  readonly targets: readonly Target[];
  /** Alias table: of the nth part of [0, 1) this share belongs to the nth target, the rest to `other`. */
  readonly chance: Float64Array;
  readonly other: Uint32Array;
  /** Hashes of the instance ids, for rendezvous; two words each. */
  readonly seeds: Uint32Array;
}

/** Instances of one version, or of all where no version has a weight of its own. */
export interface VersionGroup {
  /** `*` for all that are not named; undefined where versions have no weights, or none covers these. */
  readonly version: string | undefined;
  /** Share of the traffic, relative to the other groups; 0: only when no other can take it. */
  readonly share: number;
  readonly all: Urn;
  /** Those on the router's own node, if there are any and others as well. */
  readonly near: Urn | undefined;
}

/** Targets that may stand for each other, laid out for choosing one (routing/pool.ts). */
export interface Pool {
  readonly byId: ReadonlyMap<InstanceId, Target>;
  /** By datacenter in failover order; none is empty. */
  readonly tiers: readonly { readonly datacenter: string; readonly groups: readonly VersionGroup[] }[];
}

/** What the layout of every pool depends on. Keeps its identity while it stays the same. */
export interface Layout {
  /** In failover order; one that is missing here comes last. */
  readonly datacenters: readonly string[];
  /** The Consul node that the router is on; without a datacenter in any. */
  readonly home?: { readonly datacenter?: string; readonly node: string };
}

/** Where calls for one service go. */
export interface ServiceRoute {
  readonly name: ServiceName;
  readonly settings: ServiceSettings;
  /** Every registered instance: sessions of one that drains go on there until they end. */
  readonly instances: ReadonlyMap<InstanceId, Instance>;
  /** Who may take new calls; sorted by instance id. Empty when nothing is healthy. */
  readonly targets: readonly Target[];
  /** Of all targets. */
  readonly pool: Pool;
  /** Weights of versions that are in force (canary). */
  readonly versions?: VersionWeights;
  /** What the service advertises; undefined until an instance was learned. */
  readonly definition: ServerDefinition | undefined;
  /**
   * While instances differ (a rolling deploy): for each advertised item on which they do, the targets that
   * have it as advertised. An item that is missing here is the same everywhere.
   */
  readonly split: Readonly<Record<ItemKind, ReadonlyMap<UpstreamName, Pool>>>;
}

/** Frozen. A request takes it once and uses nothing else, so names and addresses are of one moment. */
export interface RoutingTable {
  readonly version: number;
  readonly catalog: Catalog;
  readonly services: ReadonlyMap<ServiceName, ServiceRoute>;
}

// ---------------------------------------------------------------------------------------------------------
// Who calls

export interface Identity {
  /** Stable id of the caller within its issuer: `anonymous`, a key's name, a token's or certificate's subject. */
  readonly subject: string;
  /** How it was proved. */
  readonly method: 'none' | 'api-key' | 'token' | 'certificate';
  /** Short digest that binds sealed sessions to the identity: the same for every token of one caller. */
  readonly digest: string;
  /** Who vouches for the subject: an authorization server, a certificate authority. */
  readonly issuer?: string;
  /** The OAuth client that the caller uses. */
  readonly client?: string;
  /** Name of the API key. */
  readonly key?: string;
  readonly groups: readonly string[];
  /** When the proof ends; milliseconds since 1970. */
  readonly expiresAt?: number;
  /** OAuth scopes that were granted. */
  readonly scopes: readonly string[];
  /** What else was proved. Never the proof itself. */
  readonly claims: Readonly<Record<string, unknown>>;
}

// ---------------------------------------------------------------------------------------------------------
// Ports that observability implements

export type LogFields = Readonly<Record<string, unknown>>;

/** Messages are constant sentences; what varies stands in the fields. */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

/** Milliseconds since some fixed moment; never goes back. */
export type Clock = () => number;
/** In [0, 1). */
export type Random = () => number;
