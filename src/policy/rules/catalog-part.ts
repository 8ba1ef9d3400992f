import type { Catalog, CatalogItem, CatalogResource, CatalogService, ItemKind } from '../../model.ts';

/**
 * Parts of a catalog. Equal parts of the same whole are one object, however often and for whomever they are made:
 * bytes of lists hang on them, and a client is told of a change only where the object is another one.
 */

export type Keep = (kind: ItemKind, entry: CatalogItem | CatalogResource) => boolean;

const kinds: readonly ItemKind[] = ['tools', 'prompts', 'resources', 'resourceTemplates'];

const partsOfService = new WeakMap<CatalogService, Map<string, CatalogService>>();
const partsOfCatalog = new WeakMap<Catalog, Map<string, Catalog>>();

/** The service with what `keep` keeps; the service itself where that is everything. */
export function partOfService(service: CatalogService, keep: Keep): CatalogService {
  let key = '';
  let whole = true;
  for (const kind of kinds) {
    for (const entry of service[kind]) {
      const kept = keep(kind, entry);
      whole &&= kept;
      key += kept ? '1' : '0';
    }
  }
  if (whole) return service;
  let known = partsOfService.get(service);
  if (!known) partsOfService.set(service, (known = new Map<string, CatalogService>()));
  let part = known.get(key);
  if (part) return part;
  let at = 0;
  const kept = <Entry>(entries: readonly Entry[]): readonly Entry[] => {
    const result = entries.filter(() => key[at++] === '1');
    return result.length === entries.length ? entries : result;
  };
  part = {
    ...service,
    whole: service.whole ?? service,
    tools: kept(service.tools),
    prompts: kept(service.prompts),
    resources: kept(service.resources),
    resourceTemplates: kept(service.resourceTemplates),
  };
  known.set(key, part);
  return part;
}

/**
 * The catalog with a part of each service; undefined leaves the service out. The catalog itself where every service
 * is whole.
 */
export function partOfCatalog(
  catalog: Catalog,
  partOf: (service: CatalogService) => CatalogService | undefined,
): Catalog {
  const services: CatalogService[] = [];
  let whole = true;
  for (const service of catalog.services) {
    const part = partOf(service);
    whole &&= part === service;
    if (part) services.push(part);
  }
  if (whole) return catalog;
  let known = partsOfCatalog.get(catalog);
  if (!known) partsOfCatalog.set(catalog, (known = new Map<string, Catalog>()));
  const key = services.map(idOf).join();
  let part = known.get(key);
  if (!part) known.set(key, (part = withServices(catalog, services)));
  return part;
}

function withServices(catalog: Catalog, services: readonly CatalogService[]): Catalog {
  const tools = new Set(services.flatMap((service) => service.tools.map((entry) => entry.canonical)));
  const prompts = new Set(services.flatMap((service) => service.prompts.map((entry) => entry.canonical)));
  const uris = new Set(
    services.flatMap((service) =>
      [...service.resources, ...service.resourceTemplates].map((entry) => entry.uri),
    ),
  );
  return {
    ...catalog,
    services,
    byName: new Map(services.map((service) => [service.name, service])),
    tools: filterMap(catalog.tools, (entry) => tools.has(entry.canonical)),
    prompts: filterMap(catalog.prompts, (entry) => prompts.has(entry.canonical)),
    resources: filterMap(catalog.resources, (entry) => uris.has(entry.uri)),
  };
}

function filterMap<Value>(
  whole: ReadonlyMap<string, Value>,
  keep: (value: Value) => boolean,
): ReadonlyMap<string, Value> {
  return new Map([...whole].filter(([, value]) => keep(value)));
}

const ids = new WeakMap<CatalogService, number>();
let lastId = 0;

function idOf(service: CatalogService): number {
  let id = ids.get(service);
  if (id === undefined) ids.set(service, (id = ++lastId));
  return id;
}
