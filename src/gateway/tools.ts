import { RouterError } from '../errors.ts';
import type { CatalogItem, RoutingTable, Tool } from '../model.ts';
import { withParam, type RequestEnvelope } from '../relay/envelope.ts';
import { memberString } from '../relay/json-scan.ts';
import { Call, type CallPorts } from './call.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import type { ClientSession } from './client-session.ts';
import { decodeCursor, encodeCursor, type ListBytes, type ListView } from './list-bytes.ts';

export interface ListPorts {
  readonly lists: ListBytes;
  readonly pageSize: number;
}

const LIST_HEAD = ',"result":{"tools":[';
const LIST_TAIL = Buffer.from(']}}');

/** `tools/list` from the table: no backend is asked. */
export function listTools(
  ports: ListPorts,
  table: RoutingTable,
  session: ClientSession,
  request: RequestEnvelope,
  answer: HttpAnswer,
): void {
  const cursor = request.params && memberString(request.text, request.params, 'cursor');
  const after = cursor === undefined ? undefined : decodeCursor(cursor);
  if (cursor !== undefined && after === undefined) {
    throw new RouterError('INVALID_CURSOR', 'Unknown cursor. Start the list again without one.');
  }
  const view: ListView =
    session.scope.kind === 'service'
      ? { kind: 'tools', spelling: 'own', service: session.scope.service }
      : { kind: 'tools', spelling: session.seal.names };
  const page = ports.lists.page(table.catalog, view, after, ports.pageSize);
  const head = Buffer.from(`{"jsonrpc":"2.0","id":${request.id}${LIST_HEAD}`);
  const tail = page.next ? Buffer.from(`],"nextCursor":"${encodeCursor(page.next)}"}}`) : LIST_TAIL;
  answer.sendParts([head, page.items, tail]);
}

/** `tools/call`: look the name up, rename, and let the call run. */
export function callTool(
  ports: CallPorts,
  table: RoutingTable,
  session: ClientSession,
  request: RequestEnvelope,
  answer: HttpAnswer,
): void {
  const name = request.params && memberString(request.text, request.params, 'name');
  if (name === undefined) throw new RouterError('INVALID_PARAMS', 'tools/call needs the name of a tool.');
  const found = findTool(table, session, name);
  if (!found) throw new RouterError('UNKNOWN_TOOL', `Unknown tool: ${name.slice(0, 128)}`);
  const { item } = found;
  const call = new Call(
    ports,
    table,
    session,
    request,
    {
      service: found.service,
      item: { kind: 'tools', key: item.key },
      text: item.key === name ? request.text : withParam(request, 'name', JSON.stringify(item.key)),
      repeatable: item.hints.readOnly || item.hints.idempotent,
      label: found.canonical,
    },
    answer,
  );
  call.start();
}

function findTool(table: RoutingTable, session: ClientSession, name: string): CatalogItem<Tool> | undefined {
  const { scope } = session;
  if (scope.kind === 'all') return table.catalog.tools.get(name);
  const service = table.catalog.services.find((entry) => entry.name === scope.service);
  return service?.tools.find((entry) => (entry.item.key as string) === name);
}
