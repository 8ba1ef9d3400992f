import type { ServiceName, ServiceRoute } from '../model.ts';

export type Meta = Readonly<Record<string, string>>;

const none: Meta = {};
const ofRoute = new WeakMap<ServiceRoute, Meta>();
/** The last by service: one that stays equal stays the same object, and with it what was made of it. */
const latest = new Map<ServiceName, Meta>();
const MAX_LATEST = 10_000;

/** Consul meta in which all instances of a service agree: what may be said of the service as a whole. */
export function commonMeta(route: ServiceRoute | undefined): Meta {
  if (!route) return none;
  let meta = ofRoute.get(route);
  if (!meta) {
    const before = latest.get(route.name);
    const now = agreed(route);
    meta = before && equal(before, now) ? before : now;
    if (latest.size >= MAX_LATEST) latest.clear();
    latest.set(route.name, meta);
    ofRoute.set(route, meta);
  }
  return meta;
}

function agreed({ instances }: ServiceRoute): Meta {
  const all = [...instances.values()].map(({ meta }) => meta);
  const [first = none, ...others] = all;
  return Object.fromEntries(
    Object.entries(first).filter(([key, value]) => others.every((meta) => meta[key] === value)),
  );
}

function equal(a: Meta, b: Meta): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

const noTags: ReadonlySet<string> = new Set();
const tagsOfRoute = new WeakMap<ServiceRoute, ReadonlySet<string>>();

/** Consul tags that some instance of a service bears. */
export function tagsOf(route: ServiceRoute | undefined): ReadonlySet<string> {
  if (!route) return noTags;
  let tags = tagsOfRoute.get(route);
  if (!tags) {
    tags = new Set([...route.instances.values()].flatMap((instance) => instance.tags));
    tagsOfRoute.set(route, tags);
  }
  return tags;
}
