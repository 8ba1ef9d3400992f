import { RouterError } from '../errors.ts';
import type { RoutingTable } from '../model.ts';
import { replaceMember, type RequestEnvelope } from '../relay/envelope.ts';
import { memberObject, memberString, splice, type ScannedObject } from '../relay/json-scan.ts';
import type { Destination } from './call.ts';
import type { Scope } from './scope.ts';
import { findPrompt } from './prompts.ts';
import { ownersOf } from './resources.ts';

/**
 * Where `completion/complete` goes: to who has the prompt, or the resource template, that it refers to.
 * @throws {RouterError} INVALID_PARAMS, UNKNOWN_PROMPT, UNKNOWN_RESOURCE
 */
export function completionDestination(
  table: RoutingTable,
  scope: Scope,
  request: RequestEnvelope,
): Destination {
  const { text, params } = request;
  const ref = params && memberObject(text, params, 'ref');
  const type = ref && memberString(text, ref, 'type');
  if (ref && type === 'ref/prompt') return ofPrompt(table, scope, request, ref);
  if (ref && type === 'ref/resource') return ofResource(table, scope, request, ref);
  throw new RouterError(
    'INVALID_PARAMS',
    'completion/complete needs a "ref" of type ref/prompt or ref/resource.',
  );
}

function ofPrompt(
  table: RoutingTable,
  scope: Scope,
  request: RequestEnvelope,
  ref: ScannedObject,
): Destination {
  const name = memberString(request.text, ref, 'name') ?? '';
  const found = findPrompt(table, scope, name);
  if (!found) throw new RouterError('UNKNOWN_PROMPT', `Unknown prompt: ${name.slice(0, 128)}`);
  return {
    ...destination(request, ref, 'name', name, found.item.key),
    service: found.service,
    item: { kind: 'prompts', key: found.item.key },
  };
}

function ofResource(
  table: RoutingTable,
  scope: Scope,
  request: RequestEnvelope,
  ref: ScannedObject,
): Destination {
  const uri = memberString(request.text, ref, 'uri') ?? '';
  const [owner] = ownersOf(table, scope, uri);
  if (!owner) throw new RouterError('UNKNOWN_RESOURCE', `Resource not found: ${uri.slice(0, 512)}`);
  return { ...destination(request, ref, 'uri', uri, owner.uri), service: owner.service };
}

function destination(
  request: RequestEnvelope,
  ref: ScannedObject,
  member: 'name' | 'uri',
  given: string,
  own: string,
): Omit<Destination, 'service'> {
  const edit = own === given ? undefined : replaceMember(ref, member, JSON.stringify(own));
  return {
    text: edit ? splice(request.text, [edit]) : request.text,
    repeatable: true,
    onlyReads: true,
    label: request.method,
  };
}
