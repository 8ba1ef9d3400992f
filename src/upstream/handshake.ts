import type { Endpoint, RawJson } from '../model.ts';
import { SESSION_HEADER } from '../relay/headers.ts';
import { memberString, memberText, scanObject } from '../relay/json-scan.ts';
import { isLegacyVersion } from '../relay/versions.ts';
import { ask, AskError, messageHeaders, snippet, type Question, type Reply } from './ask.ts';
import type { Connections } from './connections.ts';

/** Whom the backend shall see: the client's own words, or the router's when it asks for itself. */
export interface Introduction {
  readonly protocolVersion: string;
  readonly clientInfo: RawJson;
  readonly capabilities: RawJson;
}

/** An open session at a backend. */
export interface Handshake {
  /** Undefined where the backend keeps no session. */
  readonly sessionId: string | undefined;
  readonly protocolVersion: string;
  readonly serverInfo: RawJson;
  readonly capabilities: RawJson;
  readonly instructions: string | undefined;
  /** The whole result of `initialize`. */
  readonly result: RawJson;
}

/** Why there is no session. `retryable`: another try at the same instance may end otherwise. */
export class HandshakeError extends Error {
  readonly retryable: boolean;
  readonly kind: AskError['kind'] | 'refused' | 'rpc-error';
  readonly status: number | undefined;
  constructor(
    kind: HandshakeError['kind'],
    message: string,
    retryable: boolean,
    status?: number,
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'HandshakeError';
    this.kind = kind;
    this.retryable = retryable;
    this.status = status;
  }
}

const MAX_INITIALIZE_BYTES = 1 << 20;
/** Visible ASCII (2025-11-25, transports: session management); longer than this is no session id. */
const SESSION_ID = /^[\x21-\x7e]{1,4096}$/;

/** Ids of the router's own requests, in a spelling that no client uses. */
let lastId = 0;
export function nextId(): RawJson {
  return `"mcp-router-${++lastId}"` as RawJson;
}

const GOODBYE_MS = 2000;

/**
 * `initialize` and `notifications/initialized` (2025-11-25, lifecycle).
 * @throws {HandshakeError} A session that was opened and can't be used is ended.
 */
export async function handshake(
  connections: Connections,
  endpoint: Endpoint,
  introduction: Introduction,
  options: Pick<Question, 'headers' | 'timeoutMs' | 'onMessage'>,
): Promise<Handshake> {
  const id = nextId();
  const text =
    `{"jsonrpc":"2.0","id":${id},"method":"initialize","params":{"protocolVersion":` +
    `${JSON.stringify(introduction.protocolVersion)},"capabilities":${introduction.capabilities},` +
    `"clientInfo":${introduction.clientInfo}}}`;
  const common = { endpoint, ...options, maxBytes: MAX_INITIALIZE_BYTES };
  const reply = await asking(connections, { ...common, session: undefined, text, id });
  try {
    const opened = readOpened(reply);
    await confirm(connections, common, opened);
    return opened;
  } catch (error) {
    const sessionId = reply.kind === 'result' ? reply.head.headers[SESSION_HEADER] : undefined;
    if (typeof sessionId === 'string' && SESSION_ID.test(sessionId)) {
      const { protocolVersion } = introduction;
      void endSession(connections, endpoint, { id: sessionId, protocolVersion }, options.headers, GOODBYE_MS);
    }
    throw error;
  }
}

async function confirm(
  connections: Connections,
  common: Pick<Question, 'endpoint' | 'headers' | 'timeoutMs' | 'onMessage' | 'maxBytes'>,
  opened: Handshake,
): Promise<void> {
  const session = { id: opened.sessionId, protocolVersion: opened.protocolVersion };
  const text = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
  const reply = await asking(connections, { ...common, session, text, id: undefined });
  if (reply.kind === 'refused' || reply.kind === 'error') {
    throw new HandshakeError(
      'refused',
      `took initialize but refused notifications/initialized with HTTP ${reply.head.status}`,
      reply.head.status >= 500,
      reply.head.status,
    );
  }
}

async function asking(connections: Connections, question: Question): Promise<Reply> {
  try {
    return await ask(connections, question);
  } catch (error) {
    if (!(error instanceof AskError)) throw error;
    const retryable = error.kind === 'connect' || error.kind === 'cut' || error.kind === 'timeout';
    throw new HandshakeError(error.kind, error.message, retryable, undefined, error.cause ?? error);
  }
}

function readOpened(reply: Reply): Handshake {
  switch (reply.kind) {
    case 'error':
      throw new HandshakeError(
        'rpc-error',
        `answered initialize with error ${reply.error.code}: ${snippet(reply.error.message)}`,
        reply.head.status >= 500,
        reply.head.status,
      );
    case 'refused':
      throw new HandshakeError(
        'refused',
        `answered initialize with HTTP ${reply.head.status}: ${reply.body || '(empty)'}`,
        reply.head.status >= 500 || reply.head.status === 429,
        reply.head.status,
      );
    case 'accepted':
      throw new HandshakeError('garbage', 'took initialize without an answer', false, reply.head.status);
    case 'result':
      return readInitialize(reply.result, reply.head.headers[SESSION_HEADER]);
  }
}

function readInitialize(result: RawJson, sessionHeader: string | string[] | undefined): Handshake {
  const garbage = (what: string): HandshakeError =>
    new HandshakeError('garbage', `answered initialize ${what}`, false);
  let members;
  try {
    members = scanObject(result, 0);
  } catch (error) {
    throw garbage(`with no object (${error instanceof Error ? error.message : String(error)})`);
  }
  const protocolVersion = memberString(result, members, 'protocolVersion');
  if (protocolVersion === undefined) throw garbage('without a protocolVersion');
  if (!isLegacyVersion(protocolVersion)) {
    throw garbage(`with protocol version ${snippet(protocolVersion)}, which the router does not speak`);
  }
  const capabilities = memberText(result, members, 'capabilities') ?? '{}';
  const serverInfo = memberText(result, members, 'serverInfo') ?? '{}';
  if (!isJsonObject(capabilities) || !isJsonObject(serverInfo)) throw garbage('with unreadable capabilities');
  if (sessionHeader !== undefined && !(typeof sessionHeader === 'string' && SESSION_ID.test(sessionHeader))) {
    throw garbage('with a session id that is not visible ASCII');
  }
  return {
    sessionId: sessionHeader,
    protocolVersion,
    serverInfo: serverInfo as RawJson,
    capabilities: capabilities as RawJson,
    instructions: memberString(result, members, 'instructions'),
    result,
  };
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === 'object' && !Array.isArray(value);
  } catch {
    return false;
  }
}

/**
 * Ends a session at its backend. Best effort: the backend may be gone, or not allow it (405); the promise
 * never rejects.
 */
export function endSession(
  connections: Connections,
  endpoint: Endpoint,
  session: { readonly id: string; readonly protocolVersion: string },
  headers: readonly string[],
  timeoutMs: number,
): Promise<void> {
  return new Promise((resolve) => {
    void connections.send(
      endpoint,
      {
        method: 'DELETE',
        path: endpoint.path,
        headers: messageHeaders(session, headers),
        firstByteTimeoutMs: timeoutMs,
        idleTimeoutMs: timeoutMs,
      },
      { head: () => undefined, data: () => true, end: resolve, fail: () => resolve() },
    );
  });
}
