import type { Catalog, CatalogService, ServiceName } from '../model.ts';
import type { ClientSession } from './client-session.ts';

/** A flapping service must not make every client list again and again. */
const COALESCE_MS = 100;

const METHODS = {
  tools: 'notifications/tools/list_changed',
  prompts: 'notifications/prompts/list_changed',
} as const;
type Kind = keyof typeof METHODS;

/**
 * Tells clients that a list has changed: once for all changes of a short while, only those whose own view has
 * really changed, and never when it is by now what they were told last.
 */
export class Notices {
  readonly #sessions: () => Iterable<ClientSession>;
  #told: Catalog;
  #latest: Catalog;
  #timer: NodeJS.Timeout | undefined;

  constructor(sessions: () => Iterable<ClientSession>, catalog: Catalog) {
    this.#sessions = sessions;
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
    const changed = {
      tools: changedServices('tools', this.#told, this.#latest),
      prompts: changedServices('prompts', this.#told, this.#latest),
    };
    this.#told = this.#latest;
    if (changed.tools.size === 0 && changed.prompts.size === 0) return;
    for (const session of this.#sessions()) {
      if (!session.stream) continue;
      for (const kind of ['tools', 'prompts'] as const) {
        const concerned =
          session.scope.kind === 'all' ? changed[kind].size > 0 : changed[kind].has(session.scope.service);
        if (concerned) session.stream.send(`{"jsonrpc":"2.0","method":"${METHODS[kind]}"}`);
      }
    }
  }
}

/** Services whose list differs: identity is enough, an unchanged list keeps its own. */
function changedServices(kind: Kind, before: Catalog, after: Catalog): ReadonlySet<ServiceName> {
  if (before.services === after.services) return new Set();
  const old = new Map<ServiceName, CatalogService>(before.services.map((service) => [service.name, service]));
  const changed = new Set<ServiceName>();
  for (const service of after.services) {
    const previous = old.get(service.name);
    old.delete(service.name);
    if (previous?.[kind] === service[kind]) continue;
    if (previous === undefined && service[kind].length === 0) continue;
    changed.add(service.name);
  }
  for (const [name, service] of old) if (service[kind].length > 0) changed.add(name);
  return changed;
}
