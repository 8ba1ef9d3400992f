import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import * as modern from '@modelcontextprotocol/core';
import * as legacy from '@modelcontextprotocol/sdk/types.js';
import type {
  Digest,
  ItemKind,
  ListItem,
  Problem,
  RawJson,
  ServerDefinition,
  Tool,
  ToolHints,
  UpstreamName,
} from '../model.ts';
import { memberIndex, scanObject, type ScannedObject } from '../relay/json-scan.ts';
import { readParamHeaders } from './param-headers.ts';

/** What a server said of itself when it was asked, as raw JSON text. */
export interface Statement {
  readonly protocolVersion: string;
  readonly serverInfo: RawJson;
  readonly capabilities: RawJson;
  readonly instructions: string | undefined;
  readonly cache?: ServerDefinition['cache'];
  /** Items of all pages, in the server's order. */
  readonly items: Readonly<Record<ItemKind, readonly RawJson[]>>;
  /** Found while asking: a list that failed, a cursor that went in circles. */
  readonly problems: readonly Problem[];
}

/**
 * Per list: which member is the key, and what the official SDK's clients of each era demand of an item. They
 * refuse a whole list for one item that is wrong, so such an item is kept from them, with the reason. The schemas
 * only judge; the text of an item stays as the server wrote it.
 */
const lists = {
  tools: { key: 'name', one: 'tool', legacy: legacy.ToolSchema, modern: modern.ToolSchema },
  prompts: { key: 'name', one: 'prompt', legacy: legacy.PromptSchema, modern: modern.PromptSchema },
  resources: { key: 'uri', one: 'resource', legacy: legacy.ResourceSchema, modern: modern.ResourceSchema },
  resourceTemplates: {
    key: 'uriTemplate',
    one: 'resource template',
    legacy: legacy.ResourceTemplateSchema,
    modern: modern.ResourceTemplateSchema,
  },
} as const;

/** Problems of items that are kept; a hostile server could make millions. */
const MAX_PROBLEMS = 50;

export async function readDefinition(statement: Statement): Promise<ServerDefinition> {
  const problems = [...statement.problems];
  const tools = await readItems('tools', statement.items.tools, problems, (item, value) =>
    readTool(item, value, problems),
  );
  const plain = (item: ListItem): ListItem => item;
  const prompts = await readItems('prompts', statement.items.prompts, problems, plain);
  const resources = await readItems('resources', statement.items.resources, problems, plain);
  const resourceTemplates = await readItems(
    'resourceTemplates',
    statement.items.resourceTemplates,
    problems,
    plain,
  );
  const hash = createHash('sha256');
  for (const items of [tools, prompts, resources, resourceTemplates]) {
    hash.update(`${items.length}\n`);
    for (const item of items) hash.update(`${item.digest}\n`);
  }
  hash.update(`${statement.instructions ?? ''}\n${canonical(JSON.parse(statement.capabilities))}`);
  return {
    digest: hash.digest('hex') as Digest,
    protocolVersion: statement.protocolVersion,
    serverInfo: statement.serverInfo,
    capabilities: statement.capabilities,
    ...(statement.instructions === undefined ? {} : { instructions: statement.instructions }),
    ...(statement.cache && { cache: statement.cache }),
    tools,
    prompts,
    resources,
    resourceTemplates,
    problems: problems.slice(0, MAX_PROBLEMS),
  };
}

/** Ten thousand items are a second of work; calls must not wait for more than a slice of it. */
const SLICE_MS = 5;

async function readItems<Item extends ListItem>(
  kind: ItemKind,
  raws: readonly RawJson[],
  problems: Problem[],
  finish: (item: ListItem, value: Readonly<Record<string, unknown>>) => Item,
): Promise<readonly Item[]> {
  const items = new Map<string, Item>();
  let sliceStart = performance.now();
  for (const [at, raw] of raws.entries()) {
    if (performance.now() - sliceStart > SLICE_MS) {
      await setImmediate();
      sliceStart = performance.now();
    }
    const read = readItem(kind, raw, at);
    if ('code' in read) problems.push(read);
    else if (items.has(read.item.key)) {
      problems.push({
        code: 'DUPLICATE_ITEM',
        subject: `${kind}/${read.item.key}`,
        message: `The server lists the ${lists[kind].one} ${read.item.key} more than once; the first one counts.`,
      });
    } else items.set(read.item.key, finish(read.item, read.value));
  }
  return [...items.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

function readItem(
  kind: ItemKind,
  raw: RawJson,
  at: number,
): { item: ListItem; value: Readonly<Record<string, unknown>> } | Problem {
  const { key, one } = lists[kind];
  let value: unknown;
  let scanned: ScannedObject;
  let normal: string;
  try {
    value = JSON.parse(raw);
    scanned = scanObject(raw, 0);
    normal = canonical(value);
  } catch (error) {
    return leftOut(kind, `${at}`, error instanceof Error ? error.message : String(error));
  }
  const name = (value as Record<string, unknown>)[key];
  if (typeof name !== 'string' || name === '') return leftOut(kind, `${at}`, `it has no ${key}`);
  const eras = judge(kind, value);
  if (typeof eras === 'object')
    return leftOut(kind, name, `clients would refuse this ${one} (${eras.reason})`);
  const member = memberIndex(scanned, key);
  const span = [scanned.starts[member] ?? 0, scanned.ends[member] ?? 0] as const;
  const digest = createHash('sha256').update(normal).digest('hex') as Digest;
  return {
    item: { key: name as UpstreamName, json: raw, keySpan: span, digest, eras },
    value: value as Record<string, unknown>,
  };
}

function readTool(item: ListItem, value: Readonly<Record<string, unknown>>, problems: Problem[]): Tool {
  const headers = readParamHeaders(value['inputSchema']);
  const tool = { hints: readHints(value), ...readApp(value) };
  if (typeof headers !== 'string') return { ...item, ...tool, headers };
  problems.push({
    code: 'INVALID_ITEM',
    subject: `tools/${item.key}`,
    message: `The tool ${item.key} is kept from clients of revision 2026-07-28: ${headers}. Mend it in the server.`,
  });
  return { ...item, ...tool, headers: [], eras: 'legacy' };
}

/** Whose clients take the item; a reason where nobody's would. */
function judge(kind: ItemKind, value: unknown): ListItem['eras'] | { readonly reason: string } {
  const byLegacy = lists[kind].legacy.safeParse(value);
  const byModern = lists[kind].modern.safeParse(value);
  if (byLegacy.success) return byModern.success ? 'both' : 'legacy';
  if (byModern.success) return 'modern';
  const issue = byLegacy.error.issues[0];
  const where = issue && issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
  return { reason: `${where}${issue?.message ?? 'invalid'}` };
}

function leftOut(kind: ItemKind, subject: string, reason: string): Problem {
  return {
    code: 'INVALID_ITEM',
    subject: `${kind}/${subject}`,
    message: `A ${lists[kind].one} is left out: ${reason}. Mend it in the server.`,
  };
}

/** Absent hints have the specification's defaults (2025-11-25, schema, ToolAnnotations): the worst case. */
function readHints(tool: Readonly<Record<string, unknown>>): ToolHints {
  const annotations = tool['annotations'];
  const given = (annotations !== null && typeof annotations === 'object' ? annotations : {}) as Record<
    string,
    unknown
  >;
  const readOnly = given['readOnlyHint'] === true;
  return {
    readOnly,
    destructive: !readOnly && given['destructiveHint'] !== false,
    idempotent: readOnly || given['idempotentHint'] === true,
    openWorld: given['openWorldHint'] !== false,
  };
}

/** MCP Apps: the page that a tool opens, in both spellings, and who may call it (ext-apps, tool metadata). */
function readApp(tool: Readonly<Record<string, unknown>>): Pick<Tool, 'hasApp' | 'appOnly'> {
  const meta = (tool['_meta'] ?? {}) as Record<string, unknown>;
  const ui = (typeof meta['ui'] === 'object' && meta['ui'] !== null ? meta['ui'] : {}) as Record<
    string,
    unknown
  >;
  const uri = ui['resourceUri'] ?? meta['ui/resourceUri'];
  const visibility = ui['visibility'];
  return {
    hasApp: typeof uri === 'string' && uri.startsWith('ui://'),
    appOnly: Array.isArray(visibility) && !visibility.includes('model'),
  };
}

/** Nested deeper than any schema that means well. */
const MAX_DEPTH = 200;

/** JSON text with sorted keys and no white space: equal for equal content. */
export function canonical(value: unknown, depth = 0): string {
  if (depth > MAX_DEPTH) throw new RangeError(`nested more than ${MAX_DEPTH} levels deep`);
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, depth + 1)).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const object = value as Record<string, unknown>;
  const members = Object.keys(object)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(object[key], depth + 1)}`);
  return `{${members.join(',')}}`;
}
