import type { RouterError } from '../errors.ts';
import {
  resultResponse,
  type NotificationEnvelope,
  type RequestEnvelope,
  type ResponseEnvelope,
} from '../relay/envelope.ts';
import type { Answer } from '../relay/answer.ts';
import { memberText } from '../relay/json-scan.ts';
import type { RawJson } from '../model.ts';
import { authorize, type Authorized } from './authorize.ts';
import { Call, type CallPorts, type Destination } from './call.ts';
import type { ClientSession } from './client-session.ts';
import { completionDestination } from './completion.ts';
import { extensionDestination } from './extensions.ts';
import { answerList, listMethods, type ListPorts } from './lists.ts';
import { setLevel } from './logging.ts';
import { ownToolCalled, type OwnToolClient, type OwnTools } from './own-tools.ts';
import { promptDestination } from './prompts.ts';
import { readDestination, subscribeDestination, watchStateless } from './resources.ts';
import { progressTo, responseTo } from './server-messages.ts';
import { listTasks, taskDestination } from './tasks.ts';
import { within } from './scope.ts';
import type { Sight, Sights } from './sight.ts';
import type { ToolViews } from './tool-views.ts';
import { toolDestination } from './tools.ts';

/** What a session of the session era may ask for, method by method; each family has a file of its own. */
export interface LegacyPorts {
  readonly sights: Sights;
  /**
   * A challenge for more scopes.
   * @param path of the endpoint
   */
  readonly stepUp: (path: string, scopes: readonly string[]) => RouterError;
  readonly calls: CallPorts;
  readonly toolViews: ToolViews;
  readonly ownTools: OwnTools;
  readonly lists: ListPorts;
}

/** Answers one request. @throws {RouterError} where it can be refused at once. */
export function handleRequest(
  ports: LegacyPorts,
  session: ClientSession,
  request: RequestEnvelope,
  answer: Answer,
): void {
  const table = ports.sights.of(session.identity, session.scope);
  const list = listMethods.get(request.method);
  if (list !== undefined) {
    const { scope, seal, wish, activated } = session;
    const tools = ports.toolViews.view(scope, wish);
    answerList(ports.lists, table, list, { scope, names: seal.names, tools, activated }, request, answer);
    return;
  }
  switch (request.method) {
    case 'ping':
      answer.send(200, resultResponse(request.id, '{}'));
      return;
    case 'logging/setLevel':
      if (session.scope.kind === 'service') break;
      setLevel(session, request, answer);
      return;
    case 'tasks/list':
      if (session.scope.kind === 'service') break;
      void listTasks(table, session, request, answer);
      return;
    default:
  }
  const authorized = (asked: RequestEnvelope): Authorized => {
    const wanted = within(session.scope, destinationOf(table, session, asked));
    return authorize(table, wanted, asked, (scopes) => ports.stepUp(session.seal.path, scopes));
  };
  const own = ownToolCalled(session.scope, request);
  if (own !== undefined) {
    const onward = ports.ownTools.take(
      own,
      ownToolClient(ports, session, table),
      request,
      answer,
      authorized,
    );
    if (onward) new Call(ports.calls, table, session, onward.request, onward.to, answer).start();
    return;
  }
  const destination = authorized(request);
  if (subscribing.has(request.method) && watchStateless(table, session, destination, request, answer)) return;
  new Call(ports.calls, table, session, request, destination, answer).start();
}

function ownToolClient({ toolViews }: LegacyPorts, session: ClientSession, sight: Sight): OwnToolClient {
  const { activate } = toolViews.rules(session.scope);
  return {
    sight,
    names: session.seal.names,
    finish: (result) => result,
    activate: activate ? (found) => session.activate(found.map(({ canonical }) => canonical)) : undefined,
  };
}

const subscribing: ReadonlySet<string> = new Set(['resources/subscribe', 'resources/unsubscribe']);

function destinationOf(table: Sight, session: ClientSession, request: RequestEnvelope): Destination {
  const { scope } = session;
  switch (request.method) {
    case 'tools/call':
      return toolDestination(table, scope, request);
    case 'prompts/get':
      return promptDestination(table, scope, request);
    case 'resources/read':
      return readDestination(table, scope, request);
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return subscribeDestination(table, session, request);
    case 'completion/complete':
      return completionDestination(table, scope, request);
    case 'tasks/get':
    case 'tasks/result':
    case 'tasks/cancel':
      return taskDestination(table, scope, request);
    default:
      return extensionDestination(table, scope, request);
  }
}

export function handleNotification(session: ClientSession, message: NotificationEnvelope): void {
  const { text, params } = message;
  const { backends } = session;
  switch (message.method) {
    case 'notifications/cancelled': {
      const id = params && memberText(text, params, 'requestId');
      const reason = params && memberText(text, params, 'reason');
      if (id !== undefined) session.cancel(id as RawJson, reason as RawJson | undefined);
      return;
    }
    // Each backend has had its own when its session was opened.
    case 'notifications/initialized':
      return;
    case 'notifications/progress': {
      const found = session.scope.kind === 'all' ? progressTo(message, backends.all()) : undefined;
      if (found) backends.tell(found.backend, found.text);
      if (session.scope.kind === 'all') return;
      break;
    }
    default:
  }
  // roots/list_changed and what extensions may bring: for every backend of the session.
  for (const backend of backends.all()) backends.tell(backend, text);
}

export function handleResponse(session: ClientSession, message: ResponseEnvelope): void {
  if (session.answered(message)) return;
  const found = responseTo(message, session.backends.all(), session.scope);
  if (found) session.backends.tell(found.backend, found.text);
}
