import type { ItemKind, Problem, RawJson, ServerDefinition } from '../model.ts';
import {
  JsonScanError,
  memberIndex,
  memberString,
  memberText,
  scanArray,
  scanObject,
} from '../relay/json-scan.ts';
import { AskError, snippet, type Question, type Reply } from './ask.ts';
import { readDefinition } from './definition.ts';
import type { Speaker } from './speaker.ts';

export interface LookOptions {
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
 * Asks a server for everything it has. A failed tools list fails the look; prompts and resources that can't be
 * listed are a problem of their own and leave the tools alone.
 * @throws {LookError}
 */
export async function look(speaker: Speaker, options: LookOptions): Promise<ServerDefinition> {
  const reading = new Reading(speaker, options);
  const { protocolVersion, serverInfo, capabilities, instructions } = speaker.self;
  const announced = scanObject(capabilities, 0);
  const list = (kind: ItemKind): Promise<readonly RawJson[]> =>
    announced.keys.includes(requests[kind].capability) ? reading.list(kind) : Promise.resolve([]);
  // One after the other: old servers answer strictly in turn, and a probe is in no hurry.
  const tools = await list('tools');
  const prompts = await list('prompts');
  const resources = await list('resources');
  const resourceTemplates = await list('resourceTemplates');
  return await readDefinition({
    protocolVersion,
    serverInfo,
    capabilities,
    instructions,
    cache: reading.cache,
    items: { tools, prompts, resources, resourceTemplates },
    problems: reading.problems,
  });
}

/** The lists of one server, on one budget of bytes. */
class Reading {
  readonly problems: Problem[] = [];
  /** The shortest time and the narrowest scope that any list gave; only servers of the modern era give any. */
  cache: ServerDefinition['cache'];
  readonly #speaker: Speaker;
  readonly #options: LookOptions;
  #bytesLeft: number;

  constructor(speaker: Speaker, options: LookOptions) {
    this.#speaker = speaker;
    this.#options = options;
    this.#bytesLeft = options.maxBytes;
  }

  async list(kind: ItemKind): Promise<readonly RawJson[]> {
    try {
      return await this.#allPages(kind);
    } catch (error) {
      if (!(error instanceof LookError) || kind === 'tools') throw error;
      this.problems.push({
        code: 'LIST_FAILED',
        subject: kind,
        message: `The server ${error.message}; its ${kind} are not served.`,
      });
      return [];
    }
  }

  async #allPages(kind: ItemKind): Promise<readonly RawJson[]> {
    const { method, member } = requests[kind];
    const items: RawJson[] = [];
    const seen = new Set<string>();
    let cursor: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const result = await this.#page(method, cursor);
      if (result === undefined) return items;
      const read = readPage(result, member, method);
      this.#keepCache(read);
      for (const item of read.items) items.push(item);
      if (items.length > MAX_ITEMS) throw new LookError(`lists more than ${MAX_ITEMS} ${kind}`, false);
      cursor = read.nextCursor;
      if (cursor === undefined) return items;
      if (seen.has(cursor)) {
        this.problems.push({
          code: 'CYCLIC_PAGES',
          subject: kind,
          message: `${method} leads back to a page that was already read (cursor ${snippet(cursor)}); what came before it is served.`,
        });
        return items;
      }
      seen.add(cursor);
    }
    this.problems.push({
      code: 'TOO_MANY_PAGES',
      subject: kind,
      message: `${method} has more than ${MAX_PAGES} pages; the rest is not served.`,
    });
    return items;
  }

  /** Undefined where the server has no such method after all. */
  async #page(method: string, cursor: string | undefined): Promise<RawJson | undefined> {
    const params = cursor === undefined ? '' : `"cursor":${JSON.stringify(cursor)}`;
    let reply: Reply;
    try {
      reply = await this.#speaker.ask(method, params, { ...this.#options, maxBytes: this.#bytesLeft });
    } catch (error) {
      if (!(error instanceof AskError)) throw error;
      if (error.kind === 'too-large') {
        const limit = `more than ${this.#options.maxBytes} bytes (MCP_ROUTER_MAX_LIST_BYTES)`;
        throw new LookError(`answered its lists with ${limit}`, false);
      }
      throw new LookError(
        `${error.message}, asked for ${method}`,
        error.kind !== 'garbage',
        error.cause ?? error,
      );
    }
    switch (reply.kind) {
      case 'result':
        this.#bytesLeft -= reply.bytes;
        return reply.result;
      case 'error':
        // It announced the capability and has no list; an empty list in effect.
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

  #keepCache({ ttlMs, scope }: PageOfItems): void {
    if (ttlMs === undefined) return;
    this.cache = {
      ttlMs: Math.min(ttlMs, this.cache?.ttlMs ?? Number.POSITIVE_INFINITY),
      scope: scope === 'public' && this.cache?.scope !== 'private' ? 'public' : 'private',
    };
  }
}

interface PageOfItems {
  readonly items: readonly RawJson[];
  readonly nextCursor: string | undefined;
  readonly ttlMs: number | undefined;
  readonly scope: string | undefined;
}

function readPage(result: RawJson, member: string, method: string): PageOfItems {
  try {
    const page = scanObject(result, 0);
    const start = page.starts[memberIndex(page, member)];
    if (start === undefined) throw new LookError(`answered ${method} without "${member}"`, false);
    const ttlMs = Number(memberText(result, page, 'ttlMs'));
    return {
      items: scanArray(result, start, MAX_ITEMS).map(([from, to]) => result.slice(from, to) as RawJson),
      nextCursor: memberString(result, page, 'nextCursor') || undefined,
      ttlMs: Number.isFinite(ttlMs) ? Math.max(0, ttlMs) : undefined,
      scope: memberString(result, page, 'cacheScope'),
    };
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    throw new LookError(`answered ${method} with something that is no list (${error.message})`, false);
  }
}
