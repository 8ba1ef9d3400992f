import type { Catalog, CatalogItem, PublicName } from '../../model.ts';

/** What all clients take as a name. */
const PUBLIC = /^[A-Za-z0-9_-]{1,64}$/;

export interface NamingRules {
  /** Canonical name → name. */
  readonly rename: ReadonlyMap<string, string>;
  /** As the service spells them. */
  readonly bare: boolean;
}

type Items = 'tools' | 'prompts';

/**
 * Names of a profile's own, by entry. Nobody's public name is taken away; what is renamed goes first, and of two
 * equal bare names the one of the service that comes first in the catalog. Whoever gets none keeps its public name.
 */
export function ownNames(
  catalog: Catalog,
  kind: Items,
  kept: (entry: CatalogItem) => boolean,
  { rename, bare }: NamingRules,
): ReadonlyMap<CatalogItem, PublicName> {
  const names = new Map<CatalogItem, PublicName>();
  if (rename.size === 0 && !bare) return names;
  const entries = catalog.services.flatMap((service) => service[kind]).filter(kept);
  const taken = new Set<string>(entries.flatMap(({ canonical, portable }) => [canonical, portable]));
  const give = (entry: CatalogItem, name: string | undefined): void => {
    if (name === undefined || taken.has(name) || names.has(entry)) return;
    taken.add(name);
    names.set(entry, name as PublicName);
  };
  for (const entry of entries) give(entry, rename.get(entry.canonical));
  if (bare) for (const entry of entries) if (PUBLIC.test(entry.item.key)) give(entry, entry.item.key);
  return names;
}
