import { z } from 'zod';
import type { ServiceName, VersionWeights } from '../model.ts';

/** Below it, one key for each service that has anything to say about its traffic: `mcp-router/services/<service>`. */
export const ROLLOUTS_PATH = 'mcp-router/services/';

const MAX_VERSIONS = 100;
const MAX_WEIGHT = 1_000_000;

const content = z.strictObject({
  versions: z.record(z.string().min(1).max(64), z.number().min(0).max(MAX_WEIGHT)),
});

/** The key that holds a service's rollout. */
export function rolloutKey(service: ServiceName): string {
  return ROLLOUTS_PATH + service;
}

/**
 * How a service's traffic is shared among versions: `{"versions": {"1.4": 95, "1.5": 5}}`.
 * @throws {RangeError} with a sentence that says what would be right
 */
export function parseRollout(text: string): VersionWeights {
  const wanted = 'write {"versions": {"1.4": 95, "1.5": 5}}, with "*" for all other versions';
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new RangeError(`It is not JSON; ${wanted}.`);
  }
  const parsed = content.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new RangeError(`${issue?.path.join('.') || 'It'}: ${issue?.message ?? 'wrong'}; ${wanted}.`);
  }
  const weights = new Map(Object.entries(parsed.data.versions));
  if (weights.size > MAX_VERSIONS) throw new RangeError(`It names more than ${MAX_VERSIONS} versions.`);
  if (![...weights.values()].some((weight) => weight > 0)) {
    throw new RangeError(`No version has a weight above 0, so nobody would get calls; ${wanted}.`);
  }
  return weights;
}
