import type {
  CanonicalName,
  Catalog,
  CatalogItem,
  CatalogService,
  ListItem,
  Problem,
  PublicName,
  ServerDefinition,
  ServiceName,
  Tool,
} from '../model.ts';
import { nameFilter } from './glob.ts';
import { CANONICAL_MAX, disambiguated, namesOf, PORTABLE_MAX } from './names.ts';

/** What the catalog needs to know of a service that is to be shown. */
export interface ShownService {
  readonly name: ServiceName;
  readonly namespace: string;
  readonly toolsAllow: readonly string[];
  readonly toolsDeny: readonly string[];
  readonly definition: ServerDefinition;
}

type Spelling = 'canonical' | 'portable';

/**
 * Merges services into one catalog. Pure: equal input gives an equal catalog on every replica, whatever came
 * before; `previous` only lets unchanged parts keep their identity.
 *
 * Two items that claim the same public name: the service whose own name is the namespace wins (a borrowed
 * `mcp-namespace` can't take over a name), then the lower service name, then the lower tool name. The loser
 * is listed under a name with a hash; the conflict is reported at both services.
 */
export function buildCatalog(shown: readonly ShownService[], previous?: Catalog): Catalog {
  const claimsBefore = byName(previous?.claims);
  const claims = shown
    .toSorted((a, b) => compare(a.name, b.name))
    .map((service) => claim(service, claimsBefore.get(service.name)));

  const settled = { tools: settle(claims, 'tools'), prompts: settle(claims, 'prompts') };
  const before = byName(previous?.services);
  const services = claims.map((service) => {
    const tools = rename(service.tools, settled.tools.renamed);
    const prompts = rename(service.prompts, settled.prompts.renamed);
    if (tools === service.tools && prompts === service.prompts) return service;
    return reuse({ ...service, tools, prompts }, before.get(service.name));
  });
  return {
    services,
    claims,
    tools: settled.tools.index,
    prompts: settled.prompts.index,
    problems: gather(settled.tools.conflicts, settled.prompts.conflicts),
  };
}

function byName(services: readonly CatalogService[] = []): ReadonlyMap<ServiceName, CatalogService> {
  return new Map(services.map((service) => [service.name, service]));
}

/** Code units, not locale: the same order on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The names that a service would have if it were alone. */
function claim(shown: ShownService, before: CatalogService | undefined): CatalogService {
  // Equal digests mean equal content: the older object stays, and with it everything that was made of it.
  const definition =
    before?.definition.digest === shown.definition.digest ? before.definition : shown.definition;
  const visible = nameFilter(shown.toolsAllow, shown.toolsDeny);
  const tools = definition.tools.filter((tool) => visible(tool.key));
  if (
    before?.namespace === shown.namespace &&
    before.definition === definition &&
    before.tools.length === tools.length &&
    before.tools.every((entry, at) => entry.item === tools[at])
  ) {
    return before;
  }
  const entry = <Item extends ListItem>(item: Item): CatalogItem<Item> => ({
    service: shown.name,
    item,
    ...namesOf(shown.namespace, item.key),
  });
  return {
    name: shown.name,
    namespace: shown.namespace,
    definition,
    tools: tools.map(entry),
    prompts: definition.prompts.map(entry),
  };
}

interface Conflict {
  readonly name: string;
  readonly kind: 'tools' | 'prompts';
  readonly winner: CatalogItem;
  readonly loser: CatalogItem;
  /** What the loser is called instead. */
  readonly instead: string;
}

interface Settled<Item extends ListItem> {
  readonly index: ReadonlyMap<string, CatalogItem<Item>>;
  readonly renamed: ReadonlyMap<CatalogItem, CatalogItem<Item>>;
  readonly conflicts: readonly Conflict[];
}

/** Gives every name one owner. The two spellings never meet: a canonical name has a dot, a portable one none. */
function settle(claims: readonly CatalogService[], kind: 'tools'): Settled<Tool>;
function settle(claims: readonly CatalogService[], kind: 'prompts'): Settled<ListItem>;
function settle(claims: readonly CatalogService[], kind: 'tools' | 'prompts'): Settled<ListItem> {
  const index = new Map<string, CatalogItem>();
  const losers: { item: CatalogItem; spelling: Spelling }[] = [];
  const own = new Map(
    claims.map((service) => [service.name, service.namespace === (service.name as string)]),
  );
  const outranks = (a: CatalogItem, b: CatalogItem): boolean => {
    const [ownA, ownB] = [own.get(a.service) ?? false, own.get(b.service) ?? false];
    if (ownA !== ownB) return ownA;
    return (compare(a.service, b.service) || compare(a.item.key, b.item.key)) < 0;
  };
  for (const service of claims) {
    for (const item of service[kind]) {
      for (const spelling of spellings) {
        const holder = index.get(item[spelling]);
        if (holder === undefined || outranks(item, holder)) {
          index.set(item[spelling], item);
          if (holder) losers.push({ item: holder, spelling });
        } else {
          losers.push({ item, spelling });
        }
      }
    }
  }
  const renamed = new Map<CatalogItem, CatalogItem>();
  const conflicts: Conflict[] = [];
  if (losers.length > 0) yieldNames(losers, kind, index, renamed, conflicts);
  return { index, renamed, conflicts };
}

const spellings: readonly Spelling[] = ['canonical', 'portable'];

function yieldNames(
  losers: readonly { item: CatalogItem; spelling: Spelling }[],
  kind: 'tools' | 'prompts',
  index: Map<string, CatalogItem>,
  renamed: Map<CatalogItem, CatalogItem>,
  conflicts: Conflict[],
): void {
  // Sorted, so that further clashes among the new names end the same way everywhere.
  const ordered = losers.toSorted(
    (a, b) => compare(a.item.service, b.item.service) || compare(a.item.item.key, b.item.item.key),
  );
  for (const { item, spelling } of ordered) {
    const name = item[spelling];
    const max = spelling === 'canonical' ? CANONICAL_MAX : PORTABLE_MAX;
    let instead = disambiguated(name, max, item.service, item.item.key);
    for (let round = 1; index.has(instead); round++) {
      instead = disambiguated(name, max, item.service, item.item.key, String(round));
    }
    const current = renamed.get(item) ?? item;
    const next: CatalogItem = {
      ...current,
      ...(spelling === 'canonical'
        ? { canonical: instead as CanonicalName }
        : { portable: instead as PublicName }),
    };
    renamed.set(item, next);
    const winner = index.get(name);
    // Names that this item still holds in its other spelling must lead to the new object.
    for (const held of [next.canonical, next.portable]) {
      const holder = index.get(held);
      if (holder === undefined || holder === item || holder === current) index.set(held, next);
    }
    if (winner) conflicts.push({ name, kind, winner, loser: item, instead });
  }
}

function rename<Item extends ListItem>(
  items: readonly CatalogItem<Item>[],
  renamed: ReadonlyMap<CatalogItem, CatalogItem<Item>>,
): readonly CatalogItem<Item>[] {
  if (renamed.size === 0 || !items.some((item) => renamed.has(item))) return items;
  return items.map((item) => renamed.get(item) ?? item);
}

/** The older object where it shows the same under the same names. */
function reuse(service: CatalogService, before: CatalogService | undefined): CatalogService {
  return before?.definition === service.definition &&
    before.namespace === service.namespace &&
    sameNames(before.tools, service.tools) &&
    sameNames(before.prompts, service.prompts)
    ? before
    : service;
}

function sameNames(a: readonly CatalogItem[], b: readonly CatalogItem[]): boolean {
  return (
    a.length === b.length &&
    a.every((entry, at) => {
      const other = b[at];
      return (
        entry.item === other?.item && entry.canonical === other.canonical && entry.portable === other.portable
      );
    })
  );
}

/** Each conflict is told to both sides. */
function gather(...all: readonly (readonly Conflict[])[]): ReadonlyMap<ServiceName, readonly Problem[]> {
  const problems = new Map<ServiceName, Problem[]>();
  const tell = (service: ServiceName, subject: string, message: string): void => {
    const problem: Problem = { code: 'NAME_CONFLICT', subject, message };
    const list = problems.get(service);
    if (list) list.push(problem);
    else problems.set(service, [problem]);
  };
  for (const { name, kind, winner, loser, instead } of all.flat()) {
    const mend = 'set another mcp-namespace on one of the services to tell them apart';
    tell(
      loser.service,
      `${kind}/${loser.item.key}`,
      `The name ${name} belongs to ${winner.item.key} of service ${winner.service}, so this is listed as ${instead}; ${mend}.`,
    );
    if (winner.service !== loser.service) {
      tell(
        winner.service,
        `${kind}/${winner.item.key}`,
        `Service ${loser.service} claims the name ${name} as well and got ${instead} instead; ${mend}.`,
      );
    }
  }
  return problems;
}
