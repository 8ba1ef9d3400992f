import { describe, expect, it } from 'vitest';
import { Ejection, type EjectionRules, type Failing } from '../../../src/routing/ejection.ts';

const rules: EjectionRules = { after: 3, baseMs: 10_000, maxMs: 35_000 };
const MINUTE = 60_000;

/** So many failures in a row at one moment; whether the last ejected. */
function fail(ejection: Ejection, times: number, now: number, kind: Failing = 'failed', of = rules): boolean {
  let ejected = false;
  for (let n = 0; n < times; n++) ejected = ejection.failed(kind, now, now, of);
  return ejected;
}

describe('Ejection', () => {
  it.each(['failed', 'timed-out', 'list-failed'] as const)(
    'ejects after three times "%s" in a row',
    (kind) => {
      const ejection = new Ejection();
      expect(fail(ejection, 2, 0, kind)).toBe(false);
      expect(ejection.out).toBe(false);
      expect(fail(ejection, 1, 0, kind)).toBe(true);
      expect(ejection).toMatchObject({ out: true, until: 10_000, failures: 3, lastFailure: { kind, at: 0 } });
    },
  );

  it('an answer in between begins the count anew', () => {
    const ejection = new Ejection();
    for (let n = 0; n < 10; n++) {
      expect(fail(ejection, 2, n)).toBe(false);
      ejection.answered(n, n);
    }
    expect(ejection.out).toBe(false);
  });

  it('lasts longer each time, up to the cap, and one failure after it is enough', () => {
    const ejection = new Ejection();
    fail(ejection, 3, 0);
    let now = 0;
    const lengths: number[] = [];
    for (let n = 0; n < 5; n++) {
      lengths.push(ejection.until - ejection.since);
      now = ejection.until;
      ejection.returned('time', now);
      expect(fail(ejection, 1, now + 1)).toBe(true);
    }
    expect(lengths).toEqual([10_000, 20_000, 30_000, 35_000, 35_000]);
  });

  it('is forgiven: a minute in use takes one ejection off', () => {
    const ejection = new Ejection();
    for (let n = 0; n < 3; n++) {
      fail(ejection, 3, ejection.until);
      ejection.returned('time', ejection.until);
    }
    expect(ejection.count).toBe(3);
    const returned = ejection.until;
    ejection.answered(returned, returned);
    fail(ejection, 3, returned + 2 * MINUTE);
    expect(ejection.count).toBe(2);
    ejection.returned('check', returned + 3 * MINUTE);
    fail(ejection, 3, returned + 60 * MINUTE);
    expect(ejection.count).toBe(1);
  });

  it('a check that succeeds ends it at once, and three failures are needed again', () => {
    const ejection = new Ejection();
    fail(ejection, 3, 0);
    expect(ejection.returned('check', 5)).toBe(true);
    expect(ejection.out).toBe(false);
    expect(fail(ejection, 2, 6)).toBe(false);
    expect(fail(ejection, 1, 6)).toBe(true);
  });

  it('a good list ends it at once, but not again and again while every call fails', () => {
    const ejection = new Ejection();
    fail(ejection, 3, 0);
    expect(ejection.listed(5, 5)).toBe(true);
    // One more is enough, and now its lists are known to mislead.
    expect(fail(ejection, 1, 6)).toBe(true);
    expect(ejection.listed(7, 7)).toBe(false);
    expect(ejection.out).toBe(true);
    // Unless it was away meanwhile: then it may be another process.
    ejection.failed('list-failed', 8, 8, rules);
    expect(ejection.listed(9, 9)).toBe(true);
  });

  it('lists that failed and go well again leave nothing behind', () => {
    const ejection = new Ejection();
    fail(ejection, 3, 0, 'list-failed');
    expect(ejection.listed(5, 5)).toBe(true);
    expect(fail(ejection, 2, 6)).toBe(false);
    fail(ejection, 1, 6);
    expect(ejection.listed(7, 7)).toBe(true);
  });

  it('a good list in between does not hide that calls fail; it does that lists did', () => {
    const calls = new Ejection();
    for (let n = 0; n < 2; n++) {
      calls.failed('failed', n, n, rules);
      calls.listed(n, n);
    }
    expect(calls.failed('failed', 2, 2, rules)).toBe(true);
    const lists = new Ejection();
    for (let n = 0; n < 9; n++) {
      if (n % 3 === 2) lists.listed(n, n);
      else lists.failed('list-failed', n, n, rules);
    }
    expect(lists.out).toBe(false);
  });

  it('a list that was asked for before it began does not end it', () => {
    const ejection = new Ejection();
    fail(ejection, 3, 100);
    expect(ejection.listed(99, 101)).toBe(false);
    expect(ejection.listed(100, 101)).toBe(true);
    expect(ejection.out).toBe(false);
  });

  it('an answer to what was asked after it began ends it; one to what was asked before does not', () => {
    const ejection = new Ejection();
    fail(ejection, 3, 100);
    expect(ejection.answered(99, 200)).toBe(false);
    expect(ejection.out).toBe(true);
    expect(ejection.answered(101, 200)).toBe(true);
    expect(ejection.out).toBe(false);
  });

  it('calls that hung from before it came back do not throw it out again', () => {
    const ejection = new Ejection();
    fail(ejection, 3, 1000);
    ejection.returned('probe', 2000);
    for (let n = 0; n < 10; n++) expect(ejection.failed('timed-out', 900, 61_000, rules)).toBe(false);
    expect(ejection.failures).toBe(0);
  });

  it('failures while it is out do not count', () => {
    const ejection = new Ejection();
    fail(ejection, 3, 0);
    expect(fail(ejection, 20, 1)).toBe(false);
    expect(ejection.until).toBe(10_000);
    expect(ejection.count).toBe(1);
  });

  it('0 turns it off', () => {
    expect(fail(new Ejection(), 100, 0, 'failed', { ...rules, after: 0 })).toBe(false);
  });
});
