import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernHttp,
} from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema, ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startFixture, type Fixture } from '../../conformance/fixture/start.ts';
import { simpleTool, startBackend, type Backend } from '../../support/backend.ts';
import { ask, inSession, nobody, only, openSession, stateless } from '../../support/caller.ts';
import { eventually } from '../../support/eventually.ts';
import { raw } from '../../support/mcp-client.ts';
import { startLike } from '../../support/real-tools.ts';
import { at, registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startEverything, type RunningServer } from '../../support/servers.ts';

type Era = 'legacy' | 'modern';
const eras: readonly Era[] = ['legacy', 'modern'];

interface Listed {
  readonly name: string;
  readonly description?: string;
  readonly title?: string;
  readonly inputSchema: Record<string, unknown>;
  readonly annotations?: Record<string, unknown>;
}

interface Found {
  readonly tools: readonly Listed[];
  readonly total: number;
  readonly more: readonly string[];
  readonly servers?: readonly { readonly name: string; readonly tools: number }[];
}

const routers: HandRouter[] = [];
const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((client) => client.close()));
});
afterAll(() => Promise.all(routers.map((router) => router.stop())));

/** Servers of every kind: a real one, the definitions of two real ones, one of both eras, one with an app. */
let servers: {
  readonly every: RunningServer;
  readonly github: Backend;
  readonly memory: Backend;
  readonly both: Fixture;
  readonly maps: Backend;
};
beforeAll(async () => {
  const page = { _meta: { ui: { resourceUri: 'ui://maps/page' } } };
  const forPage = { _meta: { ui: { visibility: ['app'] } } };
  const [every, github, memory, both, maps] = await Promise.all([
    startEverything(),
    startLike('github'),
    startLike('memory'),
    startFixture(),
    startBackend({
      tools: [
        { ...simpleTool('show_map', { readOnlyHint: true }), ...page },
        { ...simpleTool('move_map'), ...forPage },
        simpleTool('geocode', { readOnlyHint: true }),
      ],
    }),
  ]);
  servers = { every, github, memory, both, maps };
});
afterAll(() => Promise.all(Object.values(servers).map((server) => server.stop())));

async function startWith(flags: Record<string, unknown> = {}): Promise<HandRouter> {
  const router = await startHandRouter(flags);
  routers.push(router);
  registerAll(router);
  await eventually(async () => {
    const list = await listed('modern', router, 'full');
    return ['every__echo', 'github__', 'memory__', 'both__', 'maps__'].every((name) =>
      list.some((tool) => tool.name.startsWith(name)),
    );
  });
  return router;
}

function registerAll(router: HandRouter, critical?: string): void {
  const { every, github, memory, both, maps } = servers;
  router.register(
    ...Object.entries({ every, github, memory, both, maps }).map(([name, { port }]) => {
      const state = name === critical ? 'critical' : 'passing';
      return registered(name, [at(name, `${name}-1`, port, { state })]);
    }),
  );
}

async function listed(
  era: Era,
  router: HandRouter,
  mode: string | undefined,
  capabilities: Record<string, unknown> = {},
): Promise<Listed[]> {
  const url = `${router.url}/mcp${mode === undefined ? '' : `?tools=${mode}`}`;
  if (era === 'modern') {
    const { result } = only(await stateless(nobody, url, 'tools/list', {}, capabilities));
    return (result?.['tools'] ?? []) as Listed[];
  }
  const params = { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'raw', version: '1' } };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
  const session = String((await raw(url, { body })).headers['mcp-session-id']);
  const { result } = only(await inSession(nobody, url, session, 'tools/list'));
  return (result?.['tools'] ?? []) as Listed[];
}

const names = (tools: readonly { readonly name: string }[]): string[] => tools.map(({ name }) => name);
const apps = { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } } };

interface Result {
  readonly content: readonly { readonly type: string; readonly text: string }[];
  readonly structuredContent?: unknown;
  readonly isError?: boolean;
  readonly resultType?: string;
}

async function call(
  era: Era,
  router: HandRouter,
  name: string,
  args: Record<string, unknown>,
  query = '',
): Promise<Result> {
  const answer = await ask(era, nobody, `${router.url}/mcp${query}`, 'tools/call', { name, arguments: args });
  const { result, error } = only(answer);
  if (!result) throw new Error(JSON.stringify(error));
  return result as unknown as Result;
}

async function find(era: Era, router: HandRouter, args: Record<string, unknown>, query = ''): Promise<Found> {
  const result = await call(era, router, 'find_tools', args, query);
  // Clients that know no structured content read the same as text.
  expect(JSON.parse(result.content[0]?.text ?? '')).toEqual(result.structuredContent);
  return result.structuredContent as Found;
}

const text = (result: Result): string => result.content[0]?.text ?? '';

describe.each(eras)('tool modes (%s)', (era) => {
  let router: HandRouter;
  beforeAll(async () => {
    router = await startWith({
      toolsPinned: 'every.echo',
      toolsFiltered: 'memory.*,every.get-*,maps.show_map',
    });
  });

  it('full lists everything and nothing of the router', async () => {
    const tools = names(await listed(era, router, 'full'));
    expect(tools.length).toBeGreaterThan(80);
    expect(tools).toContain('maps__move_map');
    expect(tools).not.toContain('find_tools');
  });

  it('search lists find_tools, call_tool and what is pinned', async () => {
    expect(names(await listed(era, router, 'search'))).toEqual(['find_tools', 'call_tool', 'every__echo']);
  });

  it('search keeps what an app needs for clients that open pages, and only for them', async () => {
    const tools = names(await listed(era, router, 'search', apps));
    expect(tools).toEqual(['find_tools', 'call_tool', 'every__echo', 'maps__move_map', 'maps__show_map']);
  });

  it('filtered lists the allowed ones, and what the pages of allowed apps call', async () => {
    const tools = names(await listed(era, router, 'filtered'));
    expect(tools).toContain('memory__create_entities');
    expect(tools).toContain('every__get-sum');
    expect(tools).toContain('maps__show_map');
    for (const name of ['every__echo', 'find_tools', 'maps__geocode', 'maps__move_map']) {
      expect(tools).not.toContain(name);
    }
    expect(names(await listed(era, router, 'filtered', apps))).toContain('maps__move_map');
  });

  it('auto, the default, shows a long list as search', async () => {
    const full = await listed(era, router, 'full');
    expect(JSON.stringify(full).length).toBeGreaterThan(40_000);
    expect(names(await listed(era, router, undefined))).toContain('find_tools');
  });

  it('what is hidden is not denied: it is called by its name', async () => {
    for (const mode of ['search', 'filtered']) {
      const result = await call(era, router, 'every__get-sum', { a: 2, b: 3 }, `?tools=${mode}`);
      expect(text(result)).toContain('5');
    }
  });

  it('a mode that there is not is refused with those that there are', async () => {
    const answer = await raw(`${router.url}/mcp?tools=some`, { body: '{}' });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('full, filtered, search, auto');
  });

  it("a service's own endpoint is left alone", async () => {
    const own = await ask(era, nobody, `${router.url}/services/every/mcp?tools=search`, 'tools/list');
    const tools = names((only(own).result?.['tools'] ?? []) as Listed[]);
    expect(tools).toContain('echo');
    expect(tools).not.toContain('find_tools');
    const called = await ask(era, nobody, `${router.url}/services/every/mcp`, 'tools/call', {
      name: 'find_tools',
      arguments: { query: 'x' },
    });
    expect(JSON.stringify(only(called))).not.toContain('"more"');
  });

  it('the first page of a list in pages begins with them, and no other page has them', async () => {
    const paged = await startHandRouter({ pageSize: 2, toolsPinned: 'memory.*' });
    routers.push(paged);
    registerAll(paged);
    await eventually(async () => (await listed(era, paged, 'search')).length === 4);
    const at = `${paged.url}/mcp?tools=search`;
    const session = era === 'legacy' ? await openSession(nobody, at) : '';
    const page = async (params: Record<string, unknown>) => {
      const answer =
        era === 'legacy'
          ? inSession(nobody, at, session, 'tools/list', params)
          : stateless(nobody, at, 'tools/list', params);
      const { result } = only(await answer);
      return result as { tools: Listed[]; nextCursor?: string };
    };
    const all: string[] = [];
    let cursor: string | undefined;
    do {
      const { tools, nextCursor } = await page(cursor === undefined ? {} : { cursor });
      expect(tools.length).toBeLessThanOrEqual(cursor === undefined ? 4 : 2);
      all.push(...names(tools));
      cursor = nextCursor;
    } while (cursor !== undefined);
    expect(all.slice(0, 2)).toEqual(['find_tools', 'call_tool']);
    expect(new Set(all).size).toBe(all.length);
    expect(all.filter((name) => name.startsWith('memory__')).length).toBe(all.length - 2);
  });
});

describe.each(eras)('find_tools (%s)', (era) => {
  let router: HandRouter;
  beforeAll(async () => {
    router = await startWith();
  });

  it('finds tools with what is needed to call them, under the names of the endpoint', async () => {
    const found = await find(era, router, { query: 'open an issue on github' });
    expect(found.tools).toHaveLength(5);
    expect(names(found.tools).join(' ')).toMatch(/github__(?:create_issue|issue_write)/);
    expect(found.tools[0]?.inputSchema['type']).toBe('object');
    expect(found.more.length).toBeGreaterThan(0);
    expect(found.total).toBeGreaterThanOrEqual(5 + found.more.length);
    const dotted = await find(era, router, { query: 'add numbers sum' }, '?names=dotted');
    expect(names(dotted.tools)).toContain('every.get-sum');
  });

  it('takes a server and a limit', async () => {
    const { tools } = await find(era, router, { query: 'create', server: 'memory', limit: 2 });
    expect(tools).toHaveLength(2);
    for (const { name } of tools) expect(name).toMatch(/^memory__/);
  });

  it('says which servers there are where it finds nothing', async () => {
    const { tools, servers: all } = await find(era, router, { query: 'xylophone zither' });
    expect(tools).toEqual([]);
    // The tool for its app's page alone is not counted.
    expect(all).toContainEqual({ name: 'maps', tools: 2 });
  });

  it('never shows a tool that is for an app page alone', async () => {
    const found = await find(era, router, { query: 'move map', limit: 20 });
    expect(names(found.tools)).toContain('maps__show_map');
    expect(JSON.stringify(found)).not.toContain('move_map');
  });

  it('says what is missing where nothing is asked', async () => {
    const result = await call(era, router, 'find_tools', {});
    expect(result.isError).toBe(true);
    expect(text(result)).toContain('"query"');
  });

  it('nothing of a service without a healthy instance is found, and what came is', async () => {
    registerAll(router, 'memory');
    await eventually(async () => {
      const { tools } = await find(era, router, { query: 'knowledge graph entities relations' });
      return !names(tools).some((name) => name.startsWith('memory__'));
    });
    // Listed it stays for a while.
    expect(names(await listed(era, router, 'full'))).toContain('memory__create_entities');
    registerAll(router);
    await eventually(async () => {
      const { tools } = await find(era, router, { query: 'knowledge graph entities relations' });
      return names(tools).some((name) => name.startsWith('memory__'));
    });
  });
});

describe.each(eras)('call_tool (%s)', (era) => {
  let router: HandRouter;
  beforeAll(async () => {
    router = await startWith({ callReadTool: true });
  });

  it('calls any tool, of servers of either era', async () => {
    const sum = await call(era, router, 'call_tool', { name: 'every__get-sum', arguments: { a: 1, b: 2 } });
    expect(text(sum)).toContain('3');
    const tool = names(await listed(era, router, 'full')).find((name) => name.startsWith('both__'));
    const result = await call(era, router, 'call_tool', { name: tool, arguments: {} });
    expect(result.content.length).toBeGreaterThan(0);
  });

  it('takes dotted names, missing arguments, and arguments that a model wrote as text', async () => {
    const dotted = await call(era, router, 'call_tool', { name: 'every.echo', arguments: { message: 'a' } });
    expect(text(dotted)).toBe('Echo: a');
    const none = await call(era, router, 'call_tool', { name: 'maps__geocode' });
    expect(text(none)).toContain('geocode');
    const written = await call(era, router, 'call_tool', {
      name: 'every__echo',
      arguments: '{"message":"b"}',
    });
    expect(text(written)).toBe('Echo: b');
  });

  it('passes arguments byte for byte', async () => {
    const { maps } = servers;
    const before = maps.texts.length;
    const args = '{ "message": "x", "big": 12345678901234567890, "one": 1.0 }';
    const url = `${router.url}/mcp`;
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"call_tool","arguments":{"name":"maps__geocode","arguments":${args}}${era === 'modern' ? `,"_meta":${JSON.stringify(meta)}` : ''}}}`;
    const headers: Record<string, string> =
      era === 'modern'
        ? { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'call_tool' }
        : { 'mcp-session-id': await openSession(nobody, url), 'mcp-protocol-version': '2025-11-25' };
    expect((await raw(url, { headers, body })).status).toBe(200);
    const sent = maps.texts.slice(before).find((one) => one.includes('tools/call')) ?? '';
    expect(sent).toContain(`"arguments":${args}`);
    expect(sent).toContain('"name":"geocode"');
  });

  it('a wrong call is told what is wrong, with the schema, and nothing is called', async () => {
    const before = servers.github.count('tools/call');
    const [tool] = (await find(era, router, { query: 'create issue', server: 'github' })).tools;
    const result = await call(era, router, 'call_tool', { name: tool?.name, arguments: { owner: 7 } });
    expect(result.isError).toBe(true);
    expect(text(result)).toContain('arguments/owner');
    expect(text(result)).toContain('"properties"');
    expect(servers.github.count('tools/call')).toBe(before);
  });

  it('an unknown name gets the nearest ones', async () => {
    await find(era, router, { query: 'anything' });
    const result = await call(era, router, 'call_tool', { name: 'every__get_summ', arguments: {} });
    expect(result.isError).toBe(true);
    expect(text(result)).toMatch(/Unknown tool: every__get_summ.*every__get-sum/s);
  });

  it('calls neither itself nor a tool that is for an app page alone', async () => {
    for (const name of ['call_tool', 'find_tools', 'maps__move_map', 'move_map']) {
      const result = await call(era, router, 'call_tool', { name, arguments: {} });
      expect([name, result.isError]).toEqual([name, true]);
      expect(text(result)).toContain('Unknown tool');
    }
    const direct = await call(era, router, 'maps__move_map', {});
    expect(text(direct)).toContain('move_map by');
  });

  it('call_read_tool refuses what does not say that it only reads', async () => {
    const read = await call(era, router, 'call_read_tool', { name: 'maps__geocode', arguments: {} });
    expect(text(read)).toContain('geocode by');
    const write = await call(era, router, 'call_read_tool', {
      name: 'memory__create_entities',
      arguments: { entities: [] },
    });
    expect(write.isError).toBe(true);
    expect(text(write)).toContain('use call_tool');
    expect(names(await listed(era, router, 'search'))).toContain('call_read_tool');
  });

  it('a call without a tool says what it takes', async () => {
    for (const args of [{}, { name: '' }, { name: 7 }, { name: 'every__echo', arguments: [] }]) {
      const result = await call(era, router, 'call_tool', args);
      expect(result.isError).toBe(true);
      expect(text(result)).toContain('call_tool');
    }
  });

  it('is counted under the name of its target', async () => {
    const counted = async (): Promise<number> => {
      const page = await (await fetch(`${router.adminUrl}/metrics`)).text();
      return Number(/mcp_router_calls_total\{service="maps",result="ok"\} (\d+)/.exec(page)?.[1] ?? 0);
    };
    const before = await counted();
    await call(era, router, 'call_tool', { name: 'maps__geocode', arguments: {} });
    expect(await counted()).toBe(before + 1);
  });
});

describe('a call through call_tool is a call like any other', () => {
  let router: HandRouter;
  beforeAll(async () => {
    router = await startWith();
  });
  const asks = { name: 'every__trigger-elicitation-request', arguments: {} };
  const answer = { action: 'accept' as const, content: { username: 'ann', email: 'ann@example.com' } };

  it('its progress comes, and its server may ask (session era)', async () => {
    const client = new Client(
      { name: 'legacy', version: '1' },
      { capabilities: { elicitation: { form: {} } } },
    );
    closing.push(client);
    client.setRequestHandler(ElicitRequestSchema, () => answer);
    await client.connect(new StreamableHTTPClientTransport(new URL(`${router.url}/mcp?tools=search`)));
    const steps: number[] = [];
    await client.callTool(
      {
        name: 'call_tool',
        arguments: { name: 'every__trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 } },
      },
      undefined,
      { onprogress: ({ progress }) => steps.push(progress) },
    );
    expect(steps.length).toBeGreaterThanOrEqual(3);
    const elicited = await client.callTool({ name: 'call_tool', arguments: asks });
    expect(JSON.stringify(elicited.content)).toContain('ann');
  });

  it('its progress comes, and its server may ask (stateless era)', async () => {
    const client = new ModernClient(
      { name: 'modern', version: '1' },
      { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode: { pin: '2026-07-28' } } },
    );
    closing.push(client);
    client.setRequestHandler('elicitation/create', () => answer);
    await client.connect(new ModernHttp(new URL(`${router.url}/mcp?tools=search`)));
    const steps: number[] = [];
    await client.callTool(
      {
        name: 'call_tool',
        arguments: { name: 'every__trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 } },
      },
      { onprogress: ({ progress }) => steps.push(progress) },
    );
    expect(steps.length).toBeGreaterThanOrEqual(3);
    const elicited = await client.callTool({ name: 'call_tool', arguments: asks });
    expect(JSON.stringify(elicited.content)).toContain('ann');
  });

  it('is cancelled at its server', async () => {
    const { maps } = servers;
    let waiting = false;
    maps.on['tools/call'] = () => {
      waiting = true;
    };
    try {
      const client = new Client({ name: 'legacy', version: '1' });
      closing.push(client);
      await client.connect(new StreamableHTTPClientTransport(new URL(`${router.url}/mcp`)));
      const abort = new AbortController();
      const calling = client.callTool(
        { name: 'call_tool', arguments: { name: 'maps__geocode', arguments: {} } },
        undefined,
        { signal: abort.signal },
      );
      await eventually(() => waiting);
      abort.abort('enough');
      await expect(calling).rejects.toThrow();
      await eventually(() => maps.count('notifications/cancelled') > 0);
    } finally {
      delete maps.on['tools/call'];
    }
  });

  it('arguments that a modern server wants in headers are mirrored for it', async () => {
    const list = await listed('modern', router, 'full');
    const tool = list.find(({ inputSchema }) => JSON.stringify(inputSchema).includes('x-mcp-header'));
    expect(tool?.name).toMatch(/^both__/);
    const args = Object.fromEntries(
      Object.entries((tool?.inputSchema['properties'] ?? {}) as Record<string, { type?: string }>).map(
        ([key, { type }]) => [key, type === 'string' ? 'x' : type === 'boolean' ? true : 1],
      ),
    );
    for (const era of eras) {
      const result = await call(era, router, 'call_tool', { name: tool?.name, arguments: args });
      expect(result.isError ?? false).toBe(false);
    }
  });
});

describe('found tools come into the list of a session', () => {
  async function connect(router: HandRouter, onChange: () => void): Promise<Client> {
    const client = new Client({ name: 'legacy', version: '1' });
    closing.push(client);
    client.setNotificationHandler(ToolListChangedNotificationSchema, onChange);
    await client.connect(new StreamableHTTPClientTransport(new URL(`${router.url}/mcp?tools=search`)));
    return client;
  }
  const question = { name: 'find_tools', arguments: { query: 'sum of two numbers', limit: 1 } };

  it('where that is wanted, and its client is told', async () => {
    const router = await startWith({ activateTools: true });
    let changes = 0;
    const client = await connect(router, () => changes++);
    const other = await connect(router, () => undefined);
    expect((await client.listTools()).tools).toHaveLength(2);
    await client.callTool(question);
    await eventually(() => changes === 1);
    expect(names((await client.listTools()).tools)).toEqual(['find_tools', 'call_tool', 'every__get-sum']);
    await client.callTool(question);
    expect(names((await other.listTools()).tools)).toEqual(['find_tools', 'call_tool']);
    await client.callTool({ name: 'find_tools', arguments: { query: 'create issue', limit: 20 } });
    await client.callTool({ name: 'find_tools', arguments: { query: 'pull request', limit: 20 } });
    expect((await client.listTools()).tools.length).toBeLessThanOrEqual(32);
    expect(changes).toBe(3);
  });

  it('and otherwise not; nor ever in the stateless era', async () => {
    const router = await startWith();
    const client = await connect(router, () => undefined);
    await client.callTool(question);
    expect((await client.listTools()).tools).toHaveLength(2);
  });
});

describe('who is shown a part of the tools', () => {
  it('hears of changes of that part, and of no others', async () => {
    const router = await startWith({ toolsPinned: 'memory.*' });
    const heard: string[] = [];
    for (const mode of ['full', 'search']) {
      const client = new Client({ name: 'legacy', version: '1' });
      closing.push(client);
      client.setNotificationHandler(ToolListChangedNotificationSchema, () => void heard.push(mode));
      await client.connect(new StreamableHTTPClientTransport(new URL(`${router.url}/mcp?tools=${mode}`)));
      await client.listTools();
    }
    servers.maps.tools.push(simpleTool('new_one'));
    servers.maps.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await eventually(() => heard.includes('full'));
    servers.memory.tools.push(simpleTool('new_one'));
    servers.memory.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await eventually(() => heard.includes('search'));
    expect(heard.filter((mode) => mode === 'search')).toHaveLength(1);
  });

  it('keeps its mode for the whole session, whatever becomes of the list', async () => {
    const router = await startHandRouter({ toolsAutoTokens: 200 });
    routers.push(router);
    const small = await startBackend({ tools: [simpleTool('one')] });
    closing.push({ close: () => small.stop() });
    router.register(registered('small', [['s', small.port]]));
    await eventually(async () => (await listed('modern', router, undefined)).length === 1);
    const url = `${router.url}/mcp`;
    const session = await openSession(nobody, url);
    small.tools = Array.from({ length: 40 }, (_, at) => simpleTool(`tool_${at}`));
    small.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    const inOld = async () => only(await inSession(nobody, url, session, 'tools/list')).result?.['tools'];
    await eventually(async () => ((await inOld()) as Listed[]).length === 40);
    expect(names(await listed('legacy', router, undefined))).toEqual(['find_tools', 'call_tool']);
  });
});

describe('lists are slimmed', () => {
  it('without what says nothing, unless that is turned off; descriptions are cut where that is wanted', async () => {
    const backend = await startBackend({
      tools: [
        {
          name: 'read_file',
          title: 'read_file',
          description: 'Reads a file. '.repeat(20),
          inputSchema: {
            $schema: 'https://json-schema.org/draft/2020-12/schema',
            $comment: 'made by a generator',
            type: 'object',
            title: 'read_fileArguments',
            properties: { path: { type: 'string', title: 'Path', pattern: '^/' } },
          },
          _meta: { 'example.com/x': { title: '' } },
        },
      ],
    });
    closing.push({ close: () => backend.stop() });
    const list = async (flags: Record<string, unknown>): Promise<string> => {
      const router = await startHandRouter(flags);
      routers.push(router);
      router.register(registered('files', [['f', backend.port]]));
      await eventually(async () => (await listed('legacy', router, 'full')).length === 1);
      return (await ask('legacy', nobody, `${router.url}/mcp`, 'tools/list')).text;
    };
    const slim = await list({});
    expect(slim).toContain(
      '"inputSchema":{"type":"object","properties":{"path":{"type":"string","pattern":"^/"}}}',
    );
    expect(slim).toContain('"_meta":{"example.com/x":{"title":""}}');
    expect(slim).toContain('Reads a file. '.repeat(20));
    const whole = await list({ slim: 'off' });
    expect(whole).toContain('$comment');
    expect(whole).toContain('"title":"read_file"');
    const short = await list({ maxDescription: 40 });
    expect(short).toContain('"description":"Reads a file. Reads a file."');
  });
});
