import type { Identity } from '../../model.ts';
import type { Condition, ConditionIdentity } from './condition.ts';
import { objectTests, type ObjectTest } from './objects.ts';
import type { Rule } from './schema.ts';
import { scopeTest, type ScopeHierarchy } from './scopes.ts';
import { requiredGroups, subjectTest } from './subjects.ts';

export interface CompiledRule {
  /** As written, from 0. */
  readonly index: number;
  readonly name: string;
  readonly effect: 'allow' | 'deny';
  /** What a token must have; empty where the rule asks for none. */
  readonly scopes: readonly string[];
  readonly isFor: (identity: Identity) => boolean;
  readonly objects: readonly ObjectTest[];
  /** Decided for each call, since it looks at arguments or at the service's meta. */
  readonly condition: Condition | undefined;
}

/** Rules made ready, in their order. Deciding is in {@link Policy}. */
export interface RuleSet {
  readonly rules: readonly CompiledRule[];
  readonly hasScopes: (granted: readonly string[], wanted: readonly string[]) => boolean;
  /** The rules that can matter to an identity, in order. */
  applicable(identity: Identity): readonly CompiledRule[];
}

export function compileRules(rules: readonly Rule[], hierarchy?: ScopeHierarchy): RuleSet {
  const hasScopes = scopeTest(hierarchy);
  const compiled = rules.map(compileRule);
  const byGroup = new Map<string, number[]>();
  const forAnyGroup: number[] = [];
  for (const [index, { who }] of rules.entries()) {
    const groups = requiredGroups(who);
    if (groups === undefined) forAnyGroup.push(index);
    for (const group of groups ?? []) byGroup.set(group, [...(byGroup.get(group) ?? []), index]);
  }
  return {
    rules: compiled,
    hasScopes,
    applicable(identity) {
      const candidates = new Set(forAnyGroup);
      for (const group of identity.groups)
        for (const index of byGroup.get(group) ?? []) candidates.add(index);
      return [...candidates]
        .sort((a, b) => a - b)
        .map((index) => compiled[index])
        .filter((rule): rule is CompiledRule => rule !== undefined && applies(rule, identity, hasScopes));
    },
  };
}

function compileRule(rule: Rule, index: number): CompiledRule {
  const { when } = rule;
  const test = subjectTest(rule.who);
  const perCall = when !== undefined && (when.uses.args || when.uses.meta);
  return {
    index,
    name: rule.name,
    effect: rule.effect,
    scopes: rule.scopes ?? [],
    isFor: when === undefined || perCall ? test : (identity) => test(identity) && holds(when, rule, identity),
    objects: objectTests(rule.what),
    condition: perCall ? when : undefined,
  };
}

function holds(condition: Condition, rule: Rule, identity: Identity): boolean {
  const result = condition.evaluate({ identity: conditionIdentity(identity), args: {}, meta: {} });
  return outcomeMatches(result, rule.effect);
}

/** What can't be evaluated takes nobody's side but safety's: it allows nothing and denies. */
export function outcomeMatches(result: 'true' | 'false' | 'failed', effect: 'allow' | 'deny'): boolean {
  return result === 'true' || (result === 'failed' && effect === 'deny');
}

/**
 * A token that lacks scopes can be told to step up; a caller without a token can't, so the rule is none for it.
 */
function applies(rule: CompiledRule, identity: Identity, hasScopes: RuleSet['hasScopes']): boolean {
  if (!rule.isFor(identity)) return false;
  return identity.method === 'token' || hasScopes(identity.scopes, rule.scopes);
}

const known = new WeakMap<Identity, ConditionIdentity>();

export function conditionIdentity(identity: Identity): ConditionIdentity {
  let made = known.get(identity);
  if (!made) {
    made = {
      subject: identity.subject,
      method: identity.method,
      issuer: identity.issuer ?? '',
      client: identity.client ?? '',
      key: identity.key ?? '',
      groups: identity.groups,
      scopes: identity.scopes,
      claims: identity.claims,
    };
    known.set(identity, made);
  }
  return made;
}
