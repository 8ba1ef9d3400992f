import type { Urn, VersionGroup } from '../model.ts';

/**
 * Weighted rendezvous hashing: every replica picks the same for the same key without talking to the others, and
 * what comes or goes moves only its own share of the keys (Thaler and Ravishankar 1998; weights by the logarithm
 * method).
 */

/** A hash in two 32-bit words. Spread matters here, secrecy does not. */
export interface Hash {
  readonly high: number;
  readonly low: number;
}

export function hashOf(text: string): Hash {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  const mixed = mix(high ^ (low >>> 15));
  return { high: mixed, low: mix(low ^ mixed) };
}

/** The higher, the sooner it is chosen: of many keys each gets its share by weight. */
function score(weight: number, key: Hash, seedHigh: number, seedLow: number): number {
  const high = mix(key.high ^ seedHigh);
  const low = mix(key.low ^ seedLow ^ high);
  const unit = ((high >>> 11) * 0x100000000 + (low >>> 0) + 0.5) / 2 ** 53;
  return weight / -Math.log(unit);
}

/** Every bit of the word depends on every other (the finalizer of MurmurHash3, public domain). */
function mix(word: number): number {
  let mixed = word;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/** The index of the chosen target among those that are usable; -1 where none is. */
export function indexByKey(urn: Urn, key: Hash, usable: (at: number) => boolean): number {
  const { targets, seeds } = urn;
  let best = -1;
  let bestScore = -1;
  for (let at = 0; at < targets.length; at++) {
    const found = score(targets[at]?.weight ?? 0, key, seeds[2 * at] ?? 0, seeds[2 * at + 1] ?? 0);
    if (found > bestScore && usable(at)) {
      best = at;
      bestScore = found;
    }
  }
  return best;
}

/** The group for a key, in keeping with the groups' shares; undefined where all that are left have none. */
export function groupByKey(
  groups: readonly VersionGroup[],
  key: Hash,
  left: (group: VersionGroup) => boolean,
): VersionGroup | undefined {
  let best: VersionGroup | undefined;
  let bestScore = 0;
  for (const group of groups) {
    if (group.share === 0 || !left(group)) continue;
    const seed = hashOf(`version ${group.version ?? ''}`);
    const found = score(group.share, key, seed.high, seed.low);
    if (found > bestScore) {
      best = group;
      bestScore = found;
    }
  }
  return best;
}
