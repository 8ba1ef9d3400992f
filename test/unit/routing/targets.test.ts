import { describe, expect, it } from 'vitest';
import { targetsOf } from '../../../src/routing/targets.ts';
import type { Instance, Learned, RegisteredService } from '../../../src/model.ts';
import { definition, instance, service, settings, tool } from '../../support/model.ts';

const v1 = definition([tool('t')]);
const registered = (...instances: Instance[]): RegisteredService => ({
  name: service('s'),
  settings: settings('s'),
  instances,
  skipped: [],
  problems: [],
});
const eras = { legacy: true, modern: false };
const knows =
  (learned: Learned = { kind: 'learned', definition: v1, sessionless: false, eras }) =>
  (): Learned =>
    learned;

describe('targetsOf', () => {
  it.each([
    ['passing', 7],
    ['warning', 3],
    ['critical', undefined],
    ['maintenance', undefined],
  ] as const)('an instance that is %s has weight %s', (state, weight) => {
    const one = instance('s', 'a', { state, weights: { passing: 7, warning: 3 } });
    expect(targetsOf(registered(one), knows())[0]?.weight).toBe(weight);
  });

  it('a warning instance with weight 0 gets nothing', () => {
    const one = instance('s', 'a', { state: 'warning', weights: { passing: 1, warning: 0 } });
    expect(targetsOf(registered(one), knows())).toEqual([]);
  });

  it('a version with weight 0 gets nothing, also where it is the last one left', () => {
    const fleet = registered(
      instance('s', 'old', { version: '1.4' }),
      instance('s', 'new', { version: '1.5' }),
      instance('s', 'none'),
    );
    const ids = (weights: Record<string, number>): string[] =>
      targetsOf(fleet, knows(), [], new Map(Object.entries(weights))).map(
        (entry) => entry.instance.serviceId,
      );
    expect(ids({ '1.4': 1, '1.5': 0 })).toEqual(['old', 'none']);
    expect(ids({ '1.4': 1, '*': 0 })).toEqual(['old']);
    expect(ids({ '1.4': 0, '1.5': 0, '2': 1 })).toEqual(['none']);
  });

  it('connected with no successful list is not healthy', () => {
    const one = registered(instance('s', 'a'));
    expect(targetsOf(one, knows({ kind: 'pending' }))).toEqual([]);
    const problem = { code: 'PROBE_FAILED', message: '' };
    expect(targetsOf(one, knows({ kind: 'failed', problem }))).toEqual([]);
    expect(targetsOf(one, knows({ kind: 'failed', problem, last: v1 }))).toHaveLength(1);
  });

  it('keeps the identity of what did not change', () => {
    const fleet = registered(instance('s', 'a'), instance('s', 'b'));
    const first = targetsOf(fleet, knows());
    expect(targetsOf(fleet, knows(), first)).toBe(first);
    const changed = registered(fleet.instances[0]!, instance('s', 'b', { state: 'critical' }));
    expect(targetsOf(changed, knows(), first)[0]).toBe(first[0]);
  });
});
