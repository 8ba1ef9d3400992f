import type { Catalog, CatalogItem, Clock, ServiceName, Tool } from '../model.ts';
import { inSlices } from '../shaping/slices.ts';
import { ToolIndex } from '../shaping/tool-index.ts';
import type { Sight } from './sight.ts';

export interface ToolSearchPorts {
  readonly clock: Clock;
  /** Resolves when others had their turn. */
  readonly pause: () => Promise<void>;
}

/** Longest time for which the index is worked on in one go. */
const SLICE_MS = 8;

/**
 * The index over all tools. It follows the table off the request path and in small slices, and only from the moment
 * on when somebody searches or is shown a list to search.
 */
export class ToolSearch {
  readonly index = new ToolIndex();
  readonly #ports: ToolSearchPorts;
  /** What the index is to be brought to next. */
  #next: Catalog | undefined;
  #latest: Catalog | undefined;
  #used = false;
  #running: Promise<void> | undefined;
  #built: Promise<void> | undefined;

  constructor(ports: ToolSearchPorts) {
    this.#ports = ports;
  }

  /** The table has changed. */
  follow(catalog: Catalog): void {
    this.#latest = catalog;
    if (this.#used) void this.#start();
  }

  /** Somebody will search soon. */
  warm(): void {
    if (this.#used) return;
    this.#used = true;
    this.#built = this.#start();
  }

  /** Done when the index was built once; after that it is never far behind. */
  built(): Promise<void> {
    this.warm();
    return this.#built ?? Promise.resolve();
  }

  #start(): Promise<void> {
    this.#next = this.#latest;
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    await this.#ports.pause();
    for (let catalog = this.#next; catalog; catalog = this.#next) {
      this.#next = undefined;
      await inSlices(this.index.sync(catalog.services), { ...this.#ports, sliceMs: SLICE_MS });
    }
    this.#running = undefined;
  }
}

/** Tools that a caller may call now: permitted, and of a service that has somebody to answer. */
export class CallableTools implements Iterable<CatalogItem<Tool>> {
  readonly #sight: Sight;
  #size: number | undefined;

  constructor(sight: Sight) {
    this.#sight = sight;
  }

  has(entry: CatalogItem<Tool>): boolean {
    return this.#sight.catalog.tools.get(entry.canonical) === entry && this.#answers(entry.service);
  }

  get size(): number {
    return (this.#size ??= this.#services.reduce((sum, { tools }) => sum + tools.length, 0));
  }

  *[Symbol.iterator](): Iterator<CatalogItem<Tool>> {
    for (const { tools } of this.#services) yield* tools;
  }

  /** Under any of its names, for a model; a tool that only its app's page may call is none. */
  find(name: string): CatalogItem<Tool> | undefined {
    const found = this.#sight.catalog.tools.get(name);
    return found?.item.appOnly === true ? undefined : found;
  }

  get #services(): readonly { readonly tools: readonly CatalogItem<Tool>[] }[] {
    return this.#sight.catalog.services.filter(({ name }) => this.#answers(name));
  }

  #answers(service: ServiceName): boolean {
    return (this.#sight.whole.services.get(service)?.targets.length ?? 0) > 0;
  }
}
