import { shortHash } from '../catalog/names.ts';
import type { InstanceId, RawJson } from '../model.ts';
import {
  replaceMember,
  type Envelope,
  type NotificationEnvelope,
  type RequestEnvelope,
} from '../relay/envelope.ts';
import { splice } from '../relay/json-scan.ts';
import type { BackendSession } from '../upstream/backend-sessions.ts';
import type { Scope } from './client-session.ts';

/**
 * A backend's own message as the client shall read it; undefined where it is not for the client.
 *
 * Requests of several backends meet in one client session, so their ids are made to name their backend: an
 * answer finds its way back at any replica, with nothing kept here.
 */
export function toClient(
  message: RequestEnvelope | NotificationEnvelope,
  from: BackendSession,
  scope: Scope,
): string | undefined {
  if (scope.kind === 'service') return message.text;
  if (message.kind === 'request') {
    const edit = replaceMember(message.members, 'id', wrapId(message.id, from.instance.id));
    return edit && splice(message.text, [edit]);
  }
  // The router tells of lists that changed itself, when the merged list has really changed.
  if (message.method.endsWith('/list_changed')) return undefined;
  return message.text;
}

const PREFIX = 'mcp-router';

/** JSON text of an id that names the backend: not by its instance id, which holds a node's name. */
function wrapId(id: RawJson, instance: InstanceId): RawJson {
  return JSON.stringify(`${PREFIX}/${shortHash(instance)}/${id}`) as RawJson;
}

/** The backend that a client's response answers, and the response as that backend expects it. */
export function toBackend(
  response: Extract<Envelope, { kind: 'response' }>,
  backends: Iterable<BackendSession>,
  scope: Scope,
): { readonly backend: BackendSession; readonly text: string } | undefined {
  if (scope.kind === 'service') {
    for (const backend of backends) return { backend, text: response.text };
    return undefined;
  }
  let id: unknown;
  try {
    id = JSON.parse(response.id);
  } catch {
    return undefined;
  }
  const parts = typeof id === 'string' ? /^mcp-router\/([^/]+)\/(.+)$/s.exec(id) : null;
  if (!parts) return undefined;
  for (const backend of backends) {
    if (shortHash(backend.instance.id) !== parts[1]) continue;
    const edit = replaceMember(response.members, 'id', parts[2] ?? 'null');
    return edit && { backend, text: splice(response.text, [edit]) };
  }
  return undefined;
}
