import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { indexAt, urnOf } from '../../../src/routing/urn.ts';
import { definition, instance, target } from '../../support/model.ts';

const nothing = definition([]);
const fleet = (weights: readonly number[]) =>
  weights.map((weight, at) => target(instance('s', `i${at}`), nothing, weight));

describe('urnOf', () => {
  it('gives every target exactly its part by weight, of one to many and from 1 to 65535', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 50 }),
        (weights) => {
          const urn = urnOf(fleet(weights));
          const parts = weights.map(() => 0);
          for (const [column, chance] of urn.chance.entries()) {
            parts[column]! += chance / weights.length;
            parts[urn.other[column]!]! += (1 - chance) / weights.length;
          }
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          for (const [at, part] of parts.entries()) expect(part).toBeCloseTo(weights[at]! / total, 9);
        },
      ),
    );
  });

  it('draws every point of [0, 1) and no other target than its own', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 10 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (weights, point) => {
          const at = indexAt(urnOf(fleet(weights)), point);
          expect(at).toBeGreaterThanOrEqual(0);
          expect(at).toBeLessThan(weights.length);
        },
      ),
    );
  });
});
