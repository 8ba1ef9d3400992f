import type { CanonicalName, Catalog, CatalogItem, CatalogService, RawJson, Tool } from '../model.ts';
import { metaToolJson, type MetaToolName } from '../shaping/meta-tools.ts';
import { listedTools, settleMode, type SettledMode, type ToolMode } from '../shaping/tool-mode.ts';
import type { Listed, Slimming } from './list-bytes.ts';
import type { Scope } from './scope.ts';

/** How tools are shown at the merged endpoint or at one profile. */
export interface ToolRules {
  /** Where the client asks for none. */
  readonly mode: ToolMode;
  /** `auto` is `search` for lists above this. */
  readonly autoTokens: number;
  /** By canonical name: what `filtered` lists. */
  readonly allowed: (name: CanonicalName) => boolean;
  /** By canonical name: what `search` lists, too. */
  readonly pinned: (name: CanonicalName) => boolean;
  /** `call_read_tool` is listed beside `call_tool`. */
  readonly readTool: boolean;
  /** `read_result` is listed: results may be cut. */
  readonly readResult: boolean;
  /** Tools that were found are listed from then on: in sessions, which alone may have lists of their own. */
  readonly activate: boolean;
  readonly slim: Slimming | undefined;
}

/** What one client's tool lists depend on, besides what it may see. */
export interface ToolWish {
  readonly mode: ToolMode;
  /** It opens pages of MCP Apps. */
  readonly apps: boolean;
}

/** The extension by which a client says that it opens pages (MCP Apps, SEP-1865). */
const APPS_EXTENSION = '"io.modelcontextprotocol/ui"';

export function hasApps(capabilities: RawJson): boolean {
  return capabilities.includes(APPS_EXTENSION);
}

/** What a tool list shows: tools of the router's own, and of a catalog that is narrowed down to the listed ones. */
export interface ShownTools extends Listed {
  readonly own: readonly MetaToolName[];
}

/** All ways of showing tools. */
export class ToolViews {
  readonly #rulesOf: (profile: string | undefined) => ToolRules;
  readonly #onSearch: () => void;
  readonly #views = new WeakMap<ToolRules, Map<string, ToolView>>();

  /**
   * @param rulesOf the same object as long as nothing has changed
   * @param onSearch somebody is shown a list to search
   */
  constructor(rulesOf: (profile: string | undefined) => ToolRules, onSearch: () => void) {
    this.#rulesOf = rulesOf;
    this.#onSearch = onSearch;
  }

  rules(scope: Scope): ToolRules {
    return this.#rulesOf(scope.kind === 'all' ? scope.profile : undefined);
  }

  view(scope: Scope, wish: ToolWish): ToolView {
    const rules = this.rules(scope);
    const known = this.#views.get(rules) ?? new Map<string, ToolView>();
    this.#views.set(rules, known);
    const name = `${wish.mode} ${wish.apps}`;
    const view = known.get(name) ?? new ToolView(rules, wish, this.#onSearch);
    known.set(name, view);
    return view;
  }
}

/** One way of showing tools. What it made of a catalog or service is kept as long as that lives. */
export class ToolView {
  readonly rules: ToolRules;
  readonly #wish: ToolWish;
  readonly #onSearch: () => void;
  readonly #shown = new WeakMap<Catalog, ShownTools>();
  readonly #narrowed: Readonly<Record<SettledMode, WeakMap<CatalogService, CatalogService>>> = {
    full: new WeakMap(),
    filtered: new WeakMap(),
    search: new WeakMap(),
  };

  constructor(rules: ToolRules, wish: ToolWish, onSearch: () => void) {
    this.rules = rules;
    this.#onSearch = onSearch;
    this.#wish = wish;
  }

  /** `auto` decided by what the caller may see now. */
  settled(catalog: Catalog): SettledMode {
    const { mode } = this.#wish;
    return mode === 'auto' ? settleMode(mode, listBytes(catalog), this.rules.autoTokens) : mode;
  }

  /** @param activated canonical names of tools that this session's list shows, too */
  shown(catalog: Catalog, activated?: ReadonlySet<CanonicalName>): ShownTools {
    let shown = this.#shown.get(catalog);
    if (!shown) {
      shown = this.#show(catalog);
      this.#shown.set(catalog, shown);
    }
    return activated && activated.size > 0 ? withActivated(shown, catalog, activated) : shown;
  }

  #show(catalog: Catalog): ShownTools {
    const mode = this.settled(catalog);
    if (mode === 'search') this.#onSearch();
    const { metaTools } = listedTools(mode, [], this.#listing);
    if (mode === 'full') return { own: metaTools, services: catalog.services };
    const services = catalog.services
      .map((service) => this.#narrow(service, mode))
      .filter((service) => service.tools.length > 0);
    return { own: metaTools, services };
  }

  #narrow(service: CatalogService, mode: SettledMode): CatalogService {
    let narrowed = this.#narrowed[mode].get(service);
    if (!narrowed) {
      const { tools } = listedTools(mode, service.tools, this.#listing);
      narrowed = tools.length === service.tools.length ? service : { ...service, tools };
      this.#narrowed[mode].set(service, narrowed);
    }
    return narrowed;
  }

  get #listing(): Parameters<typeof listedTools>[2] {
    const { allowed, pinned, readTool, readResult } = this.rules;
    return {
      allowed: (entry) => allowed(entry.canonical),
      pinned: (entry) => pinned(entry.canonical),
      clientHasApps: this.#wish.apps,
      withReadTool: readTool,
      withReadResult: readResult,
    };
  }
}

/** Activated tools stand where they would stand in the full list. */
function withActivated(
  shown: ShownTools,
  catalog: Catalog,
  activated: ReadonlySet<CanonicalName>,
): ShownTools {
  const wanted = new Set<CatalogItem<Tool>>();
  for (const name of activated) {
    const entry = catalog.tools.get(name);
    if (entry) wanted.add(entry);
  }
  const owners = new Set([...wanted].map(({ service }) => service));
  const listed = new Map(shown.services.map((service) => [service.name, service]));
  const services = catalog.services.flatMap((service) => {
    const already = listed.get(service.name);
    if (!owners.has(service.name)) return already ? [already] : [];
    const tools = service.tools.filter((entry) => wanted.has(entry) || already?.tools.includes(entry));
    return [{ ...service, tools }];
  });
  return { own: shown.own, services };
}

const bytes = new WeakMap<CatalogService, number>();

/** About the size of the full list, whatever its names: what `auto` goes by. */
function listBytes({ services }: Catalog): number {
  let sum = 0;
  for (const service of services) {
    let own = bytes.get(service);
    if (own === undefined) {
      own = service.tools.reduce((total, { item }) => total + Buffer.byteLength(item.json) + 1, 0);
      bytes.set(service, own);
    }
    sum += own;
  }
  return sum;
}

const ready = new Map<MetaToolName, Buffer>();

/** The list entries of the router's own tools, ready for the wire. */
export function ownToolBytes(names: readonly MetaToolName[]): readonly Buffer[] {
  return names.map((name) => {
    const known = ready.get(name) ?? Buffer.from(metaToolJson(name));
    ready.set(name, known);
    return known;
  });
}
