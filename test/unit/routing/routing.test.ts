import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pickByKey, pickLeastLoaded } from '../../../src/routing/balance.ts';
import { HealthBook } from '../../../src/routing/health-book.ts';
import { pick, type Wish } from '../../../src/routing/pick.ts';
import { targetsOf } from '../../../src/routing/targets.ts';
import type {
  Instance,
  InstanceId,
  Learned,
  RegisteredService,
  RoutingTable,
  Target,
  UpstreamName,
} from '../../../src/model.ts';
import { definition, instance, service, settings, target, tool } from '../../support/model.ts';

const v1 = definition([tool('t')]);
const registered = (...instances: Instance[]): RegisteredService => ({
  name: service('s'),
  settings: settings('s'),
  instances,
  skipped: [],
  problems: [],
});
const knows =
  (
    learned: Learned = {
      kind: 'learned',
      definition: v1,
      sessionless: false,
      eras: { legacy: true, modern: false },
    },
  ) =>
  (): Learned =>
    learned;

/** Seeded, so that a failure can be repeated (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const share = (draws: number, draw: () => Target | undefined): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (let i = 0; i < draws; i++) {
    const id = draw()?.instance.serviceId ?? 'none';
    counts[id] = (counts[id] ?? 0) + 1 / draws;
  }
  return counts;
};

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

describe('HealthBook', () => {
  it('counts calls in and, once, out', () => {
    const book = new HealthBook(() => 0);
    const id = 'i' as InstanceId;
    const done = book.begin(id);
    book.begin(id);
    expect(book.inFlight(id)).toBe(2);
    done('answered');
    done('answered');
    expect(book.inFlight(id)).toBe(1);
  });

  it('lets a slow answer count at once and forgets it slowly; only answers count', () => {
    let now = 0;
    const book = new HealthBook(() => now);
    const id = 'i' as InstanceId;
    const call = (
      ms: number,
      outcome: 'answered' | 'failed' | 'timed-out' | 'abandoned' = 'answered',
    ): void => {
      const done = book.begin(id);
      const sentAt = now;
      now += ms;
      done(outcome, sentAt);
    };
    call(10);
    expect(book.latencyMs(id)).toBe(10);
    call(500);
    expect(book.latencyMs(id)).toBe(500);
    call(10);
    expect(book.latencyMs(id)).toBeGreaterThan(400);
    call(9000, 'timed-out');
    call(9000, 'abandoned');
    expect(book.latencyMs(id)).toBeLessThan(500);
    now += 60_000;
    call(10);
    expect(book.latencyMs(id)).toBeLessThan(15);
  });

  it('forgets instances that are gone, and their late calls do no harm', () => {
    const book = new HealthBook(() => 0);
    const gone = 'gone' as InstanceId;
    const done = book.begin(gone);
    book.prune(new Set<InstanceId>());
    expect(book.size).toBe(0);
    done('answered');
    expect(book.inFlight(gone)).toBe(0);
  });
});

describe('pickLeastLoaded', () => {
  const three = ['a', 'b', 'c'].map((id) => target(instance('s', id), v1));

  it('follows the weights when all are idle', () => {
    const weighted = [target(instance('s', 'a'), v1, 3), target(instance('s', 'b'), v1, 1)];
    const book = new HealthBook(() => 0);
    const random = seeded(1);
    const open: ((outcome: 'answered') => void)[] = [];
    // Calls stay in flight, so load decides: three calls at `a` weigh as much as one at `b`.
    const shares = share(400, () => {
      const found = pickLeastLoaded(weighted, book, random);
      if (found) open.push(book.begin(found.instance.id));
      return found;
    });
    expect(shares['a']).toBeCloseTo(0.75, 1);
  });

  it('follows the weights also when one call comes after the other', () => {
    const weighted = [target(instance('s', 'a'), v1, 5), target(instance('s', 'b'), v1, 1)];
    const book = new HealthBook(() => 0);
    const random = seeded(4);
    const shares = share(2000, () => pickLeastLoaded(weighted, book, random));
    expect(shares['a']).toBeCloseTo(5 / 6, 1);
  });

  it('never sends all calls to one, and none to a busy one while another is idle', () => {
    const book = new HealthBook(() => 0);
    const random = seeded(2);
    for (let i = 0; i < 20; i++) book.begin(three[0]!.instance.id);
    const shares = share(300, () => pickLeastLoaded(three, book, random));
    expect(shares['a'] ?? 0).toBe(0);
    expect(shares['b']).toBeGreaterThan(0.2);
    expect(shares['c']).toBeGreaterThan(0.2);
  });

  it('prefers the faster of two', () => {
    let now = 0;
    const book = new HealthBook(() => now);
    for (const [at, ms] of [10, 200].entries()) {
      const done = book.begin(three[at]!.instance.id);
      const sentAt = now;
      now += ms;
      done('answered', sentAt);
    }
    const shares = share(100, () => pickLeastLoaded(three.slice(0, 2), book, seeded(3)));
    expect(shares['a']).toBeCloseTo(1);
  });

  it('has no answer for nobody', () => {
    expect(pickLeastLoaded([], new HealthBook(() => 0), Math.random)).toBeUndefined();
  });
});

describe('pickByKey', () => {
  const fleet = Array.from({ length: 5 }, (_, at) => target(instance('s', `i${at}`), v1));
  const keys = Array.from({ length: 4000 }, (_, at) => `session-${at}`);

  it('spreads keys by weight', () => {
    const weighted = [...fleet.slice(0, 4), target(instance('s', 'heavy'), v1, 4)];
    const iterator = keys.values();
    const shares = share(keys.length, () => pickByKey(weighted, iterator.next().value ?? ''));
    expect(shares['heavy']).toBeCloseTo(0.5, 1);
    expect(shares['i0']).toBeCloseTo(0.125, 1);
  });

  it('moves only the keys of an instance that leaves', () => {
    const fewer = fleet.slice(1);
    const others = keys.filter((key) => pickByKey(fleet, key) !== fleet[0]);
    expect(others.length).toBeGreaterThan(keys.length / 2);
    expect(others.filter((key) => pickByKey(fewer, key) !== pickByKey(fleet, key))).toEqual([]);
  });

  it('is the same for every replica, whatever the order', () => {
    fc.assert(
      fc.property(fc.string(), fc.shuffledSubarray(fleet, { minLength: 1 }), (key, some) => {
        expect(pickByKey(some, key)).toBe(pickByKey(some.toReversed(), key));
      }),
    );
  });
});

describe('pick', () => {
  const a = target(instance('s', 'a'), v1);
  const b = target(instance('s', 'b'), v1);
  const table = (targets: Target[], split: Target[] = []): RoutingTable => ({
    version: 1,
    catalog: {
      services: [],
      byName: new Map(),
      claims: [],
      tools: new Map(),
      prompts: new Map(),
      resources: new Map(),
      problems: new Map(),
    },
    services: new Map([
      [
        service('s'),
        {
          name: service('s'),
          settings: settings('s'),
          instances: new Map(),
          targets,
          definition: v1,
          split: {
            tools: split.length > 0 ? new Map([['t' as UpstreamName, split]]) : new Map(),
            prompts: new Map(),
            resources: new Map(),
            resourceTemplates: new Map(),
          },
        },
      ],
    ]),
  });
  const book = new HealthBook(() => 0);
  const chosen = (of: RoutingTable, wish: Partial<Wish>): string => {
    const result = pick(of, { service: service('s'), ...wish }, book, Math.random);
    if (result.kind !== 'picked') return result.kind;
    result.done('abandoned');
    return result.target.instance.serviceId;
  };

  it('tells "no such service" from "nobody is healthy"', () => {
    expect(chosen(table([a]), { service: service('other') })).toBe('unknown-service');
    expect(chosen(table([]), {})).toBe('no-healthy');
    expect(chosen(table([a]), { except: new Set([a.instance.id]) })).toBe('no-healthy');
  });

  it('keeps a pin while it can serve, and leaves it when it cannot', () => {
    expect(chosen(table([a, b]), { pinned: b.instance.id, affinity: 'x' })).toBe('b');
    expect(chosen(table([a]), { pinned: b.instance.id, affinity: 'x' })).toBe('a');
    expect(chosen(table([a, b]), { pinned: b.instance.id, except: new Set([b.instance.id]) })).toBe('a');
    const item = { kind: 'tools', key: 't' as UpstreamName } as const;
    expect(chosen(table([a, b], [a]), { pinned: b.instance.id, item })).toBe('a');
  });

  it('an instance with another definition of the tool is never asked', () => {
    const item = { kind: 'tools', key: 't' as UpstreamName } as const;
    for (let i = 0; i < 50; i++) expect(chosen(table([a, b], [b]), { item })).toBe('b');
  });

  it('counts the call in flight until it is done', () => {
    const own = new HealthBook(() => 0);
    const result = pick(table([a]), { service: service('s') }, own, Math.random);
    expect(own.inFlight(a.instance.id)).toBe(1);
    if (result.kind === 'picked') result.done('answered');
    expect(own.inFlight(a.instance.id)).toBe(0);
  });
});
