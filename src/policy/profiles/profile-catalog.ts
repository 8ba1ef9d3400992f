import type {
  Catalog,
  CatalogItem,
  CatalogResource,
  CatalogService,
  ItemKind,
  ListItem,
  PublicName,
  Tool,
} from '../../model.ts';
import { ownNames, type NamingRules } from './naming.ts';

const kinds: readonly ItemKind[] = ['tools', 'prompts', 'resources', 'resourceTemplates'];

export type Keep = (kind: ItemKind, entry: CatalogItem | CatalogResource) => boolean;

/**
 * Catalogs of one profile. What stays the same keeps its identity from one to the next, as in the catalog that
 * they are made of: bytes of lists hang on it, and what clients are told.
 */
export class ProfileCatalogs {
  readonly #naming: NamingRules;
  readonly #parts = new WeakMap<CatalogService, Map<string, CatalogService>>();

  constructor(naming: NamingRules) {
    this.#naming = naming;
  }

  make(catalog: Catalog, keep: Keep): Catalog {
    const tools = ownNames(catalog, 'tools', (entry) => keep('tools', entry), this.#naming);
    const prompts = ownNames(catalog, 'prompts', (entry) => keep('prompts', entry), this.#naming);
    const services = catalog.services.flatMap((service) => {
      const part = this.#part(service, keep, { tools, prompts });
      return part ? [part] : [];
    });
    return {
      ...catalog,
      services,
      byName: new Map(services.map((service) => [service.name, service])),
      tools: byNames(services.flatMap((service) => service.tools)),
      prompts: byNames(services.flatMap((service) => service.prompts)),
      resources: new Map(
        services
          .flatMap((service) => [...service.resources, ...service.resourceTemplates])
          .map((entry) => [entry.uri, entry]),
      ),
    };
  }

  /** Undefined where nothing of the service is in the profile. */
  #part(
    service: CatalogService,
    keep: Keep,
    names: Record<'tools' | 'prompts', ReadonlyMap<CatalogItem, PublicName>>,
  ): CatalogService | undefined {
    const tools = service.tools.filter((entry) => keep('tools', entry));
    const prompts = service.prompts.filter((entry) => keep('prompts', entry));
    const resources = service.resources.filter((entry) => keep('resources', entry));
    const resourceTemplates = service.resourceTemplates.filter((entry) => keep('resourceTemplates', entry));
    const kept = new Set<unknown>([...tools, ...prompts, ...resources, ...resourceTemplates]);
    if (kept.size === 0) return undefined;
    const all = kinds.flatMap((kind): readonly unknown[] => service[kind]);
    const spelled = [
      ...tools.map((entry) => names.tools.get(entry) ?? ''),
      ...prompts.map((entry) => names.prompts.get(entry) ?? ''),
    ];
    const whole = kept.size === all.length;
    if (whole && spelled.every((name) => name === '')) return service;
    const known = this.#parts.get(service) ?? new Map<string, CatalogService>();
    this.#parts.set(service, known);
    const key = `${all.map((entry) => (kept.has(entry) ? 1 : 0)).join('')} ${spelled.join(' ')}`;
    const part = known.get(key) ?? {
      ...service,
      ...(!whole && { whole: service.whole ?? service }),
      tools: tools.map((entry) => named(entry, names.tools.get(entry))),
      prompts: prompts.map((entry) => named(entry, names.prompts.get(entry))),
      resources,
      resourceTemplates,
    };
    known.set(key, part);
    return part;
  }
}

function named<Item extends ListItem>(
  entry: CatalogItem<Item>,
  name: PublicName | undefined,
): CatalogItem<Item> {
  return name === undefined ? entry : { ...entry, own: name };
}

/** By every name that is taken on a call: both public spellings, and the profile's own. */
function byNames<Entry extends CatalogItem | CatalogItem<Tool>>(
  entries: readonly Entry[],
): ReadonlyMap<string, Entry> {
  return new Map(
    entries.flatMap((entry) =>
      [entry.canonical, entry.portable, ...(entry.own === undefined ? [] : [entry.own])].map(
        (name): [string, Entry] => [name, entry],
      ),
    ),
  );
}
