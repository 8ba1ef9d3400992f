import type { Instance, InstanceId, ServiceRoute, Target } from '../model.ts';
import type { Failing } from './ejection.ts';
import type { Fleet, Page } from './fleet.ts';
import type { HealthBook } from './health-book.ts';
import { shutOut } from './pool.ts';
import { weightOf } from './targets.ts';

/** How the router itself sees an instance that Consul lets take calls; times in milliseconds. */
export interface Standing {
  /**
   * `in`: gets its share. `slow-start`: gets less while it is new or back. `ejected`: gets none because it fails.
   * `spared`: fails and gets its share all the same, since most of the service do. `out`: takes no new calls
   * whatever the router thinks of it (Consul, canary weights, nothing learned).
   */
  readonly state: 'in' | 'slow-start' | 'ejected' | 'spared' | 'out';
  /** A sentence for operators. */
  readonly why: string;
  /** How long it has been so, where that is known. */
  readonly forMs?: number;
  /** When it ends by itself, where it does. */
  readonly endsInMs?: number;
  /** Part of the service's calls that it gets while all are equally busy, the caller is of no session, and its node is none of ours; 0…1. */
  readonly share: number;
  readonly inFlight: number;
  /** Of its last answers. */
  readonly latencyMs?: number;
  /** In a row, up to now. */
  readonly failures: number;
  readonly lastFailure?: { readonly kind: Failing; readonly agoMs: number };
}

const sentences: Record<Failing, string> = {
  failed: 'refused or cut the connection, or answered something that is no MCP',
  'timed-out': 'gave no sign for longer than mcp-timeout-ms',
  'list-failed': 'could not be asked what it can do',
};

/** Of every registered instance of a service. */
export function standings(route: ServiceRoute, book: HealthBook): ReadonlyMap<InstanceId, Standing> {
  const now = book.now();
  const fleet = book.fleet(route.name);
  fleet?.refresh(now);
  const shares = sharesOf(route, book, now);
  return new Map(
    Array.from(route.instances, ([id, instance]) => {
      const page = book.page(id);
      const able = route.pool.byId.has(id) && page && fleet;
      return [
        id,
        {
          ...(able
            ? stateOf(page, fleet, shares.get(id) ?? 0, book.rules.slowStartMs, now)
            : outOf(instance, route)),
          share: Math.round((shares.get(id) ?? 0) * 1e4) / 1e4,
          ...measured(page, now),
        },
      ];
    }),
  );
}

function measured(
  page: Page | undefined,
  now: number,
): Pick<Standing, 'inFlight' | 'latencyMs' | 'failures' | 'lastFailure'> {
  const { failures = 0, lastFailure } = page?.ejection ?? {};
  const latencyMs = page?.latency.valueMs;
  return {
    inFlight: page?.inFlight ?? 0,
    ...(latencyMs !== undefined && { latencyMs: Math.round(latencyMs) }),
    failures,
    ...(lastFailure && {
      lastFailure: { kind: lastFailure.kind, agoMs: Math.round(now - lastFailure.at) },
    }),
  };
}

function outOf(instance: Instance, { versions }: ServiceRoute): Pick<Standing, 'state' | 'why'> {
  const { state, version = 'none' } = instance;
  const why =
    state === 'critical' || state === 'maintenance'
      ? `Consul says ${state}.`
      : weightOf(instance) === 0
        ? `Consul says ${state}, and its weight is then 0.`
        : shutOut(versions, instance)
          ? `Its version (${version}) has the weight 0.`
          : 'It has not yet said what it can do.';
  return { state: 'out', why };
}

function stateOf(
  page: Page,
  fleet: Fleet,
  share: number,
  slowStartMs: number,
  now: number,
): Pick<Standing, 'state' | 'why' | 'forMs' | 'endsInMs'> {
  const { ejection, joinedAt = now } = page;
  if (ejection.out) {
    const kind = ejection.lastFailure?.kind ?? 'failed';
    const reason = `Its last calls failed; at last it ${sentences[kind]}.`;
    const times = {
      forMs: Math.round(now - ejection.since),
      endsInMs: Math.max(0, Math.round(ejection.until - now)),
    };
    return fleet.isOut(page)
      ? { state: 'ejected', why: `${reason} It is tried again when the time is over.`, ...times }
      : { state: 'spared', why: `${reason} Most of the service fail, so all are used.`, ...times };
  }
  const ramp = fleet.ramp(page, slowStartMs, now);
  const served = Number.isFinite(joinedAt) ? { forMs: Math.round(now - joinedAt) } : {};
  if (share === 0) {
    const why = 'It takes calls that nobody before it can: another datacenter or version comes first.';
    return { state: 'in', why, ...served };
  }
  if (ramp === 1) return { state: 'in', why: 'It takes calls.', ...served };
  return {
    state: 'slow-start',
    why: `It is new or back, and gets ${Math.round(ramp * 100)} % of its weight by now.`,
    ...served,
    endsInMs: Math.round(joinedAt + slowStartMs - now),
  };
}

/**
 * Which part of the calls each instance gets while all are equally busy; what is missing gets none. Sessions of a
 * service that is balanced by `rendezvous` spread the same way, but for slow starts.
 */
export function sharesOf(
  route: ServiceRoute,
  book: HealthBook,
  now: number,
): ReadonlyMap<InstanceId, number> {
  const fleet = book.fleet(route.name);
  const ramps = route.settings.balance !== 'rendezvous';
  const weightNow = ({ instance: { id }, weight }: Target): number => {
    const page = book.page(id);
    if (!page || !fleet) return weight;
    if (fleet.isOut(page)) return 0;
    return ramps ? weight * fleet.ramp(page, book.rules.slowStartMs, now) : weight;
  };
  for (const { groups } of route.pool.tiers) {
    const able = groups
      .map(({ share, all }) => {
        const weights = all.targets.map(weightNow);
        return { share, targets: all.targets, weights, total: sum(weights) };
      })
      .filter((group) => group.total > 0);
    const named = able.filter((group) => group.share > 0);
    // Without a named version that anybody serves, the others take all; there is only one such group.
    const serving = named.length > 0 ? named : able;
    const whole = sum(serving.map((group) => group.share)) || 1;
    if (serving.length === 0) continue;
    return new Map(
      serving.flatMap(({ share, targets, weights, total }) =>
        targets.map(({ instance }, at): [InstanceId, number] => [
          instance.id,
          ((named.length > 0 ? share / whole : 1) * (weights[at] ?? 0)) / total,
        ]),
      ),
    );
  }
  return new Map();
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
