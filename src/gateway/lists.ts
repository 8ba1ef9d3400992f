import { RouterError } from '../errors.ts';
import type { CanonicalName, ItemKind } from '../model.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import type { MetaToolName } from '../shaping/meta-tools.ts';
import type { Answer } from '../relay/answer.ts';
import { memberString } from '../relay/json-scan.ts';
import { shownBy, type Scope } from './scope.ts';
import { decodeCursor, encodeCursor, type ListBytes, type ListView, type Page } from './list-bytes.ts';
import { modernFrame, type RouterInfo } from './modern-result.ts';
import type { Sight } from './sight.ts';
import { ownToolBytes, type ToolView } from './tool-views.ts';

export interface ListPorts {
  readonly lists: ListBytes;
  readonly pageSize: number;
}

/** The list methods, and which list each gives. */
export const listMethods: ReadonlyMap<string, ItemKind> = new Map([
  ['tools/list', 'tools'],
  ['prompts/list', 'prompts'],
  ['resources/list', 'resources'],
  ['resources/templates/list', 'resourceTemplates'],
]);

export interface View {
  readonly scope: Scope;
  readonly names: 'portable' | 'dotted';
  /** What of the tools is shown, where services are merged. */
  readonly tools: ToolView;
  /** Canonical names of tools that the session has found. */
  readonly activated?: ReadonlySet<CanonicalName> | undefined;
}

/** A list from the table: no backend is asked. */
export function answerList(
  ports: ListPorts,
  table: Sight,
  kind: ItemKind,
  view: View,
  request: RequestEnvelope,
  answer: Answer,
): void {
  const page = readPage(ports, table, kind, view, 'legacy', request);
  const parts = [
    Buffer.from(`{"jsonrpc":"2.0","id":${request.id},"result":{"${kind}":[`),
    ...page.items,
    Buffer.from(`]${cursorMember(page)}}}`),
  ];
  if (!answer.prefersStream) {
    answer.sendParts(parts);
    return;
  }
  answer.beginStream();
  answer.event(Buffer.concat(parts).toString());
  answer.end();
}

/** The same for the modern era: with how long and by whom it may be kept. */
export function answerModernList(
  ports: ListPorts,
  router: RouterInfo,
  table: Sight,
  kind: ItemKind,
  view: View,
  request: RequestEnvelope,
  answer: Answer,
): void {
  const page = readPage(ports, table, kind, view, 'modern', request);
  const frame = modernFrame(router, table, view.scope);
  answer.sendParts([
    Buffer.from(`{"jsonrpc":"2.0","id":${request.id},"result":{"resultType":"complete","${kind}":[`),
    ...page.items,
    Buffer.from(`]${cursorMember(page)},${frame}}}`),
  ]);
}

function cursorMember({ next }: ShownPage): string {
  return next ? `,"nextCursor":"${encodeCursor(next)}"` : '';
}

/** A page with what the router adds to it, in parts that are ready. */
interface ShownPage {
  readonly items: readonly Buffer[];
  readonly next: Page['next'];
}

/** @throws {RouterError} INVALID_CURSOR */
function readPage(
  ports: ListPorts,
  table: Sight,
  kind: ItemKind,
  { scope, names, tools, activated }: View,
  era: ListView['era'],
  request: RequestEnvelope,
): ShownPage {
  const cursor = request.params && memberString(request.text, request.params, 'cursor');
  const after = cursor === undefined ? undefined : decodeCursor(cursor);
  if (cursor !== undefined && after === undefined) {
    throw new RouterError('INVALID_CURSOR', 'Unknown cursor. Start the list again without one.');
  }
  const { lists, pageSize } = ports;
  if (scope.kind === 'all') {
    if (kind === 'tools') {
      const shown = tools.shown(table.catalog, activated);
      const view: ListView = { kind, era, spelling: names, slim: tools.rules.slim };
      const page = lists.page(shown, view, after, pageSize);
      return { ...page, items: [...(after ? [] : ownTools(shown.own, page)), page.items] };
    }
    return oneBuffer(lists.page(table.catalog, { kind, era, spelling: names }, after, pageSize));
  }
  const only = shownBy(table, scope);
  if (!only) return { items: [], next: undefined };
  const view: ListView = { kind, era, spelling: 'own', only };
  return oneBuffer(lists.page(table.catalog, view, after, pageSize));
}

function oneBuffer({ items, next }: Page): ShownPage {
  return { items: [items], next };
}

const COMMA = Buffer.from(',');

/** The router's own tools come first: they are not counted, and every client reads the first page. */
function ownTools(names: readonly MetaToolName[], { items }: Page): readonly Buffer[] {
  const all = ownToolBytes(names).flatMap((bytes, at) => (at === 0 ? [bytes] : [COMMA, bytes]));
  return all.length > 0 && items.length > 0 ? [...all, COMMA] : all;
}
