import type {
  CanonicalName,
  Catalog,
  CatalogItem,
  CatalogResource,
  CatalogService,
  ListItem,
  Problem,
  PublicName,
  ServerDefinition,
  ServiceName,
  Tool,
} from '../model.ts';
import { nameFilter } from './glob.ts';
import { settleUris, type SettledUris } from './resource-owners.ts';
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

  const ranks = ranking(claims);
  const tools = settle(claims, 'tools', ranks);
  const prompts = settle(claims, 'prompts', ranks);
  const uris = settleUris(claims, (a, b) => ranks(a, a.item.key, b, b.item.key));
  const before = previous?.byName ?? byName();
  const services = claims.map((service) => {
    const settled = {
      tools: rename(service.tools, tools.renamed),
      prompts: rename(service.prompts, prompts.renamed),
      resources: rename(service.resources, uris.renamed),
      resourceTemplates: rename(service.resourceTemplates, uris.renamed),
    };
    const rewritesUris =
      settled.resources !== service.resources || settled.resourceTemplates !== service.resourceTemplates;
    if (!rewritesUris && settled.tools === service.tools && settled.prompts === service.prompts)
      return service;
    return reuse({ ...service, ...settled, rewritesUris }, before.get(service.name));
  });
  return {
    services,
    byName: byName(services),
    claims,
    tools: tools.index,
    prompts: prompts.index,
    resources: uris.index,
    problems: gather([...tools.conflicts, ...prompts.conflicts], uris.problems),
  };
}

/** Whether `a` goes before `b` where both claim the same: its service bears the namespace, or comes first. */
type Ranking = (
  a: { readonly service: ServiceName },
  keyOfA: string,
  b: { readonly service: ServiceName },
  keyOfB: string,
) => boolean;

function ranking(claims: readonly CatalogService[]): Ranking {
  const own = new Map(
    claims.map((service) => [service.name, service.namespace === (service.name as string)]),
  );
  return (a, keyOfA, b, keyOfB) => {
    const [ownA, ownB] = [own.get(a.service) ?? false, own.get(b.service) ?? false];
    if (ownA !== ownB) return ownA;
    return (compare(a.service, b.service) || compare(keyOfA, keyOfB)) < 0;
  };
}

function byName(services: readonly CatalogService[] = []): ReadonlyMap<ServiceName, CatalogService> {
  return new Map(services.map((service) => [service.name, service]));
}

/** Code units, not locale: the same order on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What a service would show if it were the only one. */
export function serviceAlone(shown: ShownService): CatalogService {
  return claim(shown, undefined);
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
  const resource = (item: ListItem): CatalogResource => ({ service: shown.name, item, uri: item.key });
  return {
    name: shown.name,
    namespace: shown.namespace,
    definition,
    tools: tools.map(entry),
    prompts: definition.prompts.map(entry),
    resources: definition.resources.map(resource),
    resourceTemplates: definition.resourceTemplates.map(resource),
    rewritesUris: false,
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
function settle(claims: readonly CatalogService[], kind: 'tools', ranks: Ranking): Settled<Tool>;
function settle(claims: readonly CatalogService[], kind: 'prompts', ranks: Ranking): Settled<ListItem>;
function settle(
  claims: readonly CatalogService[],
  kind: 'tools' | 'prompts',
  ranks: Ranking,
): Settled<ListItem> {
  const index = new Map<string, CatalogItem>();
  const losers: { item: CatalogItem; spelling: Spelling }[] = [];
  for (const service of claims) {
    for (const item of service[kind]) {
      for (const spelling of spellings) {
        const holder = index.get(item[spelling]);
        if (holder === undefined || ranks(item, item.item.key, holder, holder.item.key)) {
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

function rename<Entry extends CatalogItem | CatalogResource>(
  entries: readonly Entry[],
  renamed: ReadonlyMap<CatalogItem | CatalogResource, Entry>,
): readonly Entry[] {
  if (renamed.size === 0 || !entries.some((entry) => renamed.has(entry))) return entries;
  return entries.map((entry) => renamed.get(entry) ?? entry);
}

/** The older object where it shows the same under the same names. */
function reuse(service: CatalogService, before: CatalogService | undefined): CatalogService {
  return before?.definition === service.definition &&
    before.namespace === service.namespace &&
    sameNames(before.tools, service.tools) &&
    sameNames(before.prompts, service.prompts) &&
    sameUris(before.resources, service.resources) &&
    sameUris(before.resourceTemplates, service.resourceTemplates)
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

function sameUris(a: readonly CatalogResource[], b: readonly CatalogResource[]): boolean {
  return (
    a.length === b.length && a.every((entry, at) => entry.item === b[at]?.item && entry.uri === b[at].uri)
  );
}

/** Each conflict is told to both sides. */
function gather(
  conflicts: readonly Conflict[],
  others: SettledUris['problems'],
): ReadonlyMap<ServiceName, readonly Problem[]> {
  const problems = new Map<ServiceName, Problem[]>();
  const add = (service: ServiceName, problem: Problem): void => {
    const list = problems.get(service);
    if (list) list.push(problem);
    else problems.set(service, [problem]);
  };
  const tell = (service: ServiceName, subject: string, message: string): void => {
    add(service, { code: 'NAME_CONFLICT', subject, message });
  };
  for (const { name, kind, winner, loser, instead } of conflicts) {
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
  for (const { service, problem } of others) add(service, problem);
  return problems;
}
