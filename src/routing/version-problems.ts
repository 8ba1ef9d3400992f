import type { Problem, ServiceRoute } from '../model.ts';
import { OTHERS } from './pool.ts';

/** What is strange about a service's canary weights, given who is there. */
export function versionProblems({ versions, instances, pool }: ServiceRoute): readonly Problem[] {
  if (!versions) return [];
  const present = new Set(Array.from(instances.values(), ({ version }) => version));
  const problems: Problem[] = [];
  const missing = [...versions.keys()].filter((version) => version !== OTHERS && !present.has(version));
  if (missing.length > 0) {
    problems.push({
      code: 'VERSION_MISSING',
      subject: 'versions',
      message: `No instance has mcp-version ${missing.join(', ')}, so the others share its part of the traffic.`,
    });
  }
  if (pool.tiers[0]?.groups.every(({ share }) => share === 0)) {
    problems.push({
      code: 'VERSION_UNNAMED',
      subject: 'versions',
      message:
        'No healthy instance has a version with a weight, so those without one take the calls. ' +
        `Name their versions, or "${OTHERS}" for all others.`,
    });
  }
  return problems;
}
