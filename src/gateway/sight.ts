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
import { targetOf } from '../policy/rules/identity-class.ts';
import type { Decision } from '../policy/rules/policy.ts';
import { commonMeta, type Meta } from '../routing/common-meta.ts';
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
  /** What there is, whoever may see it. */
  readonly whole: RoutingTable;
  readonly identity: Identity;
  readonly profile: string | undefined;
  /** There are rules or proofs, so others may see something else. */
  readonly personal: boolean;
  readonly #inForce: InForce;
  readonly #onRefusal: OnRefusal | undefined;
  #services: ReadonlyMap<ServiceName, ServiceRoute> | undefined;

  constructor({ table, inForce }: World, identity: Identity, scope: Scope, onRefusal?: OnRefusal) {
    const { policy } = inForce;
    this.whole = table;
    this.identity = identity;
    this.profile = scope.kind === 'all' ? scope.profile : undefined;
    this.version = table.version;
    this.personal = !policy.open || identity.method !== 'none';
    this.#inForce = inForce;
    this.#onRefusal = onRefusal;
    this.catalog = this.#enforced
      ? policy.view(identity, table.catalog, (service) => this.#meta(service as ServiceName), this.profile)
      : table.catalog;
  }

  get services(): ReadonlyMap<ServiceName, ServiceRoute> {
    return (this.#services ??= this.#enforced ? this.#routes() : this.whole.services);
  }

  /** Some caller may be refused something. */
  get restricted(): boolean {
    return this.#enforced;
  }

  /** What of a service may be seen that does not stand in the catalog: of one instance by itself. */
  part(service: CatalogService): CatalogService | undefined {
    return this.#enforced
      ? this.#inForce.policy.part(this.identity, service, this.#meta(service.name), this.profile)
      : service;
  }

  decide(wanted: Wanted): Decision {
    const decision = this.#ask(wanted);
    if (decision.kind === 'allow') return decision;
    this.#tell(wanted, decision);
    return this.#enforced ? decision : { kind: 'allow', rule: decision.rule };
  }

  /** The same without a word: to know what to show, not because it was asked for. */
  shows(wanted: Wanted): boolean {
    return !this.#enforced || this.#ask(wanted).kind !== 'deny';
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
    if (decision.kind !== 'allow') this.#tell(wanted, decision);
  }

  /** In a dry run everybody sees all. */
  get #enforced(): boolean {
    return !this.#inForce.policy.open && this.#inForce.document.mode === 'enforce';
  }

  #ask({ kind, name, service, hints, args = noArgs }: Wanted): Decision {
    return this.#inForce.policy.decide(this.identity, {
      kind,
      name,
      service,
      hints,
      profile: this.profile,
      meta: this.#meta(service),
      args,
    });
  }

  #tell(
    { kind, name, service }: Wanted,
    { kind: decision, rule }: Exclude<Decision, { kind: 'allow' }>,
  ): void {
    this.#onRefusal?.({
      identity: this.identity,
      profile: this.profile,
      kind,
      name,
      service,
      decision,
      rule: rule?.name,
      enforced: this.#enforced,
    });
  }

  #meta(service: ServiceName): Meta {
    return commonMeta(this.whole.services.get(service));
  }

  /** A service of which nothing may be seen is not there; one of which nothing is known yet may be. */
  #routes(): ReadonlyMap<ServiceName, ServiceRoute> {
    const { catalog, services } = this.whole;
    const { policy } = this.#inForce;
    const seen = (name: ServiceName): boolean =>
      catalog.byName.has(name)
        ? this.catalog.byName.has(name)
        : policy.mayAllow(this.identity, name, this.profile);
    return new Map([...services].filter(([name]) => seen(name)));
  }
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
    if (!known) this.#known.set(identity, (known = new Map()));
    const sight = new Sight(world, identity, scope, this.#onRefusal);
    known.set(profile, { sight, world });
    return sight;
  }
}
