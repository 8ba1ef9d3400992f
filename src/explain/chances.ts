import type { Balance, InstanceId, ItemKind, ServiceRoute, UpstreamName } from '../model.ts';
import type { HealthBook } from '../routing/health-book.ts';
import { standings } from '../routing/standing.ts';
import type { Chance } from './outlook.ts';

/** What each registered instance of a service may expect of the balancer now, for calls of an item. */
export function chancesOf(
  route: ServiceRoute,
  item: { readonly kind: ItemKind; readonly key: UpstreamName } | undefined,
  book: HealthBook,
): ReadonlyMap<InstanceId, Chance> {
  const pool = item && route.split[item.kind].get(item.key);
  const able = standings(pool ? { ...route, pool } : route, book);
  const all = pool ? standings(route, book) : able;
  return new Map(
    Array.from(able, ([id, standing]): [InstanceId, Chance] => {
      const lacks = pool !== undefined && !pool.byId.has(id) && route.pool.byId.has(id);
      const { state, share, why, inFlight, latencyMs } = lacks ? (all.get(id) ?? standing) : standing;
      return [
        id,
        {
          state,
          share: lacks ? 0 : share,
          why: lacks
            ? 'It has this otherwise than it is listed, or not at all.'
            : (busy(id, route, book) ?? why),
          inFlight,
          ...(latencyMs !== undefined && { latencyMs }),
        },
      ];
    }),
  );
}

/** What passes by itself within seconds, and keeps calls waiting or away until then. */
function busy(id: InstanceId, { settings }: ServiceRoute, book: HealthBook): string | undefined {
  const page = book.page(id);
  if (!page) return undefined;
  const restsMs = page.restsUntil - book.now();
  if (restsMs > 0) return `It asked for a pause (Retry-After), which ends in ${Math.ceil(restsMs / 1000)} s.`;
  const { maxConcurrency } = settings;
  return maxConcurrency > 0 && page.inFlight >= maxConcurrency
    ? `It has the ${maxConcurrency} calls that mcp-max-concurrency allows; more wait for their turn.`
    : undefined;
}

/** How one of those that have a share is chosen. */
export function balanceSentence(balance: Balance): string {
  switch (balance) {
    case 'rendezvous':
      return 'A session stays at the instance that its id falls on by weight, and moves only when that takes no calls (mcp-balance rendezvous).';
    case 'weighted':
      return 'Each call goes to an instance drawn by weight (mcp-balance weighted).';
    case 'p2c':
      return 'Each call goes to the one of two, drawn by weight, that would answer sooner: answer time × calls in flight (mcp-balance p2c).';
  }
}
