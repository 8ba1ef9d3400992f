import type { Instance, Layout, Pool, Target, VersionGroup, VersionWeights } from '../model.ts';
import { urnOf } from './urn.ts';

/** Covers every version that has no weight of its own. */
export const OTHERS = '*';

/**
 * Lays targets out by datacenter in failover order and by version, so that choosing one takes no search. What
 * changes faster than tables (load, ejections, slow starts) is not in it.
 */
export function poolOf(
  targets: readonly Target[],
  layout: Layout,
  versions: VersionWeights | undefined,
): Pool {
  const byDatacenter = Map.groupBy(targets, (target) => target.instance.datacenter);
  const rank = (datacenter: string): number => {
    const at = layout.datacenters.indexOf(datacenter);
    return at < 0 ? layout.datacenters.length : at;
  };
  return {
    byId: new Map(targets.map((target) => [target.instance.id, target])),
    tiers: [...byDatacenter]
      .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
      .map(([datacenter, members]) => ({ datacenter, groups: groupsOf(members, layout, versions) })),
  };
}

function groupsOf(
  targets: readonly Target[],
  layout: Layout,
  versions: VersionWeights | undefined,
): readonly VersionGroup[] {
  if (!versions) return [groupOf(undefined, 1, targets, layout)];
  const byVersion = Map.groupBy(targets, (target) => nameIn(versions, target.instance));
  return [...byVersion]
    .sort(([a = ''], [b = '']) => (a < b ? -1 : 1))
    .map(([version, members]) => groupOf(version, versions.get(version ?? '') ?? 0, members, layout));
}

function groupOf(
  version: string | undefined,
  share: number,
  targets: readonly Target[],
  { home }: Layout,
): VersionGroup {
  const near = targets.filter(
    ({ instance: { node, datacenter } }) =>
      node === home?.node && (home.datacenter === undefined || home.datacenter === datacenter),
  );
  return {
    version,
    share,
    all: urnOf(targets),
    near: near.length > 0 && near.length < targets.length ? urnOf(near) : undefined,
  };
}

/** Under which name a target's version has a weight; undefined where it has none. */
function nameIn(versions: VersionWeights, { version }: Instance): string | undefined {
  if (version !== undefined && versions.has(version)) return version;
  return versions.has(OTHERS) ? OTHERS : undefined;
}

/** Whether the weights say that an instance gets nothing at all. */
export function shutOut(versions: VersionWeights | undefined, instance: Instance): boolean {
  const name = versions && nameIn(versions, instance);
  return name !== undefined && versions?.get(name) === 0;
}

/**
 * How much each target counts where a service's instances differ in what they say of themselves: one each, and
 * where versions have weights, its part of its version's traffic. Only the first datacenter counts, since it gets
 * all calls (and registrations of two datacenters have no common order). Targets that count nothing are absent.
 */
export function votes({ tiers: [first] }: Pool): ReadonlyMap<Target, number> {
  const groups = first?.groups ?? [];
  const shared = groups.some(({ share }) => share > 0);
  const counted = shared ? groups.filter(({ share }) => share > 0) : groups;
  return new Map(
    counted.flatMap(({ version, share, all: { targets } }) => {
      const vote = version === undefined || !shared ? 1 : share / targets.length;
      return targets.map((target) => [target, vote] as const);
    }),
  );
}
