import type { Catalog, CatalogService, Identity, ServiceName } from '../model.ts';
import type { Scope } from './scope.ts';
import { Sight, type World } from './sight.ts';
import type { ShownTools, ToolViews, ToolWish } from './tool-views.ts';

/** A flapping service must not make every client list again and again. */
const COALESCE_MS = 100;

export const listKinds = ['tools', 'prompts', 'resources'] as const;
export type ListKind = (typeof listKinds)[number];

/** Somebody who wants to know when a list is not what it was. */
export interface NoticeTaker {
  readonly identity: Identity;
  readonly scope: Scope;
  readonly wish: ToolWish;
  listChanged(kind: ListKind): void;
}

/** Services whose list is another one, by kind of list. */
type Changes = Readonly<Record<ListKind, ReadonlySet<ServiceName>>>;

/**
 * Tells clients that a list has changed: once for all changes of a short while, only those whose own view has
 * really changed, and never when it is by now what they were told last.
 */
export class Notices {
  readonly #takers: () => Iterable<NoticeTaker>;
  readonly #world: () => World;
  readonly #views: ToolViews;
  #told: World;
  #timer: NodeJS.Timeout | undefined;

  /** @param world as it is now */
  constructor(takers: () => Iterable<NoticeTaker>, world: () => World, views: ToolViews) {
    this.#takers = takers;
    this.#views = views;
    this.#world = world;
    this.#told = world();
  }

  /** Table or rules have changed. */
  changed(): void {
    this.#timer ??= setTimeout(() => this.#tell(), COALESCE_MS).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #tell(): void {
    this.#timer = undefined;
    const [before, now] = [this.#told, this.#world()];
    this.#told = now;
    // Callers who see the same have the same object, so most comparisons are made once.
    const known = new Map<Catalog, Map<Catalog, Changes>>();
    const shown = new Map<ShownTools, Map<ShownTools, boolean>>();
    for (const taker of this.#takers()) {
      const { identity, scope, wish } = taker;
      const a = new Sight(before, identity, scope).catalog;
      const b = new Sight(now, identity, scope).catalog;
      if (a === b) continue;
      const ofA = known.get(a) ?? new Map<Catalog, Changes>();
      known.set(a, ofA);
      const changes = ofA.get(b) ?? changesBetween(a, b);
      ofA.set(b, changes);
      for (const kind of listKinds) {
        const services = changes[kind];
        const own = scope.kind === 'all' ? services.size > 0 : services.has(scope.service);
        if (own && (kind !== 'tools' || scope.kind !== 'all' || this.#shows(scope, wish, a, b, shown)))
          taker.listChanged(kind);
      }
    }
  }

  /** Who sees a part of the tools is told of nothing but that part. */
  #shows(
    scope: Scope,
    wish: ToolWish,
    before: Catalog,
    after: Catalog,
    known: Map<ShownTools, Map<ShownTools, boolean>>,
  ): boolean {
    const view = this.#views.view(scope, wish);
    const [a, b] = [view.shown(before), view.shown(after)];
    const ofA = known.get(a) ?? new Map<ShownTools, boolean>();
    known.set(a, ofA);
    const changed = ofA.get(b) ?? differ(a, b);
    ofA.set(b, changed);
    return changed;
  }
}

function differ(a: ShownTools, b: ShownTools): boolean {
  if (a.own.join() !== b.own.join() || a.services.length !== b.services.length) return true;
  return a.services.some(({ name, tools }, at) => {
    const other = b.services[at];
    return other?.name !== name || !sameEntries(tools, other.tools);
  });
}

function changesBetween(before: Catalog, after: Catalog): Changes {
  return {
    tools: changedServices('tools', before, after),
    prompts: changedServices('prompts', before, after),
    resources: changedServices('resources', before, after),
  };
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
  return lists.every((list) => sameEntries(a?.[list] ?? [], b?.[list] ?? []));
}

/** Parts of the same list are other lists; their entries keep their identity. */
function sameEntries(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((entry, at) => entry === b[at]));
}
