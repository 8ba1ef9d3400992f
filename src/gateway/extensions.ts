import { RouterError } from '../errors.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import { memberString } from '../relay/json-scan.ts';
import type { Destination, DestinationWanted } from './call.ts';
import { findPrompt, promptDestination, promptWanted } from './prompts.ts';
import { ownersOf, resourceWanted } from './resources.ts';
import { shownBy, type Scope, type ServiceScope } from './scope.ts';
import type { Sight } from './sight.ts';
import { findTool, toolDestination, toolWanted } from './tools.ts';

/** Known methods that are about no tool, prompt or resource, and that a service answers itself where it is alone. */
const harmless: ReadonlySet<string> = new Set(['logging/setLevel', 'tasks/list']);

/**
 * A method that the router does not know. Where one service is served it passes untouched; where many are, to the
 * one that its `name` or `uri` belongs to. What it does nobody knows, so where a caller may see a part of the
 * service only, it has to name something in that part.
 * @throws {RouterError} METHOD_NOT_FOUND
 */
export function extensionDestination(table: Sight, scope: Scope, request: RequestEnvelope): Destination {
  const { text, method } = request;
  const plain = { text, repeatable: false, label: method };
  if (scope.kind === 'all') return ofAll(table, scope, request, plain);
  if (harmless.has(method)) return { ...plain, service: scope.service };
  const wanted = namedIn(table, scope, request);
  if (!wanted && table.restricted && !seesAll(table, scope)) throw unknownMethod(method);
  return { ...plain, service: scope.service, wanted };
}

function ofAll(
  table: Sight,
  scope: Scope,
  request: RequestEnvelope,
  plain: Omit<Destination, 'service'>,
): Destination {
  const { text, params, method } = request;
  const name = params && memberString(text, params, 'name');
  if (name !== undefined && table.catalog.tools.has(name))
    return { ...toolDestination(table, scope, request), label: method };
  if (name !== undefined && table.catalog.prompts.has(name))
    return { ...promptDestination(table, scope, request), label: method };
  const uri = params && memberString(text, params, 'uri');
  if (uri !== undefined && table.catalog.resources.has(uri)) {
    const [owner] = ownersOf(table, scope, uri);
    if (owner) return { ...plain, service: owner.service, wanted: resourceWanted(owner, uri) };
  }
  throw unknownMethod(method);
}

function seesAll(table: Sight, scope: ServiceScope): boolean {
  const shown = shownBy(table, scope);
  return shown !== undefined && shown.whole === undefined;
}

/** What of the service the request names, as the rules know it; its absence and its denial look alike. */
function namedIn(
  table: Sight,
  scope: ServiceScope,
  { text, params, method }: RequestEnvelope,
): DestinationWanted | undefined {
  if (!params) return undefined;
  const unknown = (): RouterError => unknownMethod(method);
  const name = memberString(text, params, 'name');
  if (name !== undefined) {
    const tool = findTool(table, scope, name);
    if (tool) return { ...toolWanted(tool, name), unknown };
    const prompt = findPrompt(table, scope, name);
    return prompt && { ...promptWanted(prompt, name), unknown };
  }
  const uri = memberString(text, params, 'uri');
  const [owner] = uri === undefined ? [] : ownersOf(table, scope, uri);
  return owner && uri !== undefined ? { ...resourceWanted(owner, uri), unknown } : undefined;
}

function unknownMethod(method: string): RouterError {
  return new RouterError('METHOD_NOT_FOUND', `Method not found: ${method.slice(0, 128)}`);
}
