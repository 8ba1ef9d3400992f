import type { Endpoint, ItemKind, Problem, RawJson, ServerDefinition } from '../model.ts';
import {
  JsonScanError,
  memberIndex,
  memberString,
  scanArray,
  scanObject,
  type ScannedObject,
} from '../relay/json-scan.ts';
import { ask, AskError, snippet, type Question } from './ask.ts';
import type { Connections } from './connections.ts';
import { readDefinition } from './definition.ts';
import { nextId, type Handshake } from './handshake.ts';

export interface LookOptions {
  readonly headers: readonly string[];
  /** For one request. */
  readonly timeoutMs: number;
  /** For all lists of one server together. */
  readonly maxBytes: number;
  readonly onMessage?: NonNullable<Question['onMessage']>;
}

/** A list of more pages or items than this goes in circles or means harm. */
const MAX_PAGES = 1000;
const MAX_ITEMS = 100_000;

const requests: Readonly<Record<ItemKind, { method: string; member: string; capability: string }>> = {
  tools: { method: 'tools/list', member: 'tools', capability: 'tools' },
  prompts: { method: 'prompts/list', member: 'prompts', capability: 'prompts' },
  resources: { method: 'resources/list', member: 'resources', capability: 'resources' },
  resourceTemplates: {
    method: 'resources/templates/list',
    member: 'resourceTemplates',
    capability: 'resources',
  },
};

/** Why a server can't be listed; the sentence says what it did. */
export class LookError extends Error {
  readonly retryable: boolean;
  constructor(message: string, retryable: boolean, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LookError';
    this.retryable = retryable;
  }
}

/**
 * Asks a server for everything it has, over an open session. A failed tools list fails the look; prompts and
 * resources that can't be listed are a problem of their own and leave the tools alone.
 * @throws {LookError}
 */
export async function look(
  connections: Connections,
  endpoint: Endpoint,
  session: Handshake,
  options: LookOptions,
): Promise<ServerDefinition> {
  const problems: Problem[] = [];
  const budget = { bytes: options.maxBytes };
  const capabilities = scanObject(session.capabilities, 0);
  const list = async (kind: ItemKind): Promise<readonly RawJson[]> => {
    if (!capabilities.keys.includes(requests[kind].capability)) return [];
    try {
      return await allPages(connections, endpoint, session, kind, options, budget, problems);
    } catch (error) {
      if (!(error instanceof LookError) || kind === 'tools') throw error;
      problems.push({
        code: 'LIST_FAILED',
        subject: kind,
        message: `The server ${error.message}; its ${kind} are not served.`,
      });
      return [];
    }
  };
  // One after the other: old servers answer strictly in turn, and a probe is in no hurry.
  const tools = await list('tools');
  const prompts = await list('prompts');
  const resources = await list('resources');
  const resourceTemplates = await list('resourceTemplates');
  return await readDefinition({
    protocolVersion: session.protocolVersion,
    serverInfo: session.serverInfo,
    capabilities: session.capabilities,
    instructions: session.instructions,
    items: { tools, prompts, resources, resourceTemplates },
    problems,
  });
}

async function allPages(
  connections: Connections,
  endpoint: Endpoint,
  session: Handshake,
  kind: ItemKind,
  options: LookOptions,
  budget: { bytes: number },
  problems: Problem[],
): Promise<readonly RawJson[]> {
  const { method, member } = requests[kind];
  const items: RawJson[] = [];
  const seen = new Set<string>();
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const result = await onePage(connections, endpoint, session, method, cursor, options, budget);
    if (result === undefined) return items;
    const read = readPage(result, member, method);
    for (const item of read.items) items.push(item);
    if (items.length > MAX_ITEMS) throw new LookError(`lists more than ${MAX_ITEMS} ${kind}`, false);
    cursor = read.nextCursor;
    if (cursor === undefined) return items;
    if (seen.has(cursor)) {
      problems.push({
        code: 'CYCLIC_PAGES',
        subject: kind,
        message: `${method} leads back to a page that was already read (cursor ${snippet(cursor)}); what came before it is served.`,
      });
      return items;
    }
    seen.add(cursor);
  }
  problems.push({
    code: 'TOO_MANY_PAGES',
    subject: kind,
    message: `${method} has more than ${MAX_PAGES} pages; the rest is not served.`,
  });
  return items;
}

/** Undefined where the server has no such method after all. */
async function onePage(
  connections: Connections,
  endpoint: Endpoint,
  session: Handshake,
  method: string,
  cursor: string | undefined,
  options: LookOptions,
  budget: { bytes: number },
): Promise<RawJson | undefined> {
  const id = nextId();
  const params = cursor === undefined ? '' : `,"params":{"cursor":${JSON.stringify(cursor)}}`;
  let reply;
  try {
    reply = await ask(connections, {
      endpoint,
      session: { id: session.sessionId, protocolVersion: session.protocolVersion },
      text: `{"jsonrpc":"2.0","id":${id},"method":"${method}"${params}}`,
      id,
      ...options,
      maxBytes: budget.bytes,
    });
  } catch (error) {
    if (!(error instanceof AskError)) throw error;
    if (error.kind === 'too-large') {
      throw new LookError(
        `answered its lists with more than ${options.maxBytes} bytes (MCP_ROUTER_MAX_LIST_BYTES)`,
        false,
      );
    }
    const retryable = error.kind !== 'garbage';
    throw new LookError(`${error.message}, asked for ${method}`, retryable, error.cause ?? error);
  }
  switch (reply.kind) {
    case 'result':
      budget.bytes -= reply.bytes;
      return reply.result;
    case 'error':
      // -32601: it announced the capability and has no list; an empty list in effect.
      if (reply.error.code === -32601) return undefined;
      throw new LookError(
        `answered ${method} with error ${reply.error.code}: ${snippet(reply.error.message)}`,
        true,
      );
    case 'refused':
      throw new LookError(
        `answered ${method} with HTTP ${reply.head.status}: ${reply.body || '(empty)'}`,
        reply.head.status >= 500 || reply.head.status === 404 || reply.head.status === 429,
      );
    case 'accepted':
      throw new LookError(`took ${method} without an answer`, false);
  }
}

function readPage(
  result: RawJson,
  member: string,
  method: string,
): { items: readonly RawJson[]; nextCursor: string | undefined } {
  try {
    const page: ScannedObject = scanObject(result, 0);
    const start = page.starts[memberIndex(page, member)];
    if (start === undefined) throw new LookError(`answered ${method} without "${member}"`, false);
    return {
      items: scanArray(result, start, MAX_ITEMS).map(([from, to]) => result.slice(from, to) as RawJson),
      nextCursor: memberString(result, page, 'nextCursor') || undefined,
    };
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    throw new LookError(`answered ${method} with something that is no list (${error.message})`, false);
  }
}
