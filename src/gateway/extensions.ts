import { RouterError } from '../errors.ts';
import type { RoutingTable } from '../model.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import { memberString } from '../relay/json-scan.ts';
import type { Destination } from './call.ts';
import type { Scope } from './scope.ts';
import { promptDestination } from './prompts.ts';
import { ownersOf } from './resources.ts';
import { toolDestination } from './tools.ts';

/**
 * A method that the router does not know. Where one service is served it passes untouched; where many are, to the
 * one that its `name` or `uri` belongs to.
 */
export function extensionDestination(
  table: RoutingTable,
  scope: Scope,
  request: RequestEnvelope,
): Destination {
  const { text, params, method } = request;
  const plain = { text, repeatable: false, label: method };
  if (scope.kind === 'service') return { ...plain, service: scope.service };
  const name = params && memberString(text, params, 'name');
  if (name !== undefined && table.catalog.tools.has(name))
    return { ...toolDestination(table, scope, request), label: method };
  if (name !== undefined && table.catalog.prompts.has(name))
    return { ...promptDestination(table, scope, request), label: method };
  const uri = params && memberString(text, params, 'uri');
  const owner =
    uri !== undefined && table.catalog.resources.has(uri) ? ownersOf(table, scope, uri)[0] : undefined;
  if (owner) return { ...plain, service: owner.service };
  throw new RouterError('METHOD_NOT_FOUND', `Method not found: ${method.slice(0, 128)}`);
}
