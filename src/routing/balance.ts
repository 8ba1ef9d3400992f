import type { Random, Target } from '../model.ts';
import type { HealthBook } from './health-book.ts';

/**
 * Power of two choices: of two targets drawn by weight, the one that would take less time, measured as
 * answer time × (1 + calls in flight ÷ weight) (Mitzenmacher 2001; with latency as in Finagle's peak EWMA).
 * Of two that would take the same, the first drawn: so idle instances get traffic by their weights.
 */
export function pickLeastLoaded(
  targets: readonly Target[],
  book: HealthBook,
  random: Random,
): Target | undefined {
  const first = drawByWeight(targets, random, undefined);
  if (first === undefined || targets.length === 1) return first;
  const second = drawByWeight(targets, random, first);
  if (second === undefined) return first;
  const a = book.latencyMs(first.instance.id);
  const b = book.latencyMs(second.instance.id);
  // A target without a measured answer time is taken to be as fast as the other.
  const load = (target: Target, latencyMs: number | undefined): number =>
    rounded(latencyMs ?? 1) * (1 + book.inFlight(target.instance.id) / target.weight);
  return load(first, a ?? b) <= load(second, b ?? a) ? first : second;
}

/** To a power of two, at least 4 ms: small differences are noise and must not draw all traffic to one side. */
function rounded(latencyMs: number): number {
  return 2 ** Math.max(2, Math.round(Math.log2(latencyMs)));
}

function drawByWeight(
  targets: readonly Target[],
  random: Random,
  without: Target | undefined,
): Target | undefined {
  let total = 0;
  for (const target of targets) if (target !== without) total += target.weight;
  let point = random() * total;
  let last: Target | undefined;
  for (const target of targets) {
    if (target === without) continue;
    last = target;
    point -= target.weight;
    if (point < 0) return target;
  }
  return last;
}

/**
 * Weighted rendezvous hashing: every replica picks the same target for the same key without talking to the
 * others, and a target that comes or goes moves only its own share of the keys
 * (Thaler and Ravishankar 1998; weights by the logarithm method).
 */
export function pickByKey(targets: readonly Target[], key: string): Target | undefined {
  let best: Target | undefined;
  let bestScore = -1;
  for (const target of targets) {
    const score = target.weight / -Math.log(unitHash(key, target.instance.id));
    if (score > bestScore) {
      best = target;
      bestScore = score;
    }
  }
  return best;
}

/** A hash of both strings in the open interval (0, 1). Spread matters here, secrecy does not. */
function unitHash(a: string, b: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  const feed = (text: string): void => {
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      high = Math.imul(high ^ code, 2654435761);
      low = Math.imul(low ^ code, 1597334677);
    }
  };
  feed(a);
  feed('\0');
  feed(b);
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  const bits = (high & 0x1fffff) * 0x100000000 + (low >>> 0);
  return (bits + 0.5) / 2 ** 53;
}
