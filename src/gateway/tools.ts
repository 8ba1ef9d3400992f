import { RouterError } from '../errors.ts';
import type { CatalogItem, Tool } from '../model.ts';
import { withParam, type RequestEnvelope } from '../relay/envelope.ts';
import { memberString } from '../relay/json-scan.ts';
import type { Destination, DestinationWanted } from './call.ts';
import { shownBy, type Scope } from './scope.ts';
import { TASKS_EXTENSION } from './introduction.ts';
import { wrapTaskIds } from './task-ids.ts';
import { uriRewriter } from './uri-rewriter.ts';
import type { Sight } from './sight.ts';

/**
 * Where `tools/call` goes: the name is looked up, never split.
 * @throws {RouterError} UNKNOWN_TOOL, INVALID_PARAMS
 */
export function toolDestination(
  table: Sight,
  scope: Scope,
  request: RequestEnvelope,
  tasks: TaskUse = 'asked-for',
): Destination {
  const { text, params } = request;
  const name = params && memberString(text, params, 'name');
  if (name === undefined) throw new RouterError('INVALID_PARAMS', 'tools/call needs the name of a tool.');
  const found = findTool(table, scope, name);
  if (!found) {
    table.missed('tools', scope, name);
    throw unknownTool(name);
  }
  const { item, service } = found;
  return {
    service,
    wanted: toolWanted(found, name),
    item: { kind: 'tools', key: item.key },
    name: item.key,
    mirrored: item.headers,
    text: item.key === name ? text : withParam(request, 'name', JSON.stringify(item.key)),
    repeatable: item.hints.readOnly || item.hints.idempotent,
    // A task that is begun twice is two tasks.
    onlyReads: item.hints.readOnly && !(params?.keys.includes('task') ?? false),
    label: found.canonical,
    rewrite:
      scope.kind === 'all' ? answerRewriter(table, found, mayBeTask(table, found, tasks, params)) : undefined,
  };
}

/** @param name as the client spells it */
export function toolWanted({ canonical, service, item }: CatalogItem<Tool>, name: string): DestinationWanted {
  return { kind: 'tools', name: canonical, service, hints: item.hints, unknown: () => unknownTool(name) };
}

function unknownTool(name: string): RouterError {
  return new RouterError('UNKNOWN_TOOL', `Unknown tool: ${name.slice(0, 128)}`);
}

/**
 * When an answer can be a task: where the request asks for one (2025-11-25, tasks), or whenever the server likes
 * (2026-07-28, tasks extension), or never.
 */
export type TaskUse = 'asked-for' | 'any-time' | 'never';

function mayBeTask(
  table: Sight,
  { service }: CatalogItem,
  tasks: TaskUse,
  params: RequestEnvelope['params'],
): boolean {
  if (tasks === 'asked-for') return params?.keys.includes('task') ?? false;
  const definition = table.catalog.byName.get(service)?.definition;
  return tasks === 'any-time' && (definition?.capabilities.includes(`"${TASKS_EXTENSION}"`) ?? false);
}

/** What has to be changed in the answer: nearly always nothing. */
function answerRewriter(table: Sight, { service }: CatalogItem, asTask: boolean): Destination['rewrite'] {
  const uris = uriRewriter(table.catalog.byName.get(service));
  if (!uris && !asTask) return undefined;
  return (text, backend) => {
    const tasks = asTask ? wrapTaskIds(text, backend.instance.id) : text;
    return uris ? uris.message(tasks) : tasks;
  };
}

export function findTool(table: Sight, scope: Scope, name: string): CatalogItem<Tool> | undefined {
  if (scope.kind === 'all') return table.catalog.tools.get(name) ?? findAppTool(table, name);
  return shownBy(table, scope)?.tools.find((entry) => (entry.item.key as string) === name);
}

/**
 * The page of an MCP App calls its server's tools by the bare names that are baked into it, over the connection
 * that its host has. So a bare name is taken where exactly one service with an app has such a tool.
 */
function findAppTool(table: Sight, name: string): CatalogItem<Tool> | undefined {
  let found: CatalogItem<Tool> | undefined;
  for (const service of table.catalog.services) {
    if (!service.tools.some((entry) => entry.item.hasApp)) continue;
    const tool = service.tools.find((entry) => (entry.item.key as string) === name);
    if (tool && found) return undefined;
    found ??= tool;
  }
  return found;
}
