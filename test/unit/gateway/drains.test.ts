import { describe, expect, it } from 'vitest';
import { Drains } from '../../../src/gateway/drains.ts';
import type { Instance } from '../../../src/model.ts';
import { definition, instance, route, table, target } from '../../support/model.ts';

const of = (...instances: Instance[]) =>
  table(
    route(
      's',
      instances.map((each) => target(each, definition([]))),
    ),
  );
const a = instance('s', 'a');

describe('Drains', () => {
  function scene() {
    const clock = { now: 0 };
    return { clock, drains: new Drains(1000, () => clock.now) };
  }

  it.each([
    ['maintenance', of({ ...a, state: 'maintenance' })],
    ['deregistered', of()],
    ['its service gone', table()],
    ['registered anew', of({ ...a, registration: 'other' })],
  ])('%s: calls there have so long, and no longer', (_, next) => {
    const { clock, drains } = scene();
    drains.follow(next, of(a));
    clock.now = 1000;
    expect(drains.isOver(a, clock.now)).toBe(false);
    clock.now = 1001;
    expect(drains.isOver(a, clock.now)).toBe(true);
    // Its successor under the same id is another process.
    expect(drains.isOver({ ...a, registration: 'other' }, clock.now)).toBe(false);
  });

  it('the time runs from the first table without it', () => {
    const { clock, drains } = scene();
    const out = of({ ...a, state: 'maintenance' });
    drains.follow(out, of(a));
    clock.now = 900;
    drains.follow(of({ ...a, state: 'maintenance' }), out);
    expect(drains.isOver(a, 1100)).toBe(true);
  });

  it('critical is no drain, and coming back ends one', () => {
    const { drains } = scene();
    drains.follow(of({ ...a, state: 'critical' }), of(a));
    expect(drains.size).toBe(0);
    const out = of({ ...a, state: 'maintenance' });
    drains.follow(out, of(a));
    expect(drains.size).toBe(1);
    drains.follow(of(a), out);
    expect(drains.isOver(a, 5000)).toBe(false);
    expect(drains.size).toBe(0);
  });

  it('forgets what is long over', () => {
    const { clock, drains } = scene();
    drains.follow(of(), of(a));
    clock.now = 100_000;
    drains.follow(of(), of());
    expect(drains.size).toBe(0);
  });
});
