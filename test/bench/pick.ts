import type { Balance } from '../../src/model.ts';
import { HealthBook, type HealthRules } from '../../src/routing/health-book.ts';
import { pick, type Wish } from '../../src/routing/pick.ts';
import { definition, instance, route, service, table, target } from '../support/model.ts';

/**
 * What it costs to choose an instance and to count the call in and out, in nanoseconds, by policy and by the
 * number of instances; the best of several rounds, since this machine is not alone.
 *
 *   node test/bench/pick.ts
 */
const rules: HealthRules = { after: 3, baseMs: 1e9, maxMs: 1e9, slowStartMs: 1e9 };
const nothing = definition([]);
const ROUNDS = 9;

interface Case {
  readonly name: string;
  readonly balance: Balance;
  readonly wish?: Partial<Wish>;
  /** A tenth of the instances is ejected, or has just come. */
  readonly unrest?: 'ejected' | 'new';
  readonly versions?: ReadonlyMap<string, number>;
}

const cases: readonly Case[] = [
  { name: 'p2c', balance: 'p2c' },
  { name: 'p2c, some ejected', balance: 'p2c', unrest: 'ejected' },
  { name: 'p2c, some new', balance: 'p2c', unrest: 'new' },
  {
    name: 'p2c, two versions',
    balance: 'p2c',
    versions: new Map([
      ['1', 95],
      ['2', 5],
    ]),
  },
  { name: 'weighted', balance: 'weighted' },
  { name: 'rendezvous', balance: 'rendezvous', wish: { affinity: 'nZ1q0cJ0Tn6yW8kq3v9m7A' } },
  { name: 'pinned session', balance: 'rendezvous', wish: { affinity: 'x', pinned: instance('s', 'i1').id } },
];

function nanoseconds({ balance, wish, unrest, versions }: Case, count: number): number {
  const targets = Array.from({ length: count }, (_, at) =>
    target(instance('s', `i${at}`, { version: String(1 + (at % 2)) }), nothing, 1 + (at % 3)),
  );
  const book = new HealthBook(() => performance.now(), rules);
  const options = { settings: { balance }, ...(versions && { versions }) };
  const few = Math.max(1, Math.floor(count / 10));
  if (unrest === 'new') book.follow(table(route('s', targets.slice(few), options)));
  const whole = table(route('s', targets, options));
  book.follow(whole);
  if (unrest === 'ejected') {
    for (const {
      instance: { id },
    } of targets.slice(0, few)) {
      for (let n = 0; n < rules.after; n++) book.begin(id)('failed');
    }
  }
  const full: Wish = { service: service('s'), except: new Set(), ...wish };
  const run = (calls: number): void => {
    for (let n = 0; n < calls; n++) {
      const picked = pick(whole, full, book, Math.random);
      if (picked.kind === 'picked') picked.done('answered', performance.now());
    }
  };
  run(30_000);
  const calls = Math.max(5000, 200_000 / count);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const startedAt = performance.now();
    run(calls);
    return ((performance.now() - startedAt) * 1e6) / calls;
  });
  return Math.min(...rounds);
}

const counts = [2, 10, 100, 1000];
console.log(
  `${'ns per pick, instances:'.padEnd(24)}${counts.map((count) => String(count).padStart(8)).join('')}`,
);
for (const each of cases) {
  const found = counts.map((count) => nanoseconds(each, count).toFixed(0).padStart(8));
  console.log(`${each.name.padEnd(24)}${found.join('')}`);
}
