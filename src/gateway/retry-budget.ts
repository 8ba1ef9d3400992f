import type { Clock, ServiceName } from '../model.ts';

/** Retries that are there for a service that has hardly any calls; they come back at this rate. */
const RESERVE = 20;
const RESERVE_PER_SECOND = 10;
/** What calls have earned is kept up to here: a long quiet time must not pay for a storm. */
const MAX_EARNED = 100;

interface Account {
  reserve: number;
  earned: number;
  toppedUpAt: number;
}

/**
 * How many requests may be sent twice: a share of a service's calls, beside a small reserve. Without it every
 * failure makes more load, and instances that fail because of load never recover.
 */
export class RetryBudget {
  readonly #accounts = new Map<ServiceName, Account>();
  readonly #share: number;
  readonly #now: Clock;

  /** @param percent of the calls; 0: nothing is sent twice */
  constructor(percent: number, now: Clock) {
    this.#share = percent / 100;
    this.#now = now;
  }

  /** A call begins: it earns its share of a retry. */
  earn(service: ServiceName): void {
    const account = this.#account(service);
    account.earned = Math.min(MAX_EARNED, account.earned + this.#share);
  }

  /** @returns whether one more request may be sent that was sent before */
  spend(service: ServiceName): boolean {
    if (this.#share === 0) return false;
    const account = this.#account(service);
    if (account.earned >= 1) {
      account.earned--;
      return true;
    }
    const now = this.#now();
    const back = ((now - account.toppedUpAt) / 1000) * RESERVE_PER_SECOND;
    account.reserve = Math.min(RESERVE, account.reserve + back);
    account.toppedUpAt = now;
    if (account.reserve < 1) return false;
    account.reserve--;
    return true;
  }

  /** Forgets services that are gone. */
  retain(known: { has(service: ServiceName): boolean }): void {
    for (const service of this.#accounts.keys()) if (!known.has(service)) this.#accounts.delete(service);
  }

  get size(): number {
    return this.#accounts.size;
  }

  #account(service: ServiceName): Account {
    let account = this.#accounts.get(service);
    if (!account) {
      account = { reserve: RESERVE, earned: 0, toppedUpAt: this.#now() };
      this.#accounts.set(service, account);
    }
    return account;
  }
}
