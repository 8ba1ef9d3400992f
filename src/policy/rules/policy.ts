import { LRUCache } from 'lru-cache';
import type { Catalog, CatalogService, Identity } from '../../model.ts';
import { IdentityClass, type Meta } from './identity-class.ts';
import type { Target } from './objects.ts';
import { conditionIdentity, outcomeMatches, type CompiledRule, type RuleSet } from './rule-set.ts';

/** What is wanted, with what conditions may look at. */
export interface Access extends Target {
  /** Consul meta that all instances of the service have in common. */
  readonly meta: Meta;
  /** The call's arguments; asked for only when a condition needs them. */
  readonly args: () => Readonly<Record<string, unknown>>;
}

export interface RuleRef {
  /** As written, from 0. */
  readonly index: number;
  readonly name: string;
}

export type Decision =
  /** Without a rule: there are no rules at all. */
  | { readonly kind: 'allow'; readonly rule: RuleRef | undefined }
  /**
   * Without a rule: none matched. `listed`: the identity sees the target and was refused for its arguments, so the
   * answer may say so; otherwise it must be that of something unknown.
   */
  | { readonly kind: 'deny'; readonly rule: RuleRef | undefined; readonly listed: boolean }
  /** The token is good and lacks scopes; these are all that the rule needs. */
  | { readonly kind: 'step-up'; readonly rule: RuleRef; readonly scopes: readonly string[] };

/** Identities are many, kinds of identities are few; the longest unused kind is worked out anew. */
const MAX_CLASSES = 256;

const allowAll: Decision = { kind: 'allow', rule: undefined };

/**
 * Decides by a rule set: the first rule that matches, and no when none does. A set without rules allows all.
 * Pure; what it works out is kept for as long as the rule set is.
 */
export class Policy {
  readonly rules: RuleSet;
  readonly #classes = new LRUCache<string, IdentityClass>({ max: MAX_CLASSES });
  readonly #classOf = new WeakMap<Identity, IdentityClass>();

  /** There are no rules: whoever is let in may do all. */
  readonly open: boolean;

  /** @param withoutRules what no rules mean: that all is allowed, or nothing */
  constructor(rules: RuleSet, withoutRules: 'open' | 'closed' = 'open') {
    this.rules = rules;
    this.open = withoutRules === 'open' && rules.rules.length === 0;
  }

  decide(identity: Identity, access: Access): Decision {
    if (this.open) return allowAll;
    const own = this.#class(identity);
    for (const rule of own.chain(access)) {
      if (rule.condition && !conditionMatches(rule, identity, access)) continue;
      if (rule.effect === 'deny') return this.#denied(own, access, rule);
      if (rule.scopes.length > 0 && !this.rules.hasScopes(identity.scopes, rule.scopes)) {
        return { kind: 'step-up', rule: ref(rule), scopes: rule.scopes };
      }
      return { kind: 'allow', rule: ref(rule) };
    }
    return this.#denied(own, access, undefined);
  }

  /**
   * The part of a catalog that an identity may see. What depends on arguments is seen. Equal parts are the same
   * object, for every identity and across rule sets, so that whatever is made of them can be kept with them.
   */
  view(
    identity: Identity,
    catalog: Catalog,
    meta: (service: string) => Meta,
    profile: string | undefined,
  ): Catalog {
    return this.open ? catalog : this.#class(identity).view(catalog, meta, profile);
  }

  /** The same for one service by itself. */
  part(
    identity: Identity,
    service: CatalogService,
    meta: Meta,
    profile: string | undefined,
  ): CatalogService | undefined {
    return this.open ? service : this.#class(identity).part(service, meta, profile);
  }

  /** There may be something of a service that the identity may use, whatever the service has. */
  mayAllow(identity: Identity, service: string, profile: string | undefined): boolean {
    return this.open || this.#class(identity).mayAllow(service, profile);
  }

  /** There may be something that the identity may use through a profile, whatever is in it. */
  mayUse(identity: Identity, profile: string): boolean {
    return this.open || this.#class(identity).mayUse(profile);
  }

  #denied(own: IdentityClass, access: Access, rule: CompiledRule | undefined): Decision {
    return { kind: 'deny', rule: rule && ref(rule), listed: own.sees(access, access.meta) };
  }

  #class(identity: Identity): IdentityClass {
    let own = this.#classOf.get(identity);
    if (own) return own;
    const applicable = this.rules.applicable(identity);
    const key = IdentityClass.key(applicable, identity);
    own = this.#classes.get(key) ?? new IdentityClass(applicable, identity);
    this.#classes.set(key, own);
    this.#classOf.set(identity, own);
    return own;
  }
}

function conditionMatches({ condition, effect }: CompiledRule, identity: Identity, access: Access): boolean {
  if (!condition) return true;
  const { uses } = condition;
  const result = condition.evaluate({
    identity: conditionIdentity(identity),
    args: uses.args ? access.args() : {},
    meta: access.meta,
  });
  return outcomeMatches(result, effect);
}

function ref({ index, name }: CompiledRule): RuleRef {
  return { index, name };
}
