import { namesOf } from '../catalog/names.ts';
import type {
  CatalogItem,
  CatalogResource,
  ItemKind,
  Problem,
  RegisteredService,
  ServerDefinition,
} from '../model.ts';
import type { Outlook } from './outlook.ts';

/** One thing that a name may mean. */
export type Subject =
  | { readonly kind: 'service'; readonly service: RegisteredService }
  /** A service that is left out as a whole. */
  | { readonly kind: 'skipped'; readonly name: string; readonly reason: Problem }
  | ItemSubject
  /** The service is known, and it has no such item. */
  | { readonly kind: 'missing'; readonly service: RegisteredService; readonly key: string };

export interface ItemSubject {
  readonly kind: 'item';
  readonly list: ItemKind;
  readonly service: RegisteredService;
  /** As the server spells it. */
  readonly key: string;
  /** As it stands in the catalog, if it does. */
  readonly entry: CatalogItem | CatalogResource | undefined;
}

export const itemKinds = ['tools', 'prompts', 'resources', 'resourceTemplates'] as const;

/** A common bare name may be one of hundreds of services. */
const MOST = 20;

/**
 * What a name may mean, most exact first: an item by a public name or URI, an item by its server's own name, a
 * service or one of its instances, an item that a known service lacks. Empty where the router knows nothing of it.
 */
export function subjectsOf(query: string, outlook: Outlook): readonly Subject[] {
  const services = [...(outlook.snapshot?.services.values() ?? [])];
  const items = services.flatMap((service) => itemsOf(query, service, outlook));
  const exact = items.filter(({ entry }) => entry !== undefined && publicNames(entry).includes(query));
  const found: Subject[] = exact.length > 0 ? exact : items;
  for (const service of services) if (isNamed(query, service)) found.push({ kind: 'service', service });
  for (const { service: name, reason } of outlook.snapshot?.skipped ?? [])
    if (name === query) found.push({ kind: 'skipped', name, reason });
  if (found.length > 0) return found.slice(0, MOST);
  return services.flatMap((service): readonly Subject[] => {
    const key = itemPart(query, service);
    return key === undefined ? [] : [{ kind: 'missing', service, key }];
  });
}

/** Every definition that instances of a service gave, also those that the service does not show. */
export function definitionsOf(service: RegisteredService, outlook: Outlook): readonly ServerDefinition[] {
  const definitions = new Set<ServerDefinition>();
  for (const instance of service.instances) {
    const learned = outlook.learned(instance);
    if (learned.kind === 'learned') definitions.add(learned.definition);
    else if (learned.kind === 'failed' && learned.last) definitions.add(learned.last);
  }
  const shown = outlook.table.services.get(service.name)?.definition;
  if (shown) definitions.add(shown);
  return [...definitions];
}

function isNamed(query: string, { name, settings, instances }: RegisteredService): boolean {
  return (
    query === name ||
    query === settings.namespace ||
    instances.some(({ id, serviceId }) => query === id || query === serviceId)
  );
}

function itemsOf(query: string, service: RegisteredService, outlook: Outlook): readonly ItemSubject[] {
  const entries = outlook.table.catalog.byName.get(service.name);
  const definitions = definitionsOf(service, outlook);
  return itemKinds.flatMap((list) => {
    const keys = new Set(definitions.flatMap((definition) => definition[list].map((item) => item.key)));
    // What was left out is in no definition any more.
    for (const { subject = '' } of definitions.flatMap(({ problems }) => problems))
      if (subject.startsWith(`${list}/`)) keys.add(subject.slice(list.length + 1) as never);
    const shown = new Map(
      entries?.[list].map((entry): [string, CatalogItem | CatalogResource] => [entry.item.key, entry]),
    );
    return [...keys]
      .filter((key) => means(query, key, service, shown.get(key)))
      .map((key): ItemSubject => ({ kind: 'item', list, service, key, entry: shown.get(key) }));
  });
}

function means(
  query: string,
  key: string,
  { name, settings }: RegisteredService,
  entry: CatalogItem | CatalogResource | undefined,
): boolean {
  if (query === key || (entry && publicNames(entry).includes(query))) return true;
  return [settings.namespace, name].some((prefix) => {
    if (query === `${prefix}.${key}` || query === `${prefix}__${key}` || query === `${prefix}/${key}`)
      return true;
    const { canonical, portable } = namesOf(prefix, key);
    return query === canonical || query === portable;
  });
}

function publicNames(entry: CatalogItem | CatalogResource): readonly string[] {
  return 'uri' in entry ? [entry.uri] : [entry.canonical, entry.portable];
}

/** What stands behind a service's name or namespace. */
function itemPart(query: string, { name, settings }: RegisteredService): string | undefined {
  for (const prefix of new Set<string>([settings.namespace, name])) {
    for (const separator of ['.', '__', '/']) {
      const start = prefix + separator;
      if (query.startsWith(start) && query.length > start.length) return query.slice(start.length);
    }
  }
  return undefined;
}
