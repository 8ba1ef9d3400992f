import type { CatalogService } from '../model.ts';
import {
  replaceMember,
  resultResponse,
  type NotificationEnvelope,
  type RequestEnvelope,
  type ResponseEnvelope,
} from '../relay/envelope.ts';
import { memberObject, memberString, memberText, splice, type Edit } from '../relay/json-scan.ts';
import type { BackendSession } from '../upstream/backend-sessions.ts';
import type { Scope } from './scope.ts';
import { relatedTaskEdit } from './task-ids.ts';
import { uriRewriter } from './uri-rewriter.ts';
import { hashOf, unwrapId, wrapId, type Unwrapped } from './wrapped-ids.ts';
import type { RawJson } from '../model.ts';

/** What becomes of a backend's own message. */
export type Spoken =
  | {
      readonly kind: 'to-client';
      readonly text: string;
      /** Of the client's ids: what it is asked with here, and what it need not answer any more. */
      readonly question?: RawJson | undefined;
      readonly takenBack?: RawJson | undefined;
    }
  /** The router answers in the client's place. */
  | { readonly kind: 'reply'; readonly text: string }
  | { readonly kind: 'nothing' };

const nothing: Spoken = { kind: 'nothing' };

/** A backend's own message as the client shall read it. `service` is undefined where names stay as they are. */
export function toClient(
  message: RequestEnvelope | NotificationEnvelope,
  from: BackendSession,
  scope: Scope,
  service: CatalogService | undefined,
): Spoken {
  // Whether the router is there is for the router to say; the client may have no stream open at all.
  if (message.kind === 'request' && message.method === 'ping') {
    return { kind: 'reply', text: resultResponse(message.id, '{}') };
  }
  const asks = message.kind === 'request';
  const clientId = (id: RawJson): RawJson => (scope.kind === 'service' ? id : wrapId(id, from.instance.id));
  const question = asks ? clientId(message.id) : undefined;
  const withdrawn = message.method === 'notifications/cancelled' && message.params;
  const id = withdrawn ? memberText(message.text, withdrawn, 'requestId') : undefined;
  const takenBack = id === undefined ? undefined : clientId(id as RawJson);
  if (scope.kind === 'service') return { kind: 'to-client', text: message.text, question, takenBack };
  const edits = asks ? requestEdits(message, from) : notificationEdits(message, from, service);
  if (edits === undefined) return nothing;
  const text = splice(message.text, edits);
  const rewriter = message.method.startsWith('notifications/resources/') ? uriRewriter(service) : undefined;
  return {
    kind: 'to-client',
    text: rewriter ? rewriter.message(text) : text,
    question,
    takenBack,
  };
}

/** Not about one request, so not for a stream that belongs to one (2026-07-28, streamable HTTP). */
const standalone: ReadonlySet<string> = new Set([
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/elicitation/complete',
  'notifications/tasks/status',
  'notifications/cancelled',
]);

/** A backend's message on the stream of a modern client's request; undefined where it may not stand there. */
export function requestScoped(
  message: RequestEnvelope | NotificationEnvelope,
  from: BackendSession,
  scope: Scope,
  service: CatalogService | undefined,
): string | undefined {
  if (message.kind === 'request' || standalone.has(message.method)) return undefined;
  const spoken = toClient(message, from, scope, service);
  return spoken.kind === 'to-client' ? spoken.text : undefined;
}

function requestEdits(message: RequestEnvelope, from: BackendSession): Edit[] {
  const { id: instance } = from.instance;
  const meta = message.params && memberObject(message.text, message.params, '_meta');
  const token = meta && memberText(message.text, meta, 'progressToken');
  return present(
    replaceMember(message.members, 'id', wrapId(message.id, instance)),
    token === undefined
      ? undefined
      : replaceMember(meta, 'progressToken', wrapId(token as RawJson, instance)),
    relatedTaskEdit(message.text, meta, instance),
  );
}

/** Undefined: not for the client. */
function notificationEdits(
  message: NotificationEnvelope,
  from: BackendSession,
  service: CatalogService | undefined,
): Edit[] | undefined {
  const { text, params, method } = message;
  const { id: instance } = from.instance;
  const meta = params && memberObject(text, params, '_meta');
  switch (method) {
    // The router tells of lists that changed itself, when the merged list has really changed.
    case 'notifications/tools/list_changed':
    case 'notifications/prompts/list_changed':
    case 'notifications/resources/list_changed':
      return undefined;
    case 'notifications/message':
      return present(loggerEdit(text, params, service?.namespace));
    // The server takes back a question of its own.
    case 'notifications/cancelled': {
      const id = params && memberText(text, params, 'requestId');
      return present(
        id === undefined ? undefined : replaceMember(params, 'requestId', wrapId(id as RawJson, instance)),
      );
    }
    case 'notifications/tasks/status': {
      const id = params && memberText(text, params, 'taskId');
      return present(
        id === undefined ? undefined : replaceMember(params, 'taskId', wrapId(id as RawJson, instance)),
      );
    }
    default:
      return present(relatedTaskEdit(text, meta, instance));
  }
}

/** Which of many servers speaks: `github`, or `github/http` where the server names a logger of its own. */
function loggerEdit(
  text: string,
  params: NotificationEnvelope['params'],
  namespace: string | undefined,
): Edit | undefined {
  if (!params || namespace === undefined) return undefined;
  const own = memberString(text, params, 'logger');
  if (own !== undefined) return replaceMember(params, 'logger', JSON.stringify(`${namespace}/${own}`));
  if (params.keys.includes('logger')) return undefined;
  const at = params.end - 1;
  const comma = params.keys.length > 0 ? ',' : '';
  return { start: at, end: at, insert: `${comma}"logger":${JSON.stringify(namespace)}` };
}

function present(...edits: readonly (Edit | undefined)[]): Edit[] {
  return edits.filter((edit) => edit !== undefined);
}

/** A client's message for one backend, under that backend's ids. */
export interface Addressed {
  readonly backend: BackendSession;
  readonly text: string;
}

/** Which backend a client's response answers. */
export function responseTo(
  response: ResponseEnvelope,
  backends: Iterable<BackendSession>,
  scope: Scope,
): Addressed | undefined {
  if (scope.kind === 'service') {
    for (const backend of backends) return { backend, text: response.text };
    return undefined;
  }
  return addressed(
    unwrapId(response.id),
    backends,
    (raw) => replaceMember(response.members, 'id', raw),
    response.text,
  );
}

/** Which backend's question a client's progress is about. */
export function progressTo(
  message: NotificationEnvelope,
  backends: Iterable<BackendSession>,
): Addressed | undefined {
  const token = message.params && memberText(message.text, message.params, 'progressToken');
  return addressed(
    token === undefined ? undefined : unwrapId(token),
    backends,
    (raw) => replaceMember(message.params, 'progressToken', raw),
    message.text,
  );
}

function addressed(
  wrapped: Unwrapped | undefined,
  backends: Iterable<BackendSession>,
  edit: (raw: RawJson) => Edit | undefined,
  text: string,
): Addressed | undefined {
  if (!wrapped) return undefined;
  for (const backend of backends) {
    if (hashOf(backend.instance.id) !== wrapped.instanceHash) continue;
    return { backend, text: splice(text, present(edit(wrapped.raw))) };
  }
  return undefined;
}
