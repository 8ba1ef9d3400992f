import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Balance, Instance, Layout, ServiceRoute, Target, UpstreamName } from '../../../src/model.ts';
import { HealthBook, type HealthRules } from '../../../src/routing/health-book.ts';
import { pick, type Wish } from '../../../src/routing/pick.ts';
import { sharesOf } from '../../../src/routing/standing.ts';
import {
  definition,
  instance,
  route,
  service,
  table,
  target,
  type RouteOptions,
} from '../../support/model.ts';
import { seeded } from '../../support/random.ts';

const nothing = definition([]);
const rules: HealthRules = { after: 3, baseMs: 10_000, maxMs: 300_000, slowStartMs: 30_000 };
const one = (id: string, weight = 1, more: Partial<Instance> = {}): Target =>
  target(instance('s', id, more), nothing, weight);
const item = { kind: 'tools', key: 't' as UpstreamName } as const;

/** One service, its health book, and a clock that stands. */
class Scene {
  now = 0;
  readonly book = new HealthBook(() => this.now, rules);
  readonly random = seeded(7);
  route!: ServiceRoute;

  constructor(targets: readonly Target[], options: RouteOptions = {}) {
    this.become(targets, options);
  }

  become(targets: readonly Target[], options: RouteOptions = {}): void {
    this.route = route('s', targets, options);
    this.book.follow(table(this.route));
  }

  pick(wish: Partial<Wish> = {}) {
    return pick(table(this.route), { service: service('s'), ...wish }, this.book, this.random);
  }

  /** Whom a call gets that is over at once. */
  chosen(wish: Partial<Wish> = {}): string {
    const picked = this.pick(wish);
    if (picked.kind !== 'picked') return picked.kind;
    picked.done('abandoned');
    return picked.target.instance.serviceId;
  }

  shares(draws: number, wish: (n: number) => Partial<Wish> = () => ({})): Record<string, number> {
    const counts: Record<string, number> = {};
    for (let n = 0; n < draws; n++) {
      const id = this.chosen(wish(n));
      counts[id] = (counts[id] ?? 0) + 1 / draws;
    }
    return counts;
  }

  fail(of: Target, times = 3): void {
    for (let n = 0; n < times; n++) this.book.begin(of.instance.id)('failed');
  }

  /** Leaves so many calls in flight. */
  load(of: Target, calls: number): void {
    for (let n = 0; n < calls; n++) this.book.begin(of.instance.id);
  }

  answer(of: Target, ms: number): void {
    const done = this.book.begin(of.instance.id);
    const sentAt = this.now;
    this.now += ms;
    done('answered', sentAt);
  }
}

const balances: readonly Balance[] = ['p2c', 'weighted', 'rendezvous'];
/** A session each, so that `rendezvous` has keys to spread. */
const sessions = (n: number): Partial<Wish> => ({ affinity: `session-${n}` });

describe('share of the traffic', () => {
  const anyTarget = fc.record({
    weight: fc.integer({ min: 1, max: 10 }),
    version: fc.constantFrom(undefined, '1', '2', '3'),
    datacenter: fc.constantFrom('dc1', 'dc2'),
    failing: fc.boolean(),
  });
  const anyVersions = fc.option(
    fc.dictionary(fc.constantFrom('1', '2', '*'), fc.integer({ min: 1, max: 9 }), { minKeys: 1 }),
    { nil: undefined },
  );

  it.each(balances)(
    '%s: is within bounds of weights, versions, datacenters and ejections, whatever they are',
    (balance) => {
      fc.assert(
        fc.property(fc.array(anyTarget, { minLength: 1, maxLength: 8 }), anyVersions, (fleet, versions) => {
          const targets = fleet.map(({ weight, version, datacenter }, at) =>
            one(`i${at}`, weight, { datacenter, ...(version !== undefined && { version }) }),
          );
          const scene = new Scene(targets, {
            settings: { balance },
            layout: { datacenters: ['dc1', 'dc2'] },
            ...(versions && { versions: new Map(Object.entries(versions)) }),
          });
          for (const [at, { failing }] of fleet.entries()) if (failing) scene.fail(targets[at]!);
          const expected = sharesOf(scene.route, scene.book, scene.now);
          // More than half failing: p2c prefers those that do not, which no share says.
          fc.pre(balance !== 'p2c' || !scene.book.fleet(service('s'))!.sparing);
          const draws = 2000;
          const measured = scene.shares(draws, sessions);
          expect(Object.values(measured).reduce((sum, share) => sum + share, 0)).toBeCloseTo(1);
          for (const { instance } of targets) {
            const share = expected.get(instance.id) ?? 0;
            const found = measured[instance.serviceId] ?? 0;
            if (share === 0) expect(found).toBe(0);
            expect(Math.abs(found - share)).toBeLessThan(
              4.5 * Math.sqrt((share * (1 - share)) / draws) + 0.01,
            );
          }
        }),
        { numRuns: 60 },
      );
    },
  );

  it('p2c: calls that stay in flight are spread by weight, too', () => {
    const [a, b] = [one('a', 3), one('b', 1)];
    const scene = new Scene([a, b], { settings: { balance: 'p2c' } });
    for (let n = 0; n < 400; n++) scene.pick();
    expect(scene.book.inFlight(a.instance.id) / 400).toBeCloseTo(0.75, 1);
  });

  it('grows in a line for a new instance, with every policy but rendezvous', () => {
    for (const balance of balances) {
      const [old, fresh] = [one('old'), one('fresh')];
      const scene = new Scene([old], { settings: { balance } });
      scene.now = 1000;
      scene.become([old, fresh], { settings: { balance } });
      const part = (ms: number): number => {
        scene.now = 1000 + ms;
        return scene.shares(3000, sessions)['fresh'] ?? 0;
      };
      if (balance === 'rendezvous') {
        expect(part(0)).toBeCloseTo(0.5, 1);
        continue;
      }
      expect(part(0)).toBeCloseTo(0.1 / 1.1, 1);
      expect(part(15_000)).toBeCloseTo(0.5 / 1.5, 1);
      expect(part(30_000)).toBeCloseTo(0.5, 1);
    }
  });

  it('a new instance is not drowned while the old ones are busy', () => {
    const [old, fresh] = [one('old'), one('fresh')];
    const scene = new Scene([old], { settings: { balance: 'p2c' } });
    scene.now = 1000;
    scene.become([old, fresh], { settings: { balance: 'p2c' } });
    for (let n = 0; n < 220; n++) scene.pick();
    expect(scene.book.inFlight(fresh.instance.id)).toBeGreaterThan(10);
    expect(scene.book.inFlight(fresh.instance.id)).toBeLessThan(35);
  });
});

describe('p2c', () => {
  const three = ['a', 'b', 'c'].map((id) => one(id));
  const p2c = { settings: { balance: 'p2c' } } as const;

  it('sends none to a busy one while another is idle', () => {
    const scene = new Scene(three, p2c);
    scene.load(three[0]!, 20);
    const shares = scene.shares(300);
    expect(shares['a'] ?? 0).toBe(0);
    expect(shares['b']).toBeGreaterThan(0.2);
    expect(shares['c']).toBeGreaterThan(0.2);
  });

  it('prefers the faster of two, and tries the slow one again after a while', () => {
    const [fast, slow] = [one('fast'), one('slow')];
    const scene = new Scene([fast, slow], p2c);
    scene.answer(fast, 10);
    scene.answer(slow, 2000);
    expect(scene.shares(100)['fast']).toBeCloseTo(1);
    scene.now += 120_000;
    expect(scene.shares(300)['slow']).toBeGreaterThan(0.3);
  });

  it('takes one that nobody has measured to be as fast as the other', () => {
    const [known, unknown] = [one('known'), one('unknown')];
    const scene = new Scene([known, unknown], p2c);
    scene.answer(known, 300);
    expect(scene.shares(2000)['unknown']).toBeCloseTo(0.5, 1);
  });

  it('of a service that mostly fails it prefers who does not', () => {
    const scene = new Scene(three, p2c);
    scene.fail(three[0]!);
    scene.fail(three[1]!);
    const shares = scene.shares(600);
    expect(shares['c']).toBeGreaterThan(0.6);
    expect((shares['a'] ?? 0) + (shares['b'] ?? 0)).toBeGreaterThan(0.2);
  });
});

describe('weighted', () => {
  it('does not look at load', () => {
    const [a, b] = [one('a', 3), one('b', 1)];
    const scene = new Scene([a, b], { settings: { balance: 'weighted' } });
    scene.load(a, 100);
    scene.answer(a, 5000);
    expect(scene.shares(2000)['a']).toBeCloseTo(0.75, 1);
  });
});

describe('rendezvous', () => {
  const fleet = ['a', 'b', 'c'].map((id) => one(id));
  const rendezvous = { settings: { balance: 'rendezvous' } } as const;

  it('one session meets one instance, at every replica and under every load', () => {
    const [here, there] = [new Scene(fleet, rendezvous), new Scene(fleet.toReversed(), rendezvous)];
    here.load(fleet[0]!, 50);
    there.now = 1e6;
    for (let n = 0; n < 200; n++) expect(here.chosen(sessions(n))).toBe(there.chosen(sessions(n)));
  });

  it('an ejection moves only the sessions of the ejected', () => {
    const scene = new Scene(fleet, rendezvous);
    const before = Array.from({ length: 300 }, (_, n) => scene.chosen(sessions(n)));
    scene.fail(fleet[0]!);
    for (const [n, id] of before.entries()) {
      if (id === 'a') expect(scene.chosen(sessions(n))).not.toBe('a');
      else expect(scene.chosen(sessions(n))).toBe(id);
    }
  });

  it('a caller without a session is balanced by load', () => {
    const scene = new Scene(fleet, rendezvous);
    scene.load(fleet[0]!, 50);
    expect(scene.shares(300)['a'] ?? 0).toBe(0);
  });
});

describe('datacenters', () => {
  const home = [one('h1'), one('h2')];
  const away = one('away', 1, { id: 'dc2/node/away' as never, datacenter: 'dc2' });
  const layout: Layout = { datacenters: ['dc1', 'dc2'] };

  it.each(balances)('%s: the next one only when the former has nobody for this call', (balance) => {
    const scene = new Scene([...home, away], { layout, settings: { balance } });
    expect(scene.shares(300, sessions)['away']).toBeUndefined();
    const except = new Set(home.map((entry) => entry.instance.id));
    expect(scene.chosen({ ...sessions(1), except })).toBe('away');
    scene.become([away], { layout, settings: { balance } });
    expect(scene.chosen(sessions(1))).toBe('away');
  });

  it('an ejected instance at home gives way to one abroad', () => {
    const scene = new Scene([home[0]!, away], { layout });
    scene.fail(home[0]!);
    expect(scene.chosen(sessions(1))).toBe('away');
    scene.book.looked(home[0]!.instance, 'learned', 0);
    expect(scene.chosen(sessions(1))).toBe('h1');
  });
});

describe('the router’s own node', () => {
  const layout: Layout = { datacenters: [], home: { datacenter: 'dc1', node: 'n1' } };
  const local = one('local', 1, { node: 'n1' });
  const others = ['b', 'c', 'd'].map((id) => one(id, 1, { node: 'n2' }));
  const p2c: RouteOptions = { layout, settings: { balance: 'p2c' } };

  it('is preferred while its instance is idle', () => {
    expect(new Scene([local, ...others], p2c).shares(200)['local']).toBeCloseTo(1);
  });

  it('is not overloaded: in flight it gets at most about twice what the others get', () => {
    const scene = new Scene([local, ...others], p2c);
    for (let n = 0; n < 300; n++) scene.pick();
    const here = scene.book.inFlight(local.instance.id);
    const there = (300 - here) / others.length;
    expect(here).toBeGreaterThan(1.3 * there);
    expect(here).toBeLessThan(2.7 * there);
  });

  it('is left when its instance is slow, ejected or was tried', () => {
    const scene = new Scene([local, ...others], p2c);
    expect(scene.chosen({ except: new Set([local.instance.id]) })).not.toBe('local');
    scene.answer(local, 3000);
    for (const other of others) scene.answer(other, 10);
    expect(scene.shares(100)['local'] ?? 0).toBeLessThan(0.05);
    const failing = new Scene([local, ...others], p2c);
    failing.fail(local);
    expect(failing.shares(100)['local']).toBeUndefined();
  });

  it('does not hurry a new instance', () => {
    const scene = new Scene(others, p2c);
    scene.now = 1000;
    scene.become([local, ...others], p2c);
    expect(scene.shares(500)['local']).toBeLessThan(0.25);
  });

  it.each(['weighted', 'rendezvous'] as const)('does not count for %s', (balance) => {
    const scene = new Scene([local, ...others], { layout, settings: { balance } });
    expect(scene.shares(1000, sessions)['local']).toBeCloseTo(0.25, 1);
  });
});

describe('versions', () => {
  const versions = new Map([
    ['1', 90],
    ['2', 10],
  ]);
  const fleet = [one('a', 1, { version: '1' }), one('b', 1, { version: '2' }), one('c', 1, { version: '2' })];

  it.each(balances)('%s: a session meets one version, as long as somebody serves it', (balance) => {
    const scene = new Scene(fleet, { versions, settings: { balance } });
    for (let n = 0; n < 40; n++) {
      const met = Array.from({ length: 10 }, () => (scene.chosen(sessions(n)) === 'a' ? '1' : '2'));
      expect(new Set(met).size).toBe(1);
    }
  });

  it('their shares do not change with the number of instances or with an ejection', () => {
    const scene = new Scene(fleet, { versions, settings: { balance: 'p2c' } });
    expect(scene.shares(3000)['a']).toBeCloseTo(0.9, 1);
    scene.fail(fleet[2]!);
    const shares = scene.shares(3000);
    expect(shares['a']).toBeCloseTo(0.9, 1);
    expect(shares['b']).toBeCloseTo(0.1, 1);
  });

  it('when the weights change, a session moves only from the version that shrinks', () => {
    const before = new Scene(fleet, { versions });
    const after = new Scene(fleet, {
      versions: new Map([
        ['1', 50],
        ['2', 50],
      ]),
    });
    const moved = Array.from({ length: 500 }, (_, n) => [
      before.chosen(sessions(n)),
      after.chosen(sessions(n)),
    ]).filter(([old, now]) => old !== now);
    expect(moved.length).toBeGreaterThan(100);
    expect(new Set(moved.map(([old]) => old))).toEqual(new Set(['a']));
  });

  it('a version that nobody serves leaves its share to the others; one without a weight comes last', () => {
    const scene = new Scene([fleet[1]!, one('x', 1, { version: '3' })], { versions });
    expect(scene.shares(50)).toEqual({ b: expect.closeTo(1) as number });
    scene.become([one('x', 1, { version: '3' })], { versions });
    expect(scene.chosen()).toBe('x');
  });
});

describe('what a call asks for', () => {
  const a = one('a');
  const b = one('b');

  it('tells "no such service" from "nobody is healthy"', () => {
    const scene = new Scene([a]);
    expect(scene.chosen({ service: service('other') })).toBe('unknown-service');
    expect(scene.chosen({ except: new Set([a.instance.id]) })).toBe('no-healthy');
    expect(new Scene([]).chosen()).toBe('no-healthy');
  });

  it('a pin is kept while it can serve, also at another version, and left when it cannot', () => {
    const wish = { pinned: b.instance.id, affinity: 'x' };
    expect(new Scene([a, b]).chosen(wish)).toBe('b');
    expect(new Scene([a]).chosen(wish)).toBe('a');
    expect(new Scene([a, b]).chosen({ ...wish, except: new Set([b.instance.id]) })).toBe('a');
    expect(new Scene([a, b], { having: [a] }).chosen({ ...wish, item })).toBe('a');
    const ejected = new Scene([a, b]);
    ejected.fail(b);
    expect(ejected.chosen(wish)).toBe('a');
  });

  it('an instance with another definition of the tool is never asked, whoever else is left', () => {
    const scene = new Scene([a, b], { having: [b] });
    for (let n = 0; n < 50; n++) expect(scene.chosen({ item, ...sessions(n) })).toBe('b');
    scene.fail(b);
    for (let n = 0; n < 50; n++) expect(scene.chosen({ item, ...sessions(n) })).toBe('b');
    expect(scene.chosen({ item, except: new Set([b.instance.id]) })).toBe('no-healthy');
  });

  it('`only` asks for that one, ejected or not', () => {
    const scene = new Scene([a, b]);
    scene.fail(a);
    expect(scene.chosen({ only: a.instance.id })).toBe('a');
    expect(scene.chosen({ only: a.instance.id, except: new Set([a.instance.id]) })).toBe('no-healthy');
    expect(scene.chosen({ only: 'gone' as never })).toBe('no-healthy');
  });

  it('an ejected instance is asked where all others were tried', () => {
    const scene = new Scene([a, b]);
    scene.fail(a);
    expect(scene.chosen()).toBe('b');
    expect(scene.chosen({ except: new Set([b.instance.id]) })).toBe('a');
  });

  it('an instance at its limit gives way to one that is not; where all are, the call waits', () => {
    for (const balance of ['p2c', 'weighted'] as const) {
      const scene = new Scene([a, b], { settings: { balance, maxConcurrency: 2 } });
      scene.load(a, 2);
      expect(scene.shares(100)).toEqual({ b: expect.closeTo(1) as number });
      scene.load(b, 2);
      expect(scene.chosen()).toBe('full');
    }
  });

  it('counts the call in flight until it is done', () => {
    const scene = new Scene([a]);
    const picked = scene.pick();
    expect(scene.book.inFlight(a.instance.id)).toBe(1);
    if (picked.kind === 'picked') picked.done('answered');
    expect(scene.book.inFlight(a.instance.id)).toBe(0);
  });
});

describe('an instance that asked for a pause', () => {
  const [a, b] = [one('a'), one('b')];

  it.each(balances)(
    '%s: gets nothing until it is over; where all did, the call hears how long',
    (balance) => {
      const scene = new Scene([a, b], { settings: { balance } });
      scene.book.rest(a.instance.id, 5000);
      expect(scene.shares(50, sessions)).toEqual({ b: expect.closeTo(1) as number });
      scene.book.rest(b.instance.id, 2000);
      scene.now = 500;
      expect(scene.pick()).toEqual({ kind: 'resting', retryAfterMs: 1500 });
      // What this call tried already will not help it.
      expect(scene.pick({ except: new Set([b.instance.id]) })).toEqual({
        kind: 'resting',
        retryAfterMs: 4500,
      });
      scene.now = 2000;
      expect(scene.chosen()).toBe('b');
      scene.now = 5000;
      expect(Object.keys(scene.shares(100, sessions)).sort()).toEqual(['a', 'b']);
    },
  );

  it('keeps its sessions, and what nobody else has', () => {
    const scene = new Scene([a, b]);
    scene.book.rest(a.instance.id, 5000);
    for (const wish of [{ pinned: a.instance.id }, { only: a.instance.id }]) {
      expect(scene.pick(wish)).toEqual({ kind: 'resting', retryAfterMs: 5000 });
    }
    expect(scene.chosen({ pinned: a.instance.id, except: new Set([a.instance.id]) })).toBe('b');
  });

  it('is not believed for longer than an ejection may last', () => {
    const scene = new Scene([a]);
    scene.book.rest(a.instance.id, 1e9);
    expect(scene.pick()).toEqual({ kind: 'resting', retryAfterMs: 300_000 });
  });
});
