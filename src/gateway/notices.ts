import type { Catalog, CatalogService, ServiceName } from '../model.ts';
import type { Scope } from './scope.ts';

/** A flapping service must not make every client list again and again. */
const COALESCE_MS = 100;

export const listKinds = ['tools', 'prompts', 'resources'] as const;
export type ListKind = (typeof listKinds)[number];

/** Somebody who wants to know when a list is not what it was. */
export interface NoticeTaker {
  readonly scope: Scope;
  listChanged(kind: ListKind): void;
}

/**
 * Tells clients that a list has changed: once for all changes of a short while, only those whose own view has
 * really changed, and never when it is by now what they were told last.
 */
export class Notices {
  readonly #takers: () => Iterable<NoticeTaker>;
  #told: Catalog;
  #latest: Catalog;
  #timer: NodeJS.Timeout | undefined;

  constructor(takers: () => Iterable<NoticeTaker>, catalog: Catalog) {
    this.#takers = takers;
    this.#told = catalog;
    this.#latest = catalog;
  }

  catalogChanged(catalog: Catalog): void {
    this.#latest = catalog;
    this.#timer ??= setTimeout(() => this.#tell(), COALESCE_MS).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #tell(): void {
    this.#timer = undefined;
    const changed = listKinds.map((kind) => ({
      kind,
      services: changedServices(kind, this.#told, this.#latest),
    }));
    this.#told = this.#latest;
    for (const { kind, services } of changed) {
      if (services.size === 0) continue;
      for (const taker of this.#takers()) {
        if (taker.scope.kind === 'all' || services.has(taker.scope.service)) taker.listChanged(kind);
      }
    }
  }
}

/** Services whose list differs: identity is enough, an unchanged list keeps its own. */
function changedServices(kind: ListKind, before: Catalog, after: Catalog): ReadonlySet<ServiceName> {
  const changed = new Set<ServiceName>();
  for (const service of after.services) {
    if (!same(kind, before.byName.get(service.name), service)) changed.add(service.name);
  }
  for (const service of before.services) {
    if (!after.byName.has(service.name) && !same(kind, service, undefined)) changed.add(service.name);
  }
  return changed;
}

/** An empty list is no news, whether its service is there or not. */
function same(kind: ListKind, a: CatalogService | undefined, b: CatalogService | undefined): boolean {
  const lists: readonly ('tools' | 'prompts' | 'resources' | 'resourceTemplates')[] =
    kind === 'resources' ? ['resources', 'resourceTemplates'] : [kind];
  return lists.every(
    (list) => a?.[list] === b?.[list] || ((a?.[list].length ?? 0) === 0 && (b?.[list].length ?? 0) === 0),
  );
}
