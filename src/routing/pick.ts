import type {
  InstanceId,
  ItemKind,
  Pool,
  Random,
  RoutingTable,
  ServiceName,
  ServiceRoute,
  Target,
  UpstreamName,
} from '../model.ts';
import { Choice } from './choice.ts';
import type { Done, HealthBook } from './health-book.ts';

export type Pick =
  | {
      readonly kind: 'picked';
      readonly target: Target;
      readonly done: Done;
    }
  /** All that may take it have as many calls as they may have: it waits for its turn. */
  | { readonly kind: 'full' }
  /** All that may take it asked for a pause. */
  | { readonly kind: 'resting'; readonly retryAfterMs: number }
  /** `retryAfterMs`: when it may make sense to ask again. */
  | { readonly kind: 'no-healthy'; readonly retryAfterMs: number }
  | { readonly kind: 'unknown-service' };

export interface Wish {
  readonly service: ServiceName;
  /** The item that is called, where the instances of a service may differ on it. */
  readonly item?: { readonly kind: ItemKind; readonly key: UpstreamName };
  /** The caller's session, if it has one: what is to be the same for all its calls is chosen by this key. */
  readonly affinity?: string;
  /** Where this key's earlier calls went; kept while it can serve this one. */
  readonly pinned?: InstanceId;
  /** No other instance will do. */
  readonly only?: InstanceId;
  /** Instances that this call has already tried. */
  readonly except?: ReadonlySet<InstanceId>;
}

/** Consul's usual check interval is 10 s; sooner a new instance may come. */
const RETRY_AFTER_MS = 1000;

/** Chooses an instance for one attempt. Reads the table and the book, waits for nothing. */
export function pick(table: RoutingTable, wish: Wish, book: HealthBook, random: Random): Pick {
  const route = table.services.get(wish.service);
  if (!route) return { kind: 'unknown-service' };
  const now = book.now();
  const fleet = book.fleet(route.name);
  fleet?.refresh(now);
  const choice = new Choice({
    balance: route.settings.balance,
    key: wish.affinity,
    maxConcurrency: route.settings.maxConcurrency,
    except: wish.except,
    fleet,
    slowStartMs: book.rules.slowStartMs,
    random,
    now,
  });
  const pool = poolFor(route, wish);
  const target = choose(pool, wish, choice);
  if (!target || choice.rests(target)) return nobody(pool, target, wish, book, choice);
  if (choice.isFull(target)) return { kind: 'full' };
  return { kind: 'picked', target, done: book.begin(target.instance.id, now) };
}

/**
 * Where what has no call of its own lives, a subscription for instance: by the key alone, so that it stays where
 * it is while it can.
 */
export function placeByKey(
  table: RoutingTable,
  service: ServiceName,
  key: string,
  book: HealthBook,
): Target | undefined {
  const route = table.services.get(service);
  const choice = new Choice({
    balance: 'rendezvous',
    key,
    maxConcurrency: 0,
    except: undefined,
    fleet: book.fleet(service),
    slowStartMs: 0,
    random: () => 0,
    now: book.now(),
  });
  return route && choice.among(route.pool);
}

function choose(pool: Pool, { only, pinned, except }: Wish, choice: Choice): Target | undefined {
  // Ejected or not: there is no other.
  if (only !== undefined) return except?.has(only) ? undefined : pool.byId.get(only);
  const kept = pinned === undefined ? undefined : pool.byId.get(pinned);
  // A session does not move because its instance asks for a pause.
  return kept && (choice.usable(kept) || (choice.rests(kept) && !except?.has(kept.instance.id)))
    ? kept
    : choice.among(pool);
}

/** Nobody takes the call: is it only for a while that somebody wished for? */
function nobody(
  pool: Pool,
  chosen: Target | undefined,
  { except, only }: Wish,
  book: HealthBook,
  choice: Choice,
): Pick {
  const asked = chosen ? [chosen] : only === undefined ? pool.byId.values() : [];
  let until = Number.POSITIVE_INFINITY;
  for (const target of asked) {
    const { id } = target.instance;
    if (except?.has(id) || !choice.rests(target)) continue;
    until = Math.min(until, book.page(id)?.restsUntil ?? until);
  }
  return Number.isFinite(until)
    ? { kind: 'resting', retryAfterMs: Math.ceil(until - book.now()) }
    : { kind: 'no-healthy', retryAfterMs: RETRY_AFTER_MS };
}

/** The targets that have the wished item as it is advertised. */
function poolFor(route: ServiceRoute, { item }: Wish): Pool {
  return (item && route.split[item.kind].get(item.key)) ?? route.pool;
}
