import { RouterError } from '../errors.ts';

import { replaceMember, type RequestEnvelope } from '../relay/envelope.ts';
import { memberObject, memberString, splice, type ScannedObject } from '../relay/json-scan.ts';
import type { Destination } from './call.ts';
import type { Scope } from './scope.ts';
import { findPrompt, promptWanted, unknownPrompt } from './prompts.ts';
import { ownersOf, resourceWanted, unknownResource } from './resources.ts';
import type { Sight } from './sight.ts';

/**
 * Where `completion/complete` goes: to who has the prompt, or the resource template, that it refers to.
 * @throws {RouterError} INVALID_PARAMS, UNKNOWN_PROMPT, UNKNOWN_RESOURCE
 */
export function completionDestination(table: Sight, scope: Scope, request: RequestEnvelope): Destination {
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

function ofPrompt(table: Sight, scope: Scope, request: RequestEnvelope, ref: ScannedObject): Destination {
  const name = memberString(request.text, ref, 'name') ?? '';
  const found = findPrompt(table, scope, name);
  if (!found) {
    table.missed('prompts', scope, name);
    throw unknownPrompt(name);
  }
  return {
    ...destination(request, ref, 'name', name, found.item.key),
    service: found.service,
    wanted: { ...promptWanted(found, name), whateverArgs: true },
    item: { kind: 'prompts', key: found.item.key },
  };
}

function ofResource(table: Sight, scope: Scope, request: RequestEnvelope, ref: ScannedObject): Destination {
  const uri = memberString(request.text, ref, 'uri') ?? '';
  const [owner] = ownersOf(table, scope, uri);
  if (!owner) throw unknownResource(uri);
  return {
    ...destination(request, ref, 'uri', uri, owner.uri),
    service: owner.service,
    wanted: resourceWanted(owner, uri),
  };
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
