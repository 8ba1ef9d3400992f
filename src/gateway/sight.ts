import type {
  Catalog,
  CatalogService,
  Identity,
  ItemKind,
  RoutingTable,
  ServiceName,
  ServiceRoute,
  ToolHints,
} from '../model.ts';
import type { InForce } from '../policy/current-policy.ts';
import type { Profile } from '../policy/profiles/profile.ts';
import { targetOf } from '../policy/rules/identity-class.ts';
import type { Decision, Policy } from '../policy/rules/policy.ts';
import { commonMeta, tagsOf, type Meta } from '../routing/service-facts.ts';
import type { Scope } from './scope.ts';

/** Table and rules of one moment. */
export interface World {
  readonly table: RoutingTable;
  readonly inForce: InForce;
}

/** What a call is about, by the names that rules know. */
export interface Wanted {
  readonly kind: ItemKind;
  /** Canonical name of a tool or prompt; public URI. */
  readonly name: string;
  readonly service: ServiceName;
  /** Of tools. */
  readonly hints?: ToolHints | undefined;
  readonly args?: (() => Readonly<Record<string, unknown>>) | undefined;
}

/** The rules said no; in a dry run, they would have. */
export interface Refusal extends Omit<Wanted, 'args' | 'hints'> {
  readonly identity: Identity;
  readonly profile: string | undefined;
  readonly decision: 'deny' | 'step-up';
  /** Undefined: none matched. */
  readonly rule: string | undefined;
  readonly enforced: boolean;
}

export type OnRefusal = (refusal: Refusal) => void;

const noArgs = (): Readonly<Record<string, unknown>> => ({});

/**
 * The table as one caller may see it at one moment. Whoever looks something up looks it up here, so what a caller
 * may not see is not there: in lists, calls, completion, counts, and errors.
 */
export class Sight implements RoutingTable {
  readonly version: number;
  readonly catalog: Catalog;
  /** What there is, whoever may see it; through a profile, what there is of that. */
  readonly whole: RoutingTable;
  readonly identity: Identity;
  /** There are rules or proofs, so others may see something else. */
  readonly personal: boolean;
  readonly #inForce: InForce;
  /** All of them have to allow. */
  readonly #policies: readonly Policy[];
  readonly #profile: Profile | undefined;
  /** There is no such profile: nothing is here. */
  readonly #lost: boolean;
  readonly #onRefusal: OnRefusal | undefined;
  #services: ReadonlyMap<ServiceName, ServiceRoute> | undefined;

  constructor({ table, inForce }: World, identity: Identity, scope: Scope, onRefusal?: OnRefusal) {
    const name = scope.kind === 'all' ? scope.profile : undefined;
    this.#inForce = inForce;
    this.#profile = name === undefined ? undefined : inForce.profiles.get(name);
    this.#lost = name !== undefined && !this.#profile;
    this.#policies = [...(this.#profile?.policies ?? []), inForce.policy].filter(({ open }) => !open);
    this.#onRefusal = onRefusal;
    this.whole = this.#lost ? emptyTable(table) : this.#ofProfile(table);
    this.identity = identity;
    this.version = table.version;
    this.personal = this.#policies.length > 0 || identity.method !== 'none';
    this.catalog = this.#view();
  }

  /** Some caller may be refused something here. */
  get restricted(): boolean {
    return this.#enforced || this.#profile !== undefined;
  }

  get services(): ReadonlyMap<ServiceName, ServiceRoute> {
    return (this.#services ??= this.restricted ? this.#routes() : this.whole.services);
  }

  /** Through which profile this is seen. */
  get profile(): Pick<Profile, 'name' | 'instructions' | 'names' | 'toolMode'> | undefined {
    return this.#profile;
  }

  /** There is such a profile, and there may be something in it for this caller. */
  get served(): boolean {
    if (this.#lost) return false;
    if (!this.#profile || !this.#enforced) return true;
    const { name } = this.#profile;
    return this.#policies.every((policy) => policy.mayUse(this.identity, name));
  }

  /** What of a service may be seen that does not stand in the catalog: of one instance by itself. */
  part(service: CatalogService): CatalogService | undefined {
    let part: CatalogService | undefined = service;
    for (const policy of this.#enforced ? this.#policies : []) {
      part = part && policy.part(this.identity, part, this.#meta(service.name), this.#profile?.name);
    }
    return part;
  }

  decide(wanted: Wanted): Decision {
    const decision = this.#ask(wanted);
    if (decision.kind === 'allow') return decision;
    const enforced = this.#enforced || !this.#holds(wanted);
    this.#tell(wanted, decision, enforced);
    return enforced ? decision : { kind: 'allow', rule: decision.rule };
  }

  /** The same without a word: to know what to show, not because it was asked for. */
  shows(wanted: Wanted): boolean {
    return this.#enforced ? this.#ask(wanted).kind !== 'deny' : this.#holds(wanted);
  }

  /**
   * Something was looked up and is not here: it may be there for others, and then this was a refusal.
   * @param name as the client spells it
   */
  missed(kind: 'tools' | 'prompts' | 'resources', scope: Scope, name: string): void {
    if (!this.#enforced) return;
    const { catalog } = this.whole;
    const found =
      scope.kind === 'all'
        ? catalog[kind].get(name)
        : catalog.byName.get(scope.service)?.[kind].find(({ item }) => (item.key as string) === name);
    if (!found) return;
    const wanted: Wanted = { ...targetOf(kind, found), service: found.service };
    const decision = this.#ask(wanted);
    if (decision.kind !== 'allow') this.#tell(wanted, decision, true);
  }

  /** In a dry run everybody sees all. */
  get #enforced(): boolean {
    return this.#policies.length > 0 && this.#inForce.document.mode === 'enforce';
  }

  #ofProfile(table: RoutingTable): RoutingTable {
    const profile = this.#profile;
    return profile ? { ...table, catalog: profile.catalog(table, serviceTags) } : table;
  }

  #view(): Catalog {
    let view = this.whole.catalog;
    for (const policy of this.#enforced ? this.#policies : []) {
      const meta = (service: string): Meta => this.#meta(service as ServiceName);
      view = policy.view(this.identity, view, meta, this.#profile?.name);
    }
    return view;
  }

  /** What a profile is made of is no matter of rules: it counts in a dry run, too. */
  #holds({ kind, name, service, hints }: Wanted): boolean {
    const profile = this.#profile;
    const target = { kind, name, service, hints, profile: profile?.name };
    return profile === undefined || profile.contains(target, tagsOf(this.whole.services.get(service)));
  }

  #ask(wanted: Wanted): Decision {
    if (!this.#holds(wanted)) return outside;
    const { kind, name, service, hints, args = noArgs } = wanted;
    const access = {
      kind,
      name,
      service,
      hints,
      profile: this.#profile?.name,
      meta: this.#meta(service),
      args,
    };
    let last: Decision = { kind: 'allow', rule: undefined };
    for (const policy of this.#policies) {
      last = policy.decide(this.identity, access);
      if (last.kind !== 'allow') return last;
    }
    return last;
  }

  #tell(
    { kind, name, service }: Wanted,
    { kind: decision, rule }: Exclude<Decision, { kind: 'allow' }>,
    enforced: boolean,
  ): void {
    this.#onRefusal?.({
      identity: this.identity,
      profile: this.#profile?.name,
      kind,
      name,
      service,
      decision,
      rule: rule?.name,
      enforced,
    });
  }

  #meta(service: ServiceName): Meta {
    return commonMeta(this.whole.services.get(service));
  }

  /** A service of which nothing may be seen is not there; one of which nothing is known yet may be. */
  #routes(): ReadonlyMap<ServiceName, ServiceRoute> {
    const { catalog, services } = this.whole;
    const may = (name: ServiceName): boolean =>
      this.#profile === undefined &&
      this.#policies.every((policy) => policy.mayAllow(this.identity, name, undefined));
    const seen = (name: ServiceName): boolean =>
      catalog.byName.has(name) ? this.catalog.byName.has(name) : may(name);
    return new Map([...services].filter(([name]) => seen(name)));
  }
}

/** What does not belong to a profile is not there. */
const outside: Decision = { kind: 'deny', rule: undefined, listed: false };

const serviceTags = (table: RoutingTable, service: ServiceName): ReadonlySet<string> =>
  tagsOf(table.services.get(service));

const nowhere: Catalog = {
  services: [],
  byName: new Map(),
  claims: [],
  tools: new Map(),
  prompts: new Map(),
  resources: new Map(),
  problems: new Map(),
};

function emptyTable({ version }: RoutingTable): RoutingTable {
  return { version, catalog: nowhere, services: new Map() };
}

/** What each caller sees now; made once for a caller and a moment. */
export class Sights {
  readonly #world: () => World;
  readonly #onRefusal: OnRefusal;
  /** By profile. */
  readonly #known = new WeakMap<Identity, Map<string | undefined, { sight: Sight; world: World }>>();

  constructor(world: () => World, onRefusal: OnRefusal) {
    this.#world = world;
    this.#onRefusal = onRefusal;
  }

  of(identity: Identity, scope: Scope): Sight {
    const world = this.#world();
    const profile = scope.kind === 'all' ? scope.profile : undefined;
    let known = this.#known.get(identity);
    const found = known?.get(profile);
    if (found?.world.table === world.table && found.world.inForce === world.inForce) return found.sight;
    const sight = new Sight(world, identity, scope, this.#onRefusal);
    // A name that is none is not remembered: clients may make up any number of them.
    if (profile !== undefined && !world.inForce.profiles.has(profile)) return sight;
    if (!known) this.#known.set(identity, (known = new Map()));
    known.set(profile, { sight, world });
    return sight;
  }
}
