import { RouterError } from '../errors.ts';
import type { Identity, RawJson } from '../model.ts';
import { resultResponse, type RequestEnvelope } from '../relay/envelope.ts';
import { SESSION_HEADER } from '../relay/headers.ts';
import { isObject, memberString, memberText, scanObject } from '../relay/json-scan.ts';
import { negotiate } from '../relay/versions.ts';
import type { Answer } from '../relay/answer.ts';
import type { ToolMode } from '../shaping/tool-mode.ts';
import { shownBy, type Scope } from './scope.ts';
import type { ClientSession } from './client-session.ts';
import type { ClientSessions } from './client-sessions.ts';
import { legacyCapabilities, mergedIntroduction, together } from './introduction.ts';
import type { RouterInfo } from './modern-result.ts';
import type { SessionSeal } from './sealed-id.ts';
import type { Sight } from './sight.ts';
import { hasApps, type ToolViews } from './tool-views.ts';

/** All of it stands in the session id, a header of every request. */
const MAX_CLIENT_INFO_BYTES = 512;
const MAX_CAPABILITIES_BYTES = 2048;

/** Where and by whom a session is opened. */
export interface SessionPlace extends Pick<SessionSeal, 'path' | 'names'> {
  readonly scope: Scope;
  readonly identity: Identity;
  /** Undefined: the default there. */
  readonly tools: ToolMode | undefined;
}

/**
 * `initialize` at an endpoint that merges services. The capabilities are what the router can do, not the union
 * of the moment: they are fixed for the session, services come and go.
 */
export function initialize(
  router: RouterInfo,
  views: ToolViews,
  sessions: ClientSessions,
  request: RequestEnvelope,
  at: SessionPlace,
  table: Sight,
  answer: Answer,
): ClientSession {
  const { scope, identity, path, names } = at;
  const introduced = readIntroduction(request);
  const wish = { mode: at.tools ?? views.rules(scope).mode, apps: hasApps(introduced.capabilities) };
  // A list that flips between modes would pull tools away from under a running conversation.
  const tools = scope.kind === 'all' ? views.view(scope, wish).settled(table.catalog) : 'full';
  const session = sessions.create(
    { path, names, tools, ...introduced, identity: identity.digest },
    identity,
    scope,
  );
  answer.setHeader(SESSION_HEADER, session.sealed);
  answer.send(
    200,
    resultResponse(request.id, initializeResult(router, introduced.protocolVersion, scope, table)),
  );
  return session;
}

/**
 * What a client says of itself.
 * @throws {RouterError} INVALID_PARAMS
 */
export function readIntroduction(
  request: RequestEnvelope,
): Pick<SessionSeal, 'protocolVersion' | 'clientInfo' | 'capabilities'> {
  const { params, text } = request;
  const asked = params && memberString(text, params, 'protocolVersion');
  if (asked === undefined) {
    throw new RouterError(
      'INVALID_PARAMS',
      'initialize needs "protocolVersion", "capabilities" and "clientInfo".',
    );
  }
  const capabilities = objectText(params && memberText(text, params, 'capabilities'));
  if (capabilities.length > MAX_CAPABILITIES_BYTES) {
    throw new RouterError('INVALID_PARAMS', `"capabilities" may have ${MAX_CAPABILITIES_BYTES} bytes here.`);
  }
  const clientInfo = objectText(params && memberText(text, params, 'clientInfo'));
  return { protocolVersion: negotiate(asked), capabilities, clientInfo: shortInfo(clientInfo) };
}

function objectText(value: string | undefined): RawJson {
  return (value !== undefined && isObject(value, 0) ? value : '{}') as RawJson;
}

/** Name and version are enough for a backend; icons and the like would make the session id too long. */
function shortInfo(info: RawJson): RawJson {
  const members = scanObject(info, 0);
  const name = memberString(info, members, 'name') ?? 'unknown';
  const version = memberString(info, members, 'version') ?? '0';
  if (
    Buffer.byteLength(info) <= MAX_CLIENT_INFO_BYTES &&
    members.keys.includes('name') &&
    members.keys.includes('version')
  ) {
    return info;
  }
  return JSON.stringify({ name: name.slice(0, 128), version: version.slice(0, 64) }) as RawJson;
}

function initializeResult(router: RouterInfo, protocolVersion: string, scope: Scope, table: Sight): string {
  if (scope.kind === 'service') {
    const definition = shownBy(table, scope)?.definition;
    if (!definition) {
      throw new RouterError('NO_HEALTHY_INSTANCE', `${scope.service} is not ready. Try again in a moment.`, {
        service: scope.service,
        retryAfterMs: 1000,
      });
    }
    const instructions =
      definition.instructions === undefined
        ? ''
        : `,"instructions":${JSON.stringify(definition.instructions)}`;
    return (
      `{"protocolVersion":"${protocolVersion}","capabilities":${definition.capabilities},` +
      `"serverInfo":${definition.serverInfo}${instructions}}`
    );
  }
  const merged = mergedIntroduction(table);
  const instructions = together(table.profile?.instructions, merged.instructions);
  return JSON.stringify({
    protocolVersion,
    capabilities: legacyCapabilities(merged, protocolVersion),
    serverInfo: { name: router.name, version: router.version },
    ...(instructions !== undefined && { instructions }),
  });
}
