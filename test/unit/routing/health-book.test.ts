import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Instance, InstanceId } from '../../../src/model.ts';
import {
  HealthBook,
  type HealthRules,
  type HealthWatcher,
  type Outcome,
} from '../../../src/routing/health-book.ts';
import { definition, instance, route, service, table, target } from '../../support/model.ts';

const nothing = definition([]);
const rules: HealthRules = { after: 3, baseMs: 10_000, maxMs: 300_000, slowStartMs: 30_000 };

interface Watched {
  readonly book: HealthBook;
  readonly events: string[];
  now: number;
  /** Registers these; those that are not in `calls` take none. */
  follow(instances: readonly Instance[], calls?: readonly Instance[]): void;
  end(id: InstanceId, outcome: Outcome, times?: number, tookMs?: number): void;
}

function watched(of: HealthRules = rules): Watched {
  const events: string[] = [];
  const watcher: HealthWatcher = {
    failed: ({ serviceId }) => void events.push(`failed ${serviceId}`),
    ejected: ({ serviceId }, { why, forMs, spared }) =>
      void events.push(`ejected ${serviceId} ${why} ${forMs}${spared ? ' spared' : ''}`),
    returned: ({ serviceId }, by) => void events.push(`returned ${serviceId} ${by}`),
  };
  const self: Watched = {
    events,
    now: 0,
    book: new HealthBook(() => self.now, of, watcher),
    follow(instances, calls = instances) {
      const targets = calls.map((each) => target(each, nothing));
      const others = instances.filter((each) => !calls.includes(each));
      self.book.follow(table(route('s', targets, { others })));
    },
    end(id, outcome, times = 1, tookMs = 0) {
      for (let n = 0; n < times; n++) {
        const done = self.book.begin(id);
        const sentAt = self.now;
        self.now += tookMs;
        done(outcome, sentAt);
      }
    },
  };
  return self;
}

const fleet = (count: number): Instance[] =>
  Array.from({ length: count }, (_, at) => instance('s', `i${at}`));
const out = ({ book }: Watched, { id }: Instance): boolean => book.fleet(service('s'))!.isOut(book.page(id)!);
const ramp = ({ book, now }: Watched, { id }: Instance): number =>
  book.fleet(service('s'))!.ramp(book.page(id)!, rules.slowStartMs, now);

describe('calls', () => {
  it('are counted in and, once, out', () => {
    const all = watched();
    const [a] = fleet(1);
    all.follow([a!]);
    const done = all.book.begin(a!.id);
    all.book.begin(a!.id);
    expect(all.book.inFlight(a!.id)).toBe(2);
    done('answered');
    done('answered');
    expect(all.book.inFlight(a!.id)).toBe(1);
  });

  it('only answers say how fast an instance is', () => {
    const all = watched();
    const [a] = fleet(1);
    all.follow([a!]);
    all.end(a!.id, 'answered', 1, 10);
    for (const outcome of ['failed', 'timed-out', 'abandoned'] as const) all.end(a!.id, outcome, 1, 9000);
    expect(all.book.latencyMs(a!.id)).toBe(10);
  });

  it('of instances that are gone do no harm when they end', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!, b!]);
    const done = all.book.begin(a!.id);
    all.follow([b!]);
    expect(all.book.size).toBe(1);
    done('failed');
    expect(all.book.inFlight(a!.id)).toBe(0);
    all.book.follow(table());
    expect(all.book.size).toBe(0);
    expect(all.events).toEqual([]);
  });

  it('that began with an earlier process under the same id say nothing about the present one', () => {
    const all = watched();
    const [a] = fleet(1);
    all.follow([a!]);
    const running = [1, 2, 3].map(() => all.book.begin(a!.id));
    all.follow([{ ...a!, registration: 'anew' }]);
    for (const done of running) done('failed');
    expect(all.events).toEqual([]);
    expect(all.book.inFlight(a!.id)).toBe(0);
  });
});

describe('outlier ejection', () => {
  it('ejects after three failures in a row, tells, and takes back when the time is over', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!, b!]);
    all.end(a!.id, 'failed', 2);
    expect(out(all, a!)).toBe(false);
    all.end(a!.id, 'timed-out');
    expect(out(all, a!)).toBe(true);
    expect(out(all, b!)).toBe(false);
    expect(all.book.ejected()).toEqual(new Map([['s', 1]]));
    all.now = 9999;
    all.book.refresh();
    expect(out(all, a!)).toBe(true);
    all.now = 10_000;
    all.book.refresh();
    expect(out(all, a!)).toBe(false);
    expect(all.events).toEqual(['failed i0', 'ejected i0 timed-out 10000', 'returned i0 time']);
  });

  it('comes back gradually, as a new one does', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!, b!]);
    all.end(a!.id, 'failed', 3);
    all.now = 10_000;
    all.book.refresh();
    expect(ramp(all, a!)).toBeCloseTo(0.1);
    all.now += 15_000;
    expect(ramp(all, a!)).toBeCloseTo(0.5);
    all.now += 15_000;
    expect(ramp(all, a!)).toBe(1);
  });

  it('results with isError, JSON-RPC errors and callers who went away are no failures', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!, b!]);
    for (let n = 0; n < 10; n++) {
      all.end(a!.id, 'failed', 2);
      all.end(a!.id, 'answered');
    }
    all.end(a!.id, 'abandoned', 10);
    expect(out(all, a!)).toBe(false);
  });

  it('a failed list counts as a failure, a good one ends the ejection at once', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!, b!]);
    for (let n = 0; n < 3; n++) all.book.looked(a!, 'failed', 0);
    expect(out(all, a!)).toBe(true);
    all.book.looked(a!, 'learned', 0);
    expect(out(all, a!)).toBe(false);
    expect(all.events).toEqual(['failed i0', 'ejected i0 list-failed 10000', 'returned i0 probe']);
  });

  it('a look at an earlier registration, or at one that takes no calls, says nothing', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!, b!], [b!]);
    for (let n = 0; n < 5; n++) {
      all.book.looked(a!, 'failed', 0);
      all.book.looked({ ...b!, registration: 'earlier' }, 'failed', 0);
    }
    expect(all.events).toEqual([]);
  });

  it.each(['warning', 'critical', 'maintenance'] as const)(
    'a check that turns from %s to passing ends it at once',
    (state) => {
      const all = watched();
      const [a, b] = fleet(2);
      all.follow([a!, b!]);
      all.end(a!.id, 'failed', 3);
      const ill = { ...a!, state };
      all.follow([ill, b!], state === 'warning' ? [ill, b!] : [b!]);
      expect(all.book.page(a!.id)!.ejection.out).toBe(true);
      all.follow([a!, b!]);
      expect(out(all, a!)).toBe(false);
      expect(all.events.at(-1)).toBe('returned i0 check');
    },
  );

  it('an answer from it ends it as well: it was asked because nobody else was left', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!, b!]);
    all.end(a!.id, 'failed', 3);
    all.now += 5;
    all.end(a!.id, 'answered');
    expect(all.events.at(-1)).toBe('returned i0 answer');
  });

  it('outlives tables', () => {
    const all = watched();
    const [a, b, c] = fleet(3);
    all.follow([a!, b!]);
    all.end(a!.id, 'failed', 3);
    all.follow([a!, b!, c!]);
    expect(out(all, a!)).toBe(true);
  });

  it('the only instance of a service is never ejected; of two only one, then both are used', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!]);
    all.end(a!.id, 'failed', 3);
    expect(out(all, a!)).toBe(false);
    expect(all.events.at(-1)).toBe('ejected i0 failed 10000 spared');
    all.follow([a!, b!]);
    expect(out(all, a!)).toBe(true);
    all.end(b!.id, 'failed', 3);
    expect([out(all, a!), out(all, b!)]).toEqual([false, false]);
    all.book.looked(b!, 'learned', 0);
    expect([out(all, a!), out(all, b!)]).toEqual([true, false]);
  });

  it('never leaves less than half of a service, whatever happens in whatever order', () => {
    const event = fc.oneof(
      fc.record({
        kind: fc.constant('end' as const),
        at: fc.nat(6),
        outcome: fc.constantFrom<Outcome>('failed', 'timed-out', 'answered', 'abandoned'),
      }),
      fc.record({
        kind: fc.constant('look' as const),
        at: fc.nat(6),
        ended: fc.constantFrom('learned' as const, 'failed' as const),
      }),
      fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 60_000 }) }),
      fc.record({
        kind: fc.constant('state' as const),
        at: fc.nat(6),
        state: fc.constantFrom('passing' as const, 'warning' as const, 'critical' as const),
      }),
      fc.record({ kind: fc.constant('scale' as const), count: fc.integer({ min: 1, max: 7 }) }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), (happened) => {
        const all = watched({ ...rules, after: 2 });
        let present = fleet(5);
        const tell = (): void =>
          all.follow(
            present,
            present.filter(({ state }) => state !== 'critical'),
          );
        tell();
        for (const each of happened) {
          if (each.kind === 'pass') all.now += each.ms;
          else if (each.kind === 'scale')
            present = [...present, ...fleet(7).slice(present.length)].slice(0, each.count);
          else {
            const one = present[each.at % present.length]!;
            if (each.kind === 'end') all.end(one.id, each.outcome);
            else if (each.kind === 'look') all.book.looked(one, each.ended, 0);
            else present = present.map((entry) => (entry === one ? { ...one, state: each.state } : entry));
          }
          tell();
          all.book.refresh();
          const members = present.filter(({ state }) => state !== 'critical');
          const ejected = members.filter((one) => out(all, one)).length;
          expect(ejected).toBe(all.book.ejected().get(service('s')) ?? 0);
          expect(ejected * 2).toBeLessThanOrEqual(members.length);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('slow start', () => {
  it('an instance that comes later begins with a tenth and grows in a line', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!]);
    all.now = 100_000;
    all.follow([a!, b!]);
    expect(ramp(all, a!)).toBe(1);
    const parts = [0, 1500, 3000, 15_000, 29_999, 30_000].map((ms) => {
      all.now = 100_000 + ms;
      return ramp(all, b!);
    });
    expect(parts.map((part) => Math.round(part * 1000) / 1000)).toEqual([0.1, 0.1, 0.1, 0.5, 1, 1]);
  });

  it('is not for those that were there when the router started, however late they are learned', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!, b!], [a!]);
    all.now = 5000;
    all.follow([a!, b!]);
    expect(ramp(all, b!)).toBe(1);
  });

  it('is not for instances that are all new', () => {
    const all = watched();
    all.book.follow(table());
    const [a, b] = fleet(2);
    all.now = 1000;
    all.follow([a!]);
    all.now = 1200;
    all.follow([a!, b!]);
    expect([ramp(all, a!), ramp(all, b!)]).toEqual([1, 1]);
    all.now = 16_000;
    expect(ramp(all, a!)).toBe(1);
    expect(ramp(all, b!)).toBeGreaterThan(0.98);
  });

  it('is for one that was critical, also if the router met it well', () => {
    const all = watched();
    const [a, b] = fleet(2);
    all.follow([a!, b!]);
    all.now = 1000;
    all.follow([a!, { ...b!, state: 'critical' }], [a!]);
    all.now = 2000;
    all.follow([a!, b!]);
    expect(ramp(all, b!)).toBeCloseTo(0.1);
  });

  it('0 turns it off', () => {
    const all = watched({ ...rules, slowStartMs: 0 });
    const [a, b] = fleet(2);
    all.follow([a!]);
    all.follow([a!, b!]);
    expect(all.book.fleet(service('s'))!.ramp(all.book.page(b!.id)!, 0, all.now)).toBe(1);
  });
});
