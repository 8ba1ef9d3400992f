import type {
  Catalog,
  CatalogItem,
  CatalogResource,
  CatalogService,
  Identity,
  ItemKind,
  Tool,
} from '../../model.ts';
import { partOfCatalog, partOfService } from './catalog-part.ts';
import type { ObjectTest, Target } from './objects.ts';
import { conditionIdentity, outcomeMatches, type CompiledRule } from './rule-set.ts';

export type Meta = Readonly<Record<string, string>>;

/** Of each map below; then it starts anew. Services, tools and prompts are as many as the catalog has, URIs are not. */
const MAX_KEPT = 20_000;

interface ServiceRule {
  readonly rule: CompiledRule;
  /** The alternatives of its `what` that are about this service. */
  readonly objects: readonly ObjectTest[];
}

interface KnownPart {
  readonly meta: Meta;
  readonly part: CatalogService | undefined;
}

/**
 * All identities for which the same rules can matter. They see the same and differ only in what their conditions
 * say, so most of a decision is made once for all of them.
 */
export class IdentityClass {
  readonly #rules: readonly CompiledRule[];
  /** One of them; all are alike to conditions that decide what is seen. */
  readonly #identity: Identity;
  readonly #byService = new Map<string, readonly ServiceRule[]>();
  readonly #chains = new Map<string, readonly CompiledRule[]>();
  readonly #views = new WeakMap<Catalog, Map<string | undefined, Catalog>>();
  /** By profile. */
  readonly #parts = new Map<string | undefined, WeakMap<CatalogService, KnownPart>>();
  readonly #metaMatters: boolean;

  constructor(rules: readonly CompiledRule[], identity: Identity) {
    this.#rules = rules;
    this.#identity = identity;
    this.#metaMatters = rules.some(({ condition }) => condition?.uses.meta === true && !condition.uses.args);
  }

  static key(rules: readonly CompiledRule[], identity: Identity): string {
    const indices = rules.map(({ index }) => index).join();
    // What such a condition says of a service decides what is seen, and it may say else of each identity.
    const personal = rules.some(({ condition }) => condition?.uses.identity && !condition.uses.args);
    return personal ? `${indices} ${JSON.stringify(conditionIdentity(identity))}` : indices;
  }

  /**
   * The rules that decide about a target, in order: those with a condition up to the first without one.
   */
  chain(target: Target): readonly CompiledRule[] {
    if (target.kind !== 'tools' && target.kind !== 'prompts') return this.#makeChain(target);
    const key = chainKey(target);
    let chain = this.#chains.get(key);
    if (chain) return chain;
    chain = this.#makeChain(target);
    if (this.#chains.size >= MAX_KEPT) this.#chains.clear();
    this.#chains.set(key, chain);
    return chain;
  }

  #makeChain(target: Target): readonly CompiledRule[] {
    const chain: CompiledRule[] = [];
    for (const { rule, objects } of this.#rulesOf(target.service)) {
      if (!objects.some((object) => object.profile(target.profile) && object.rest(target))) continue;
      chain.push(rule);
      if (!rule.condition) break;
    }
    return chain;
  }

  /** Whether a target is seen in lists: whatever its arguments may be, there are some that are allowed. */
  sees(target: Target, meta: Meta): boolean {
    for (const { condition, effect } of this.chain(target)) {
      if (condition?.uses.args) {
        if (effect === 'allow') return true;
        continue;
      }
      const matches =
        !condition ||
        outcomeMatches(
          condition.evaluate({ identity: conditionIdentity(this.#identity), args: {}, meta }),
          effect,
        );
      if (matches) return effect === 'allow';
    }
    return false;
  }

  view(catalog: Catalog, meta: (service: string) => Meta, profile: string | undefined): Catalog {
    const known = this.#views.get(catalog) ?? new Map<string | undefined, Catalog>();
    this.#views.set(catalog, known);
    let view = this.#metaMatters ? undefined : known.get(profile);
    if (!view) {
      view = partOfCatalog(catalog, (service) => this.part(service, meta(service.name), profile));
      known.set(profile, view);
    }
    return view;
  }

  /** Undefined where nothing of a service is seen, and nothing of it could be used unseen. */
  part(service: CatalogService, meta: Meta, profile: string | undefined): CatalogService | undefined {
    let known = this.#parts.get(profile);
    if (!known) this.#parts.set(profile, (known = new WeakMap()));
    const found = known.get(service);
    if (found && (!this.#metaMatters || found.meta === meta)) return found.part;
    const part = this.#makePart(service, meta, profile);
    known.set(service, { meta, part });
    return part;
  }

  #makePart(service: CatalogService, meta: Meta, profile: string | undefined): CatalogService | undefined {
    const part = partOfService(service, (kind, entry) => this.sees(targetOf(kind, entry, profile), meta));
    const { tools, prompts, resources, resourceTemplates } = part;
    const empty = tools.length + prompts.length + resources.length + resourceTemplates.length === 0;
    if (!empty) return part;
    // It lists nothing that may be seen, and could still have resources that answers of it link to.
    const unlisted = part === service || service.definition.capabilities.includes('"resources"');
    return unlisted && this.mayAllow(service.name, profile) ? part : undefined;
  }

  /** There may be something of a service that is allowed; without looking at what it has. */
  mayAllow(service: string, profile: string | undefined): boolean {
    return firstAllows(
      this.#rulesOf(service),
      (object) => object.profile(profile),
      (object) => object.anything,
    );
  }

  /** There may be something that is allowed through a profile; without looking at what is in it. */
  mayUse(profile: string): boolean {
    return firstAllows(
      this.#rules.map((rule) => ({ rule, objects: rule.objects })),
      (object) => object.profile(profile),
      (object) => object.anything && object.anyService,
    );
  }

  #rulesOf(service: string): readonly ServiceRule[] {
    let rules = this.#byService.get(service);
    if (rules) return rules;
    rules = this.#rules
      .map((rule) => ({ rule, objects: rule.objects.filter((object) => object.service(service)) }))
      .filter(({ objects }) => objects.length > 0);
    if (this.#byService.size >= MAX_KEPT) this.#byService.clear();
    this.#byService.set(service, rules);
    return rules;
  }
}

/** Whether some rule allows before one denies everything. */
function firstAllows(
  rules: readonly ServiceRule[],
  about: (object: ObjectTest) => boolean,
  everything: (object: ObjectTest) => boolean,
): boolean {
  for (const { rule, objects } of rules) {
    const fitting = objects.filter(about);
    if (fitting.length === 0) continue;
    if (rule.effect === 'allow') return true;
    if (!rule.condition && fitting.some(everything)) return false;
  }
  return false;
}

/** A catalog entry as something that is wanted. */
export function targetOf(
  kind: ItemKind,
  entry: CatalogItem | CatalogItem<Tool> | CatalogResource,
  profile?: string,
): Target {
  return {
    kind,
    name: 'canonical' in entry ? entry.canonical : entry.uri,
    service: entry.service,
    hints: 'hints' in entry.item ? entry.item.hints : undefined,
    profile,
  };
}

function chainKey({ kind, name, service, hints, profile }: Target): string {
  const flags = hints
    ? (hints.readOnly ? 1 : 0) +
      (hints.destructive ? 2 : 0) +
      (hints.idempotent ? 4 : 0) +
      (hints.openWorld ? 8 : 0)
    : 16;
  return `${kind} ${flags} ${service}\n${profile ?? ''}\n${name}`;
}
