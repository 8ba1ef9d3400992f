import type { Identity } from '../../model.ts';
import type { Access, Decision, Policy } from './policy.ts';
import { conditionIdentity, outcomeMatches, type CompiledRule } from './rule-set.ts';

export interface Step {
  readonly rule: string;
  readonly effect: 'allow' | 'deny';
  readonly outcome: string;
}

export interface Explanation {
  readonly decision: Decision;
  /** Every rule up to the one that decided. */
  readonly steps: readonly Step[];
}

/** The decision, and what each rule before it had to say. Slow: for people. */
export function explain(policy: Policy, identity: Identity, access: Access): Explanation {
  const decision = policy.decide(identity, access);
  const last = decision.rule?.index ?? Number.POSITIVE_INFINITY;
  const steps = policy.rules.rules
    .filter(({ index }) => index <= last)
    .map((rule) => ({
      rule: rule.name,
      effect: rule.effect,
      outcome: rule.index === last ? 'decides' : passedBy(rule, policy, identity, access),
    }));
  return { decision, steps };
}

function passedBy(rule: CompiledRule, policy: Policy, identity: Identity, access: Access): string {
  if (!rule.isFor(identity)) return 'is not for this caller';
  if (identity.method !== 'token' && !policy.rules.hasScopes(identity.scopes, rule.scopes)) {
    return 'asks for scopes that a caller without a token cannot get';
  }
  const about = rule.objects.some(
    (object) => object.service(access.service) && object.profile(access.profile) && object.rest(access),
  );
  if (!about) return 'is about something else';
  const result = rule.condition?.evaluate({
    identity: conditionIdentity(identity),
    args: access.args(),
    meta: access.meta,
  });
  if (result === 'failed' && !outcomeMatches(result, rule.effect)) {
    return 'has a condition that cannot be evaluated here: something is missing or of another type';
  }
  return 'has a condition that is false';
}
