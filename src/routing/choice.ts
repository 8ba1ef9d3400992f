import type { Balance, InstanceId, Pool, Random, Target, Urn, VersionGroup } from '../model.ts';
import type { Fleet } from './fleet.ts';
import { groupByKey, hashOf, indexByKey, type Hash } from './rendezvous.ts';
import { indexAt } from './urn.ts';

/** What one choice is made by. */
export interface Terms {
  readonly balance: Balance;
  /** Of the session: decides about the instance (`rendezvous`) and the version (canary). */
  readonly key: string | undefined;
  /** Calls at one instance at a time; 0: no limit. */
  readonly maxConcurrency: number;
  /** Already tried by this call. */
  readonly except: ReadonlySet<InstanceId> | undefined;
  readonly fleet: Fleet | undefined;
  readonly slowStartMs: number;
  readonly random: Random;
  readonly now: number;
}

/** Draws in vain before all targets are looked through: so drawing is exact, and nearly always constant in time. */
const DRAWS = 8;
/** The router's own node is preferred while its instance is not loaded more than this many times another. */
const NEAR_BONUS = 2;

/**
 * One choice among a pool's targets: the first datacenter that has anybody, there the version, there the instance.
 * An ejected instance is taken only where there is no other, since a call that may fail is better than one that
 * must.
 */
export class Choice {
  readonly #terms: Terms;
  /** Each target that was not tried gets its weight, without a look at its health. */
  readonly #calm: boolean;
  /** Without a key there is nothing to hash. */
  readonly #balance: Balance;
  #hash: Hash | undefined;
  #evenEjected = false;

  constructor(terms: Terms) {
    this.#terms = terms;
    this.#balance = terms.balance === 'rendezvous' && terms.key === undefined ? 'p2c' : terms.balance;
    this.#calm = terms.fleet?.isCalm(terms.slowStartMs, terms.now) ?? true;
  }

  among(pool: Pool): Target | undefined {
    const found = this.#inTiers(pool);
    if (found !== undefined || this.#terms.fleet === undefined || this.#terms.fleet.ejected === 0)
      return found;
    this.#evenEjected = true;
    return this.#inTiers(pool);
  }

  /** Whether a target may take this call at all. */
  usable({ instance: { id } }: Target): boolean {
    const { except, fleet, now } = this.#terms;
    if (except?.has(id)) return false;
    if (fleet === undefined) return true;
    const allIn = fleet.ejected === 0 || this.#evenEjected;
    if (allIn && now >= fleet.restsUntil) return true;
    const page = fleet.pages.get(id);
    return page === undefined || (now >= page.restsUntil && (allIn || !fleet.isOut(page)));
  }

  /** It asked for a pause, and that is not over. */
  rests({ instance: { id } }: Target): boolean {
    const { fleet, now } = this.#terms;
    return fleet !== undefined && now < fleet.restsUntil && now < (fleet.pages.get(id)?.restsUntil ?? 0);
  }

  /** It has as many calls as it may have. */
  isFull(target: Target): boolean {
    const { maxConcurrency } = this.#terms;
    return maxConcurrency > 0 && this.#inFlight(target) >= maxConcurrency;
  }

  #inTiers({ tiers }: Pool): Target | undefined {
    for (const { groups } of tiers) {
      const [only] = groups;
      const found = groups.length === 1 && only ? this.#inGroup(only) : this.#inGroups(groups);
      if (found) return found;
    }
    return undefined;
  }

  // --- The version ------------------------------------------------------------------------------------------

  #inGroups(groups: readonly VersionGroup[]): Target | undefined {
    const tried = new Set<VersionGroup>();
    const left = (group: VersionGroup): boolean => !tried.has(group);
    while (tried.size < groups.length) {
      const group = this.#group(groups, left) ?? groups.find(left);
      const found = group && this.#inGroup(group);
      if (!group || found) return found;
      tried.add(group);
    }
    return undefined;
  }

  /** One session meets one version, as long as there is anybody to serve it. */
  #group(groups: readonly VersionGroup[], left: (group: VersionGroup) => boolean): VersionGroup | undefined {
    const key = this.#key();
    if (key) return groupByKey(groups, key, left);
    let total = 0;
    for (const group of groups) if (left(group)) total += group.share;
    let point = this.#terms.random() * total;
    return groups.find((group) => group.share > 0 && left(group) && (point -= group.share) < 0);
  }

  #key(): Hash | undefined {
    const { key } = this.#terms;
    if (key !== undefined) this.#hash ??= hashOf(key);
    return this.#hash;
  }

  // --- The instance -----------------------------------------------------------------------------------------

  #inGroup(group: VersionGroup): Target | undefined {
    const key = this.#balance === 'rendezvous' ? this.#key() : undefined;
    if (key) {
      // Without slow start, nearness and load: every replica has to come to the same end.
      const at = indexByKey(group.all, key, (index) => this.#factorAt(group.all, index) > 0);
      return group.all.targets[at];
    }
    const found = this.#balance === 'weighted' ? this.#one(group.all) : this.#lessLoaded(group);
    return found && this.#withRoom(found, group.all);
  }

  /**
   * Power of two choices: of two targets drawn by weight the one that would take less time (Mitzenmacher 2001).
   * Of two that would take the same, the first drawn: so idle instances get traffic by their weights.
   */
  #lessLoaded({ all, near }: VersionGroup): Target | undefined {
    const found = this.#betterOfTwo(all);
    const local = near && this.#betterOfTwo(near);
    if (!found || !local || found === local) return found;
    const [loadHere, loadThere] = this.#loads(local, found);
    return loadHere <= NEAR_BONUS * loadThere && this.#lucky(local) ? local : found;
  }

  #betterOfTwo(urn: Urn): Target | undefined {
    const at = this.#draw(urn, -1);
    const first = urn.targets[at];
    if (!first || urn.targets.length === 1) return first;
    const second = urn.targets[this.#draw(urn, at)];
    if (!second) return first;
    const [a, b] = this.#loads(first, second);
    return a <= b ? first : second;
  }

  #one(urn: Urn): Target | undefined {
    return urn.targets[this.#draw(urn, -1)];
  }

  /** The index of a target other than `without`, drawn by weight; -1 where there is none. */
  #draw(urn: Urn, without: number): number {
    const { random } = this.#terms;
    if (urn.targets.length === 2 && without >= 0) {
      return this.#factorAt(urn, 1 - without) > 0 ? 1 - without : -1;
    }
    for (let draws = 0; draws < DRAWS; draws++) {
      const at = indexAt(urn, random());
      if (at === without) continue;
      const factor = this.#factorAt(urn, at);
      if (factor === 1 || random() < factor) return at;
    }
    return this.#search(urn, without);
  }

  #search(urn: Urn, without: number): number {
    const weights = urn.targets.map(({ weight }, at) =>
      at === without ? 0 : weight * this.#factorAt(urn, at),
    );
    let point = this.#terms.random() * weights.reduce((sum, weight) => sum + weight, 0);
    const found = weights.findIndex((weight) => weight > 0 && (point -= weight) < 0);
    // Rounding may leave a rest of the point.
    return found < 0 ? weights.findLastIndex((weight) => weight > 0) : found;
  }

  /** Which part of its weight a target gets; 0: it is not usable. */
  #factorAt(urn: Urn, at: number): number {
    const target = urn.targets[at];
    return target && this.usable(target) ? this.#rampOf(target) : 0;
  }

  #rampOf({ instance: { id } }: Target): number {
    const { fleet, slowStartMs, now } = this.#terms;
    const page = fleet?.pages.get(id);
    if (!fleet || !page || this.#calm || this.#balance === 'rendezvous') return 1;
    return fleet.ramp(page, slowStartMs, now);
  }

  #lucky(target: Target): boolean {
    const ramp = this.#rampOf(target);
    return ramp === 1 || this.#terms.random() < ramp;
  }

  /** A full instance gives way to the least busy one that is not; where all are full, the call waits for its turn. */
  #withRoom(chosen: Target, { targets }: Urn): Target {
    const { maxConcurrency } = this.#terms;
    if (!this.isFull(chosen)) return chosen;
    let best = chosen;
    let least = Number.POSITIVE_INFINITY;
    for (const target of targets) {
      const inFlight = this.#inFlight(target);
      const busy = inFlight / target.weight;
      if (inFlight < maxConcurrency && busy < least && this.usable(target)) [best, least] = [target, busy];
    }
    return best;
  }

  #inFlight({ instance: { id } }: Target): number {
    return this.#terms.fleet?.pages.get(id)?.inFlight ?? 0;
  }

  /**
   * Answer time × (1 + calls in flight ÷ weight) of two targets. One without a measured answer time is taken to
   * be as fast as the other.
   */
  #loads(first: Target, second: Target): [number, number] {
    const { fleet, now } = this.#terms;
    const a = fleet?.pages.get(first.instance.id);
    const b = fleet?.pages.get(second.instance.id);
    if (!fleet || !a || !b) return [0, 0];
    // Of all that are used though most fail: one that does not.
    if (fleet.sparing && a.ejection.out !== b.ejection.out) return a.ejection.out ? [1, 0] : [0, 1];
    const [timeA, timeB] = [a.latency.at(now), b.latency.at(now)];
    return [
      rounded(timeA ?? timeB ?? 1) * (1 + a.inFlight / (first.weight * this.#rampOf(first))),
      rounded(timeB ?? timeA ?? 1) * (1 + b.inFlight / (second.weight * this.#rampOf(second))),
    ];
  }
}

/** To a power of two, at least 4 ms: small differences are noise and must not draw all traffic to one side. */
function rounded(latencyMs: number): number {
  return latencyMs <= 4 ? 4 : 2 ** Math.round(Math.log2(latencyMs));
}
