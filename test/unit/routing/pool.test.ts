import { describe, expect, it } from 'vitest';
import type { Layout, Pool, Target, VersionWeights } from '../../../src/model.ts';
import { poolOf, votes } from '../../../src/routing/pool.ts';
import { definition, instance, target } from '../../support/model.ts';

const nothing = definition([]);
const one = (id: string, more: Parameters<typeof instance>[2] = {}): Target =>
  target(
    instance('s', id, { id: `${more.datacenter ?? 'dc1'}/${more.node ?? 'node'}/${id}` as never, ...more }),
    nothing,
  );
const weights = (of: Record<string, number>): VersionWeights => new Map(Object.entries(of));
const layout: Layout = { datacenters: ['dc2', 'dc1'] };
const names = (targets: readonly Target[] = []): string =>
  targets.map((entry) => entry.instance.serviceId).join();

describe('poolOf', () => {
  it('puts datacenters in failover order, those that are not in it last', () => {
    const pool = poolOf(
      [one('a'), one('b', { datacenter: 'dc2' }), one('c', { datacenter: 'dc9' }), one('d')],
      layout,
      undefined,
    );
    expect(pool.tiers.map((tier) => [tier.datacenter, names(tier.groups[0]?.all.targets)])).toEqual([
      ['dc2', 'b'],
      ['dc1', 'a,d'],
      ['dc9', 'c'],
    ]);
  });

  it('makes one group of each version with a weight, one of the others', () => {
    const fleet = [
      one('a', { version: '1.4' }),
      one('b', { version: '1.5' }),
      one('c', { version: '1.6' }),
      one('d'),
    ];
    const groups = (versions: VersionWeights): unknown[] =>
      poolOf(fleet, layout, versions).tiers[0]!.groups.map(({ version, share, all }) => [
        version,
        share,
        names(all.targets),
      ]);
    expect(groups(weights({ '1.4': 95, '1.5': 5 }))).toEqual([
      [undefined, 0, 'c,d'],
      ['1.4', 95, 'a'],
      ['1.5', 5, 'b'],
    ]);
    expect(groups(weights({ '1.5': 5, '*': 95 }))).toEqual([
      ['*', 95, 'a,c,d'],
      ['1.5', 5, 'b'],
    ]);
  });

  it('knows who is on the router’s node, where not everybody is', () => {
    const fleet = [
      one('a', { node: 'n1' }),
      one('b', { node: 'n2' }),
      one('c', { node: 'n1', datacenter: 'dc2' }),
    ];
    const near = (home: Layout['home']): string[] =>
      poolOf(fleet, { datacenters: [], ...(home && { home }) }, undefined).tiers.map((tier) =>
        names(tier.groups[0]?.near?.targets),
      );
    expect(near({ datacenter: 'dc1', node: 'n1' })).toEqual(['a', '']);
    expect(near({ datacenter: 'dc2', node: 'n1' })).toEqual(['', '']);
    expect(near({ node: 'n2' })).toEqual(['b', '']);
    expect(near(undefined)).toEqual(['', '']);
  });

  it('finds each target by its id', () => {
    const fleet = [one('a'), one('b', { datacenter: 'dc2' })];
    for (const entry of fleet)
      expect(poolOf(fleet, layout, undefined).byId.get(entry.instance.id)).toBe(entry);
  });
});

describe('votes', () => {
  const count = (pool: Pool): Record<string, number> =>
    Object.fromEntries(
      Array.from(
        votes(pool),
        ([
          {
            instance: { serviceId },
          },
          vote,
        ]) => [serviceId, vote],
      ),
    );

  it('one each, in the first datacenter alone', () => {
    const pool = poolOf(
      [one('a'), one('b'), one('c', { datacenter: 'dc2' })],
      { datacenters: ['dc1'] },
      undefined,
    );
    expect(count(pool)).toEqual({ a: 1, b: 1 });
  });

  it('by traffic where versions have weights', () => {
    const fleet = [
      one('a', { version: '1' }),
      one('b', { version: '1' }),
      one('c', { version: '2' }),
      one('d'),
    ];
    expect(count(poolOf(fleet, layout, weights({ 1: 90, 2: 10 })))).toEqual({ a: 45, b: 45, c: 10 });
    expect(count(poolOf(fleet, layout, weights({ 3: 1 })))).toEqual({ a: 1, b: 1, c: 1, d: 1 });
  });
});
