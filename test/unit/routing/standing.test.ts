import { describe, expect, it } from 'vitest';
import type { Instance } from '../../../src/model.ts';
import { HealthBook } from '../../../src/routing/health-book.ts';
import { standings, type Standing } from '../../../src/routing/standing.ts';
import { versionProblems } from '../../../src/routing/version-problems.ts';
import { definition, instance, route, table, target, type RouteOptions } from '../../support/model.ts';

const nothing = definition([]);
const rules = { after: 3, baseMs: 10_000, maxMs: 300_000, slowStartMs: 30_000 };
const one = (id: string, more: Partial<Instance> = {}): Instance => instance('s', id, more);

/** What an operator reads of each instance, after `happens`. */
function read(
  calls: readonly Instance[],
  options: RouteOptions,
  happens: (book: HealthBook, clock: { now: number }) => void = () => undefined,
): Record<string, Standing> {
  const clock = { now: 0 };
  const book = new HealthBook(() => clock.now, rules);
  const laid = route(
    's',
    calls.map((each) => target(each, nothing)),
    options,
  );
  book.follow(table(laid));
  happens(book, clock);
  return Object.fromEntries(
    Array.from(standings(laid, book), ([id, standing]) => [laid.instances.get(id)!.serviceId, standing]),
  );
}

describe('standings', () => {
  const [a, b, c] = [one('a'), one('b'), one('c')];
  const fail = (book: HealthBook, of: Instance): void => {
    for (let n = 0; n < 3; n++) book.begin(of.id)('timed-out');
  };

  it('says of each instance what it gets, what it does, and how it fared', () => {
    const found = read([a, b], {}, (book, clock) => {
      book.begin(a.id);
      const done = book.begin(b.id);
      clock.now = 80;
      done('answered', 0);
      book.begin(b.id)('failed');
      clock.now = 100;
    });
    expect(found).toEqual({
      a: { state: 'in', why: 'It takes calls.', share: 0.5, inFlight: 1, failures: 0 },
      b: {
        state: 'in',
        why: 'It takes calls.',
        share: 0.5,
        inFlight: 0,
        latencyMs: 80,
        failures: 1,
        lastFailure: { kind: 'failed', agoMs: 20 },
      },
    });
  });

  it('says since when, until when and why one is ejected', () => {
    const { a: ejected, b: other } = read([a, b], {}, (book, clock) => {
      fail(book, a);
      clock.now = 4000;
    });
    expect(ejected).toMatchObject({ state: 'ejected', forMs: 4000, endsInMs: 6000, share: 0, failures: 3 });
    expect(ejected?.why).toContain('gave no sign for longer than mcp-timeout-ms');
    expect(other).toMatchObject({ state: 'in', share: 1 });
  });

  it('says that one fails and is used all the same', () => {
    const found = read([a, b, c], {}, (book) => {
      fail(book, a);
      fail(book, b);
    });
    expect(found['a']).toMatchObject({ state: 'spared', share: 0.3333 });
    expect(found['a']?.why).toContain('Most of the service fail');
  });

  it('says how far a slow start is', () => {
    const found = read([a, b], { settings: { balance: 'p2c' } }, (book, clock) => {
      fail(book, a);
      clock.now = 10_000;
      book.refresh();
      clock.now = 25_000;
    });
    expect(found['a']).toMatchObject({ state: 'slow-start', forMs: 15_000, endsInMs: 15_000, share: 0.3333 });
    expect(found['a']?.why).toContain('50 %');
  });

  it('says that one waits behind another datacenter', () => {
    const away = one('away', { datacenter: 'dc2' });
    const found = read([a, away], { layout: { datacenters: ['dc1', 'dc2'] } });
    expect(found['away']).toMatchObject({ state: 'in', share: 0 });
    expect(found['away']?.why).toContain('another datacenter or version comes first');
  });

  it.each([
    [{ state: 'critical' }, 'Consul says critical.'],
    [{ state: 'maintenance' }, 'Consul says maintenance.'],
    [{ state: 'warning', weights: { passing: 1, warning: 0 } }, 'its weight is then 0'],
    [{ version: '2' }, 'Its version (2) has the weight 0.'],
    [{}, 'It has not yet said what it can do.'],
  ] as const)('%j takes no calls: %s', (more, why) => {
    const out = one('out', more);
    const versions = new Map([
      ['2', 0],
      ['*', 1],
    ]);
    const found = read([a], { others: [out], versions });
    expect(found['out']).toMatchObject({ state: 'out', share: 0 });
    expect(found['out']?.why).toContain(why);
  });
});

describe('versionProblems', () => {
  const problems = (calls: readonly Instance[], versions?: ReadonlyMap<string, number>): string[] =>
    versionProblems(
      route(
        's',
        calls.map((each) => target(each, nothing)),
        versions ? { versions } : {},
      ),
    ).map(({ code, message }) => `${code} ${message}`);

  it('names versions that nobody has, and says when nobody else is left', () => {
    const old = one('old', { version: '1' });
    expect(problems([old])).toEqual([]);
    expect(problems([old], new Map([['1', 1]]))).toEqual([]);
    expect(
      problems(
        [old],
        new Map([
          ['1', 1],
          ['2', 1],
          ['*', 0],
        ]),
      ),
    ).toEqual([expect.stringContaining('VERSION_MISSING No instance has mcp-version 2,')]);
    expect(problems([old], new Map([['2', 1]]))).toEqual([
      expect.stringContaining('VERSION_MISSING'),
      expect.stringContaining('VERSION_UNNAMED'),
    ]);
  });
});
