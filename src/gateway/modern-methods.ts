import type { IncomingHttpHeaders } from 'node:http';
import { RouterError } from '../errors.ts';
import type { Identity, ServiceName } from '../model.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import type { Answer } from '../relay/answer.ts';
import { memberString } from '../relay/json-scan.ts';
import type { ModernIntroduction } from '../relay/modern.ts';
import type { ToolMode } from '../shaping/tool-mode.ts';
import type { SessionPool } from '../upstream/session-pool.ts';
import { authorize, type Authorized } from './authorize.ts';
import { Call, type CallPorts, type Destination } from './call.ts';
import { exists, notFound, within, type Scope } from './scope.ts';
import { completionDestination } from './completion.ts';
import { answerDiscover } from './discover.ts';
import { extensionDestination } from './extensions.ts';
import { continuationLost, invalidState, type HeldCalls } from './held-calls.ts';
import type { HeldElsewhere } from './held-elsewhere.ts';
import { TASKS_EXTENSION } from './introduction.ts';
import { answerModernList, listMethods, type ListPorts, type View } from './lists.ts';
import { ModernCaller } from './modern-caller.ts';
import { checkParamHeaders, readModernRequest } from './modern-request.ts';
import { modernResult, type RouterInfo } from './modern-result.ts';
import { ownToolCalled, type Onward, type OwnTools } from './own-tools.ts';
import { promptDestination } from './prompts.ts';
import { readDestination } from './resources.ts';
import type { Subscriptions } from './subscriptions.ts';
import { taskDestination } from './tasks.ts';
import { hasApps, type ToolViews, type ToolWish } from './tool-views.ts';
import { toolDestination } from './tools.ts';
import type { Sight, Sights } from './sight.ts';

/** What a request of the stateless era may ask for, method by method. */
export interface ModernPorts {
  readonly router: RouterInfo;
  readonly sights: Sights;
  readonly stepUp: (path: string, scopes: readonly string[]) => RouterError;
  readonly calls: CallPorts;
  readonly lists: ListPorts;
  readonly pool: SessionPool;
  readonly held: HeldCalls;
  readonly heldElsewhere: HeldElsewhere;
  readonly subscriptions: Subscriptions;
  readonly toolViews: ToolViews;
  readonly ownTools: OwnTools;
}

/** Who asks, and where. */
export interface ModernClient extends Pick<View, 'scope' | 'names'> {
  /** Undefined: the default there. */
  readonly tools: ToolMode | undefined;
  readonly identity: Identity;
  /** Of the endpoint. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

/** Words of the session era that the modern one has taken back (2026-07-28, changelog). */
const removed: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'tasks/list',
  'tasks/result',
]);

/** Answers one request. @throws {RouterError} where it can be refused at once. */
export function handleModernRequest(
  ports: ModernPorts,
  client: ModernClient,
  request: RequestEnvelope,
  answer: Answer,
): void {
  const introduction = readModernRequest(request, client.headers);
  const { scope } = client;
  const table = ports.sights.of(client.identity, scope);
  const { method } = request;
  if (!exists(table, scope)) throw notFound();
  const { tools = ports.toolViews.rules(scope).mode, names } = client;
  const wish: ToolWish = { mode: tools, apps: hasApps(introduction.capabilities) };
  const list = listMethods.get(method);
  if (list !== undefined) {
    const view: View = { scope, names, tools: ports.toolViews.view(scope, wish) };
    answerModernList(ports.lists, ports.router, table, list, view, request, answer);
    return;
  }
  if (method === 'server/discover') {
    answerDiscover(ports.router, table, scope, request, answer);
    return;
  }
  if (method === 'subscriptions/listen') {
    ports.subscriptions.listen(request, answer, { identity: client.identity, scope, wish, introduction });
    return;
  }
  if (removed.has(method)) {
    throw new RouterError('METHOD_NOT_FOUND', `Method not found: ${method} is not part of this revision.`);
  }
  const authorized = (asked: RequestEnvelope): Authorized => {
    const wanted = within(scope, destinationOf(table, scope, introduction, asked));
    // Before it goes on with a call that waits: rules and scopes may be others by now.
    return authorize(table, wanted, asked, (scopes) => ports.stepUp(client.path, scopes));
  };
  const own = ownToolCalled(scope, request);
  if (own === undefined) {
    const to = authorized(request);
    checkParamHeaders(request, to.mirrored ?? [], client.headers);
    call(ports, client, introduction, table, { request, to }, answer);
    return;
  }
  const finish = (result: string): string => modernResult(ports.router, table, scope, result);
  // A list of the stateless era must not depend on what was asked before: nothing is activated.
  const onward = ports.ownTools.take(
    own,
    { sight: table, names, finish, activate: undefined },
    request,
    answer,
    authorized,
  );
  if (onward) call(ports, client, introduction, table, onward, answer);
}

function call(
  ports: ModernPorts,
  client: ModernClient,
  introduction: ModernIntroduction,
  table: Sight,
  { request, to }: Onward,
  answer: Answer,
): void {
  if (continued(ports, client.identity, table, to.service, request, answer)) return;
  const caller = new ModernCaller({
    ...client,
    introduction,
    table,
    pool: ports.pool,
    held: ports.held,
  });
  new Call(ports.calls, table, caller, request, to, answer).start();
}

function destinationOf(
  table: Sight,
  scope: Scope,
  introduction: ModernIntroduction,
  request: RequestEnvelope,
): Destination {
  switch (request.method) {
    case 'tools/call': {
      const tasks = introduction.capabilities.includes(`"${TASKS_EXTENSION}"`) ? 'any-time' : 'never';
      return toolDestination(table, scope, request, tasks);
    }
    case 'prompts/get':
      return promptDestination(table, scope, request);
    case 'resources/read':
      return readDestination(table, scope, request);
    case 'completion/complete':
      return completionDestination(table, scope, request);
    case 'tasks/get':
    case 'tasks/update':
    case 'tasks/cancel':
      return taskDestination(table, scope, request);
    default:
      return extensionDestination(table, scope, request);
  }
}

/** A request that goes on with a call which waits for it. */
function continued(
  { held, heldElsewhere }: Pick<ModernPorts, 'held' | 'heldElsewhere'>,
  identity: Identity,
  table: Sight,
  service: ServiceName,
  request: RequestEnvelope,
  answer: Answer,
): boolean {
  const state = request.params && memberString(request.text, request.params, 'requestState');
  if (state === undefined) return false;
  const found = held.find(state, request, identity.digest);
  switch (found.kind) {
    case 'held':
      if (found.call.service !== service) throw invalidState();
      found.call.resume(request, answer);
      return true;
    case 'foreign': {
      // A backend's own state, unless no backend is of the era that has such a thing.
      const targets = table.services.get(service)?.targets ?? [];
      if (targets.length > 0 && !targets.some((target) => target.eras.modern)) throw invalidState();
      return false;
    }
    case 'elsewhere':
      void heldElsewhere.forward(found.holder, request, state, { identity, service }, answer);
      return true;
    case 'lost':
      throw continuationLost();
  }
}
