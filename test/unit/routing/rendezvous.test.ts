import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Target } from '../../../src/model.ts';
import { hashOf, indexByKey } from '../../../src/routing/rendezvous.ts';
import { urnOf } from '../../../src/routing/urn.ts';
import { definition, instance, target } from '../../support/model.ts';

const nothing = definition([]);
const one = (id: string, weight = 1): Target => target(instance('s', id), nothing, weight);
const keys = Array.from({ length: 6000 }, (_, at) => `session-${at}`);
const chosen = (targets: readonly Target[], key: string, without?: string): string | undefined => {
  const usable = (at: number): boolean => targets[at]?.instance.serviceId !== without;
  return targets[indexByKey(urnOf(targets), hashOf(key), usable)]?.instance.serviceId;
};
/** Four standard deviations of a share that is counted over all keys. */
const slack = (share: number): number => 4 * Math.sqrt((share * (1 - share)) / keys.length);

describe('indexByKey', () => {
  it('spreads keys by weight', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 8 }),
        fc.integer({ min: 0, max: 1000 }),
        (weights, salt) => {
          const targets = weights.map((weight, at) => one(`${salt}-${at}`, weight));
          const urn = urnOf(targets);
          const counts = weights.map(() => 0);
          for (const key of keys) counts[indexByKey(urn, hashOf(key), () => true)]!++;
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          for (const [at, count] of counts.entries()) {
            const share = weights[at]! / total;
            expect(Math.abs(count / keys.length - share)).toBeLessThan(slack(share) + 0.002);
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it('moves only the keys of an instance that leaves or cannot be used, and no others', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 2, maxLength: 12 }),
        fc.array(fc.string(), { maxLength: 50 }),
        (ids, some) => {
          const targets = ids.map((id, at) => one(id, 1 + (at % 3)));
          const [gone, ...rest] = targets;
          for (const key of some) {
            const before = chosen(targets, key);
            const after = chosen(rest, key);
            if (before !== gone!.instance.serviceId) expect(after).toBe(before);
            expect(chosen(targets, key, gone!.instance.serviceId)).toBe(after);
          }
        },
      ),
    );
  });

  it('moves to an instance whose weight grows, and away from none to another', () => {
    const before = ['a', 'b', 'c'].map((id) => one(id, 2));
    const after = [one('a', 3), ...before.slice(1)];
    const moved = keys.filter((key) => chosen(before, key) !== chosen(after, key));
    expect(moved.length).toBeGreaterThan(0);
    expect(new Set(moved.map((key) => chosen(after, key)))).toEqual(new Set(['a']));
  });

  it('is the same for every replica, whatever the order', () => {
    const fleet = ['a', 'b', 'c', 'd', 'e'].map((id) => one(id));
    fc.assert(
      fc.property(fc.string(), fc.shuffledSubarray(fleet, { minLength: 1 }), (key, some) => {
        expect(chosen(some, key)).toBe(chosen(some.toReversed(), key));
      }),
    );
  });

  it('has no answer where nobody is usable', () => {
    expect(indexByKey(urnOf([one('a')]), hashOf('k'), () => false)).toBe(-1);
  });
});
