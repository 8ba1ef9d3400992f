import { describe, expect, it } from 'vitest';
import {
  groupByDefinition,
  leadingDefinition,
  splitTargets,
} from '../../../src/catalog/definition-groups.ts';
import type { ServerDefinition, Target, UpstreamName } from '../../../src/model.ts';
import { definition, instance, target, tool } from '../../support/model.ts';

const v1 = definition([tool('same'), tool('changed', { description: 'old' }), tool('dropped')]);
const v2 = definition([tool('same'), tool('changed', { description: 'new' }), tool('added')]);
const v3 = definition([tool('same')]);

/** Targets in order of registration. */
const fleet = (...definitions: ServerDefinition[]): Target[] =>
  definitions.map((what, at) => target(instance('s', `i${at}`, { modifyIndex: at + 1 }), what));

const lead = (targets: Target[]): ServerDefinition | undefined =>
  leadingDefinition(groupByDefinition(targets), new Map(targets.map((each) => [each, 1])));
const listed = (targets: readonly Target[]): readonly Target[] => targets;

describe('leadingDefinition', () => {
  it.each([
    ['all the same', [v1, v1, v1], v1],
    ['one of four is new: the old one stays', [v1, v1, v1, v2], v1],
    ['half are new: switch', [v1, v1, v2, v2], v2],
    ['one of two is new: switch', [v1, v2], v2],
    ['most are new', [v1, v2, v2], v2],
    ['rolled back: the old definition is the newest again', [v2, v1, v1], v1],
    ['three versions, none with half: the most widespread', [v1, v1, v3, v3, v3, v2, v2], v3],
    ['three versions, equally widespread: the oldest', [v1, v1, v2, v2, v3, v3], v1],
  ])('%s', (_, definitions, expected) => {
    expect(lead(fleet(...definitions))).toBe(expected);
  });

  it('counts votes, not instances: a canary with little traffic does not lead, one that counts nothing never does', () => {
    const targets = fleet(v1, v2);
    const groups = groupByDefinition(targets);
    const votes = (...numbers: number[]): ReadonlyMap<Target, number> =>
      new Map(numbers.map((vote, at) => [targets[at]!, vote]));
    expect(leadingDefinition(groups, votes(95, 5))).toBe(v1);
    expect(leadingDefinition(groups, votes(50, 50))).toBe(v2);
    expect(leadingDefinition(groups, votes(1))).toBe(v1);
    expect(leadingDefinition(groups, votes())).toBeUndefined();
  });

  it('has none without instances', () => {
    expect(lead([])).toBeUndefined();
  });

  it('does not depend on the order in which instances are seen', () => {
    const targets = fleet(v1, v1, v2, v3, v3);
    expect(lead(targets.toReversed())).toBe(lead(targets));
  });
});

describe('splitTargets', () => {
  const targets = fleet(v1, v1, v2, v2);
  const groups = groupByDefinition(targets);
  const ids = (found: readonly Target[] | undefined): string[] | undefined =>
    found?.map((entry) => entry.instance.serviceId).sort();

  it('during a rolling deploy of a changed schema no call meets the wrong definition', () => {
    const split = splitTargets(v2, groups, listed);
    expect(ids(split.tools.get('changed' as UpstreamName))).toEqual(['i2', 'i3']);
    expect(ids(split.tools.get('added' as UpstreamName))).toEqual(['i2', 'i3']);
    expect(split.tools.has('same' as UpstreamName)).toBe(false);
    const old = splitTargets(v1, groups, listed);
    expect(ids(old.tools.get('changed' as UpstreamName))).toEqual(['i0', 'i1']);
    expect(ids(old.tools.get('dropped' as UpstreamName))).toEqual(['i0', 'i1']);
  });

  it('lays the same instances out once, however many items they share', () => {
    const split = splitTargets(v2, groups, listed);
    expect(split.tools.get('added' as UpstreamName)).toBe(split.tools.get('changed' as UpstreamName));
  });

  it('is empty while all instances agree', () => {
    expect(splitTargets(v1, groupByDefinition(fleet(v1, v1)), listed).tools.size).toBe(0);
  });
});
