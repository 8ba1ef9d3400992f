import { RouterError } from '../errors.ts';
import type { ItemKind, RoutingTable } from '../model.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import { memberString } from '../relay/json-scan.ts';
import type { Scope } from './client-session.ts';
import { decodeCursor, encodeCursor, type ListBytes, type ListView, type Page } from './list-bytes.ts';

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

/** A list from the table: no backend is asked. */
export function answerList(
  ports: ListPorts,
  table: RoutingTable,
  kind: ItemKind,
  view: { readonly scope: Scope; readonly names: 'portable' | 'dotted' },
  request: RequestEnvelope,
  answer: HttpAnswer,
): void {
  const page = readPage(ports, table, kind, view, request);
  const next = page.next ? `],"nextCursor":"${encodeCursor(page.next)}"}}` : ']}}';
  answer.sendParts([
    Buffer.from(`{"jsonrpc":"2.0","id":${request.id},"result":{"${kind}":[`),
    page.items,
    Buffer.from(next),
  ]);
}

/** @throws {RouterError} INVALID_CURSOR */
export function readPage(
  ports: ListPorts,
  table: RoutingTable,
  kind: ItemKind,
  { scope, names }: { readonly scope: Scope; readonly names: 'portable' | 'dotted' },
  request: RequestEnvelope,
): Page {
  const cursor = request.params && memberString(request.text, request.params, 'cursor');
  const after = cursor === undefined ? undefined : decodeCursor(cursor);
  if (cursor !== undefined && after === undefined) {
    throw new RouterError('INVALID_CURSOR', 'Unknown cursor. Start the list again without one.');
  }
  const listView: ListView =
    scope.kind === 'service' ? { kind, spelling: 'own', service: scope.service } : { kind, spelling: names };
  return ports.lists.page(table.catalog, listView, after, ports.pageSize);
}
