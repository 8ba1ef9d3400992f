import type {
  InstanceId,
  ItemKind,
  Random,
  RoutingTable,
  ServiceName,
  ServiceRoute,
  Target,
  UpstreamName,
} from '../model.ts';
import { pickByKey, pickLeastLoaded } from './balance.ts';
import type { Done, HealthBook } from './health-book.ts';

export type Pick =
  | {
      readonly kind: 'picked';
      readonly target: Target;
      readonly done: Done;
    }
  /** `retryAfterMs`: when it may make sense to ask again. */
  | { readonly kind: 'no-healthy'; readonly retryAfterMs: number }
  | { readonly kind: 'unknown-service' };

export interface Wish {
  readonly service: ServiceName;
  /** The item that is called, where the instances of a service may differ on it. */
  readonly item?: { readonly kind: ItemKind; readonly key: UpstreamName };
  /** Calls with the same key go to the same instance while it can serve them. */
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
  const target = choose(route, wish, book, random);
  if (!target) return { kind: 'no-healthy', retryAfterMs: RETRY_AFTER_MS };
  return { kind: 'picked', target, done: book.begin(target.instance.id) };
}

function choose(route: ServiceRoute, wish: Wish, book: HealthBook, random: Random): Target | undefined {
  const able = targetsFor(route, wish);
  const { except } = wish;
  const left =
    except === undefined || except.size === 0
      ? able
      : able.filter((target) => !except.has(target.instance.id));
  if (wish.only !== undefined) return left.find((target) => target.instance.id === wish.only);
  if (wish.pinned !== undefined) {
    const pinned = left.find((target) => target.instance.id === wish.pinned);
    if (pinned) return pinned;
  }
  return wish.affinity === undefined ? pickLeastLoaded(left, book, random) : pickByKey(left, wish.affinity);
}

/** The targets that have the wished item as it is advertised. */
export function targetsFor(
  route: ServiceRoute,
  wish: { readonly item?: Wish['item'] | undefined },
): readonly Target[] {
  return (wish.item && route.split[wish.item.kind].get(wish.item.key)) ?? route.targets;
}
