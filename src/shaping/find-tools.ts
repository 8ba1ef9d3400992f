import type { CatalogItem, ServiceName, Tool } from '../model.ts';
import { fuseByMeaning } from './fuse.ts';
import { parseJsonText, type JsonNode } from './json-text.ts';
import type { FindToolsArguments } from './meta-tools.ts';
import { searchTools, type VisibleTools } from './search.ts';
import { slimSchema } from './slim-schema.ts';
import type { ToolIndex } from './tool-index.ts';
import type { VectorStore } from './vectors.ts';

const MORE = 10;
const MAX_SERVERS = 50;
/** Longer descriptions are cut in results: five of them are read at once. */
const MAX_DESCRIPTION = 1000;

/** How a list spells a tool's name. */
export type Spell = (entry: CatalogItem<Tool>) => string;

export interface FoundTools {
  /** The best ones, whole. */
  readonly tools: readonly CatalogItem<Tool>[];
  /** The next ten, by name only. */
  readonly more: readonly CatalogItem<Tool>[];
  readonly total: number;
}

/** The tools that a caller may use. A `ReadonlySet` is one. */
export interface PermittedTools extends VisibleTools, Iterable<CatalogItem<Tool>> {}

/** A search by words alone or, where the question has a vector, by meaning as well. */
export interface FindInput {
  readonly index: ToolIndex;
  /** What the caller may use. */
  readonly permitted: PermittedTools;
  readonly arguments: FindToolsArguments;
  readonly meaning?: { readonly question: Float32Array; readonly vectors: VectorStore };
}

/** `find_tools`: nothing but permitted tools has any part in it. */
export function findTools({ index, permitted, arguments: asked, meaning }: FindInput): FoundTools {
  const visible = asked.server === undefined ? permitted : ofServer(permitted, asked.server);
  const wanted = asked.limit + MORE;
  const byWords = searchTools(index, visible, asked.query, meaning ? Math.max(wanted, 50) : wanted);
  const { hits, total } = meaning
    ? fuseByMeaning(byWords, visible, meaning.question, meaning.vectors, wanted)
    : byWords;
  const entries = hits.map(({ entry }) => entry);
  return { tools: entries.slice(0, asked.limit), more: entries.slice(asked.limit, wanted), total };
}

/** The tools of the service of this name or namespace, however its case is written. */
function ofServer(tools: PermittedTools, server: string): ReadonlySet<CatalogItem<Tool>> {
  const meant = server.trim().toLowerCase();
  const found = new Set<CatalogItem<Tool>>();
  for (const entry of tools) {
    const namespace = entry.canonical.slice(0, -entry.item.key.length - 1);
    if (entry.service.toLowerCase() === meant || namespace.toLowerCase() === meant) found.add(entry);
  }
  return found;
}

/** The result of `find_tools` as text: what was found or, where that is nothing, which servers there are. */
export function findToolsJson(input: FindInput, spell: Spell): string {
  const found = findTools(input);
  return found.tools.length > 0 ? foundToolsJson(found, spell) : nothingFoundJson(input.permitted);
}

/**
 * The result of `find_tools`, as text: its `structuredContent` and, minified, its text block. Schemas are slimmed
 * loss-free; `outputSchema` is left out, since `call_tool` promises none.
 */
export function foundToolsJson(found: FoundTools, spell: Spell): string {
  const tools = found.tools.map((entry) => foundTool(entry, spell(entry)));
  const more = found.more.map((entry) => JSON.stringify(spell(entry)));
  return `{"tools":[${tools.join(',')}],"total":${found.total},"more":[${more.join(',')}]}`;
}

function foundTool({ item }: CatalogItem<Tool>, name: string): string {
  const json = item.json;
  const tool = parseJsonText(json);
  const parts = [`"name":${JSON.stringify(name)}`];
  for (const key of ['description', 'inputSchema', 'annotations']) {
    const value = tool && memberOf(tool, key);
    if (!value) continue;
    const raw = json.slice(value.start, value.end);
    parts.push(
      `"${key}":${key === 'inputSchema' ? slimSchema(json, value, { name: item.key }) : shortened(raw)}`,
    );
  }
  return `{${parts.join(',')}}`;
}

function shortened(raw: string): string {
  if (raw.length <= MAX_DESCRIPTION || !raw.startsWith('"')) return raw;
  return JSON.stringify(
    `${(JSON.parse(raw) as string).slice(0, MAX_DESCRIPTION).replace(/[\uD800-\uDBFF]$/, '')}…`,
  );
}

function memberOf(tool: JsonNode, key: string): JsonNode | undefined {
  return tool.kind === 'object' ? tool.members.find((member) => member.key === key)?.value : undefined;
}

/** What is said where nothing was found: which servers there are, and how many tools each has. */
export function nothingFoundJson(visible: Iterable<CatalogItem<Tool>>): string {
  const counts = new Map<ServiceName, number>();
  for (const { service, item } of visible) {
    if (!item.appOnly) counts.set(service, (counts.get(service) ?? 0) + 1);
  }
  const servers = [...counts]
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .slice(0, MAX_SERVERS)
    .map(([name, tools]) => ({ name, tools }));
  return JSON.stringify({ tools: [], total: 0, more: [], servers });
}

/** A finished tool result around JSON text, for both eras: what models read, and the same as a value. */
export function metaResult(json: string): string {
  return `{"content":[{"type":"text","text":${JSON.stringify(json)}}],"structuredContent":${json}}`;
}

/** The three permitted names nearest to one that nobody has, for the error that says so. */
export function nearestNames(index: ToolIndex, visible: VisibleTools, name: string, spell: Spell): string[] {
  return searchTools(index, visible, name, 3).hits.map(({ entry }) => spell(entry));
}
