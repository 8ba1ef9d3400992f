import { describe, expect, it } from 'vitest';
import { RetryBudget } from '../../../src/gateway/retry-budget.ts';
import { service } from '../../support/model.ts';

const s = service('s');

/** How many retries there are in so many calls that each want one. */
function retries(budget: RetryBudget, calls: number, each: () => void = () => undefined): number {
  let granted = 0;
  for (let n = 0; n < calls; n++) {
    budget.earn(s);
    each();
    if (budget.spend(s)) granted++;
  }
  return granted;
}

describe('RetryBudget', () => {
  it('grants a fifth of the calls beside the reserve, however many fail', () => {
    expect(retries(new RetryBudget(20, () => 0), 1000)).toBe(220);
  });

  it('lets a service with hardly any calls retry, and fills its reserve again', () => {
    let now = 0;
    const budget = new RetryBudget(20, () => now);
    for (let n = 0; n < 20; n++) expect(budget.spend(s)).toBe(true);
    expect(budget.spend(s)).toBe(false);
    now = 100;
    expect([budget.spend(s), budget.spend(s)]).toEqual([true, false]);
    now = 3_600_000;
    let granted = 0;
    while (budget.spend(s)) granted++;
    expect(granted).toBe(20);
  });

  it('a long quiet time does not pay for a storm', () => {
    const budget = new RetryBudget(20, () => 0);
    for (let n = 0; n < 100_000; n++) budget.earn(s);
    let granted = 0;
    while (budget.spend(s)) granted++;
    expect(granted).toBe(120);
  });

  it('0 grants nothing; each service has its own; what is gone is forgotten', () => {
    expect(retries(new RetryBudget(0, () => 0), 100)).toBe(0);
    const budget = new RetryBudget(20, () => 0);
    retries(budget, 1000);
    expect(budget.spend(service('other'))).toBe(true);
    expect(budget.size).toBe(2);
    budget.retain(new Set([service('other')]));
    expect(budget.size).toBe(1);
  });
});
