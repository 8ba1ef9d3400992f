import type { Catalog, CatalogItem, CatalogResource, CatalogService, RawJson, Tool } from '../model.ts';
import type { CatalogEntry, EntriesBody, ItemBody, ItemKindName } from './shapes.ts';

const MAX_ABOUT = 200;
const kinds = ['tools', 'prompts', 'resources', 'resourceTemplates'] as const;
const made = new WeakMap<CatalogService, readonly CatalogEntry[]>();

export function isKind(word: unknown): word is ItemKindName {
  return kinds.some((kind) => kind === word);
}

/**
 * What a list of the catalog shows, service by service.
 * @param only these; undefined for all
 */
export function entriesBody(
  version: number,
  catalog: Catalog,
  only: ReadonlySet<string> | undefined,
): EntriesBody {
  const wanted = only ? catalog.services.filter((service) => only.has(service.name)) : catalog.services;
  return {
    version,
    services: Object.fromEntries(wanted.map((service) => [service.name, entriesOf(service)])),
  };
}

/**
 * One thing of the catalog.
 * @param name the portable or the canonical one, or the URI
 * @param seen its text as a client finds it in its list
 * @returns undefined where there is no such thing
 */
export function itemBody(
  catalog: Catalog,
  kind: ItemKindName,
  name: string,
  seen: (entry: CatalogItem | CatalogResource, service: CatalogService) => string,
): ItemBody | undefined {
  for (const service of catalog.services) {
    const entries: readonly (CatalogItem | CatalogResource)[] = service[kind];
    const entry = entries.find((one) => namesOf(one).includes(name));
    if (!entry) continue;
    const [shown, canonical] = namesOf(entry);
    return {
      kind,
      service: service.name,
      name: shown,
      canonical,
      original: entry.item.key,
      definition: JSON.parse(seen(entry, service)) as ItemBody['definition'],
    };
  }
  return undefined;
}

/** Made once for each state of a service. */
function entriesOf(service: CatalogService): readonly CatalogEntry[] {
  const known = made.get(service);
  if (known) return known;
  const entries = kinds.flatMap((kind) => service[kind].map((entry) => entryOf(kind, entry)));
  made.set(service, entries);
  return entries;
}

function entryOf(kind: ItemKindName, entry: CatalogItem | CatalogResource): CatalogEntry {
  const [name, canonical] = namesOf(entry);
  const { title, description } = words(entry.item.json);
  const hints = 'hints' in entry.item ? hintsOf(entry.item as Tool) : [];
  return {
    kind,
    name,
    canonical,
    ...(title !== undefined && { title }),
    ...(description !== undefined && { about: description }),
    ...(hints.length > 0 && { hints }),
  };
}

function namesOf(entry: CatalogItem | CatalogResource): readonly [name: string, canonical: string] {
  return 'uri' in entry ? [entry.uri, entry.uri] : [entry.portable, entry.canonical];
}

function hintsOf({ hints, hasApp }: Tool): NonNullable<CatalogEntry['hints']> {
  return [
    ...(hints.readOnly ? (['reads'] as const) : []),
    ...(hints.destructive && !hints.readOnly ? (['destroys'] as const) : []),
    ...(hints.idempotent && !hints.readOnly ? (['repeatable'] as const) : []),
    ...(hasApp ? (['app'] as const) : []),
  ];
}

/** Servers say what they like: what is no text is left out, the rest is cut. */
function words(json: RawJson): { title: string | undefined; description: string | undefined } {
  const { title, description } = JSON.parse(json) as { title?: unknown; description?: unknown };
  return { title: line(title), description: line(description) };
}

function line(text: unknown): string | undefined {
  if (typeof text !== 'string') return undefined;
  const one = text
    .slice(0, 4 * MAX_ABOUT)
    .replaceAll(/\s+/g, ' ')
    .trim();
  if (one === '') return undefined;
  return one.length > MAX_ABOUT ? `${one.slice(0, MAX_ABOUT - 1)}…` : one;
}
