import { RouterError } from '../errors.ts';
import type { ItemKind } from '../model.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import type { Answer } from '../relay/answer.ts';
import { memberString } from '../relay/json-scan.ts';
import { shownBy, type Scope } from './scope.ts';
import { decodeCursor, encodeCursor, type ListBytes, type ListView, type Page } from './list-bytes.ts';
import { modernFrame, type RouterInfo } from './modern-result.ts';
import type { Sight } from './sight.ts';

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
    page.items,
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
    page.items,
    Buffer.from(`]${cursorMember(page)},${frame}}}`),
  ]);
}

function cursorMember({ next }: Page): string {
  return next ? `,"nextCursor":"${encodeCursor(next)}"` : '';
}

/** @throws {RouterError} INVALID_CURSOR */
function readPage(
  ports: ListPorts,
  table: Sight,
  kind: ItemKind,
  { scope, names }: View,
  era: ListView['era'],
  request: RequestEnvelope,
): Page {
  const cursor = request.params && memberString(request.text, request.params, 'cursor');
  const after = cursor === undefined ? undefined : decodeCursor(cursor);
  if (cursor !== undefined && after === undefined) {
    throw new RouterError('INVALID_CURSOR', 'Unknown cursor. Start the list again without one.');
  }
  if (scope.kind === 'all') {
    return ports.lists.page(table.catalog, { kind, era, spelling: names }, after, ports.pageSize);
  }
  const only = shownBy(table, scope);
  if (!only) return { items: Buffer.alloc(0), next: undefined };
  const view: ListView = { kind, era, spelling: 'own', only };
  return ports.lists.page(table.catalog, view, after, ports.pageSize);
}
