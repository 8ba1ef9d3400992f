import type { Target, Urn } from '../model.ts';
import { hashOf } from './rendezvous.ts';

/**
 * Lays targets out for drawing in constant time, by weight: Walker's alias method (1977) in Vose's form (1991).
 * Each of n columns has the height of the average; one that is lower is filled up from one that is higher.
 */
export function urnOf(targets: readonly Target[]): Urn {
  const count = targets.length;
  const average = targets.reduce((sum, { weight }) => sum + weight, 0) / count;
  const height = targets.map(({ weight }) => weight / average);
  const chance = new Float64Array(count).fill(1);
  const other = new Uint32Array(count);
  const low: number[] = [];
  const high: number[] = [];
  for (const [at, value] of height.entries()) (value < 1 ? low : high).push(at);
  while (low.length > 0 && high.length > 0) {
    const [under, over] = [low.pop() ?? 0, high.at(-1) ?? 0];
    chance[under] = height[under] ?? 1;
    other[under] = over;
    const rest = (height[over] ?? 1) - (1 - (height[under] ?? 1));
    height[over] = rest;
    if (rest < 1) {
      high.pop();
      low.push(over);
    }
  }
  // What is left in either stack is 1 but for rounding.
  const seeds = new Uint32Array(2 * count);
  for (const [at, target] of targets.entries()) {
    const seed = hashOf(target.instance.id);
    seeds[2 * at] = seed.high;
    seeds[2 * at + 1] = seed.low;
  }
  return { targets, chance, other, seeds };
}

/** @param point in [0, 1) */
export function indexAt(urn: Urn, point: number): number {
  const at = point * urn.targets.length;
  const column = Math.floor(at);
  return at - column < (urn.chance[column] ?? 1) ? column : (urn.other[column] ?? 0);
}
