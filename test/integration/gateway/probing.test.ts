import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  simpleTool,
  startBackend,
  type Backend,
  type BackendOptions,
  type Exchange,
} from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession } from '../../support/mcp-client.ts';
import { at, registered, startHandRouter, type HandRouter } from '../../support/router.ts';

let router: HandRouter;
const backends: Backend[] = [];

beforeEach(async () => {
  router = await startHandRouter({ probeTimeout: 1000, maxListBytes: '2M', slowStart: '0' });
});
afterEach(async () => {
  await router.stop();
  await Promise.all(backends.splice(0).map((backend) => backend.stop().catch(() => undefined)));
});

async function backend(options: BackendOptions = {}): Promise<Backend> {
  const started = await startBackend(options);
  backends.push(started);
  return started;
}

interface ServiceView {
  readonly problems: { code: string; subject?: string; message: string }[];
  readonly tools: { original: string }[];
  readonly instances: { probe: { result: string; reason?: { message: string } }; receivesCalls: boolean }[];
}

async function view(name: string): Promise<ServiceView> {
  const answer = await raw(`${router.adminUrl}/api/v1/services/${name}`, { method: 'GET' });
  return JSON.parse(answer.text) as ServiceView;
}

const listed = async (): Promise<string[]> => {
  const session = await RawSession.open(`${router.url}/mcp`);
  const names = await session.toolNames();
  await session.end();
  return names;
};

/** Beside each broken one stands a good one, and nothing may happen to it. */
async function besideGood(broken: Backend, more = {}): Promise<ServiceView> {
  const good = await backend();
  router.register(registered('bad', [['b', broken.port]], more), registered('good', [['g', good.port]]));
  await eventually(async () => (await listed()).includes('good__echo'));
  const session = await RawSession.open(`${router.url}/mcp`);
  expect((await session.call('good__echo')).result).toBeDefined();
  return eventually(
    async () => {
      const seen = await view('bad');
      return seen.instances[0]?.probe.result !== 'pending' && seen;
    },
    { withinMs: 15_000 },
  );
}

describe('a registered thing that', () => {
  const html = ({ response }: Exchange): void =>
    void response
      .writeHead(200, { 'content-type': 'text/html' })
      .end('<html><body>Welcome to nginx!</body></html>');

  it.each<[string, Record<string, (exchange: Exchange) => void>, RegExp]>([
    [
      "isn't MCP",
      { initialize: ({ response }) => void response.writeHead(404).end('no such page') },
      /HTTP 404: no such page/,
    ],
    ['answers HTML', { initialize: html }, /text\/html.*Welcome to nginx/],
    ['never answers', { initialize: () => undefined }, /within 1000 ms|said nothing for 1000 ms/],
    ['hangs up', { initialize: ({ request }) => void request.socket.destroy() }, /closed the connection/],
    [
      'sends endless headers',
      {
        initialize: ({ response }) =>
          void response
            .writeHead(200, Array.from({ length: 2000 }, (_, n) => [`x-${n}`, 'y'.repeat(50)]).flat())
            .end(),
      },
      /headers/,
    ],
    ['answers initialize with nonsense', { initialize: ({ result }) => result('hello') }, /with no object/],
    [
      'speaks a version from the future',
      {
        initialize: ({ result }) =>
          result({ protocolVersion: '2099-01-01', capabilities: {}, serverInfo: {} }),
      },
      /2099-01-01/,
    ],
    [
      'gives a session id that is no header',
      {
        initialize: ({ message, json }) =>
          json(
            200,
            JSON.stringify({
              jsonrpc: '2.0',
              id: message.id,
              result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} },
            }),
            { 'mcp-session-id': 'é x' },
          ),
      },
      /visible ASCII/,
    ],
    [
      'fails its list',
      {
        'tools/list': ({ message, json }) =>
          json(
            200,
            JSON.stringify({
              jsonrpc: '2.0',
              id: message.id,
              error: { code: -32603, message: 'database is down' },
            }),
          ),
      },
      /-32603: database is down/,
    ],
    ['lists no list', { 'tools/list': ({ result }) => result({ tools: 'many' }) }, /no list/],
    ['streams without an answer', { 'tools/list': ({ stream }) => stream().end() }, /without an answer/],
    ['streams garbage', { 'tools/list': ({ stream }) => stream().send('{{{') }, /no JSON-RPC/],
  ])('%s is a problem with its reason; the rest works', async (_, misbehave, reason) => {
    const broken = await backend();
    Object.assign(broken.on, misbehave);
    const seen = await besideGood(broken);
    expect(seen.instances[0]).toMatchObject({ probe: { result: 'failed' }, receivesCalls: false });
    expect(seen.problems[0]).toMatchObject({
      code: 'PROBE_FAILED',
      message: expect.stringMatching(reason) as string,
    });
    expect(
      router.logs.find((line) => line.level === 'warn' && reason.test(String(line.fields?.['reason']))),
    ).toBeDefined();
    const metrics = await raw(`${router.adminUrl}/metrics`, { method: 'GET' });
    expect(metrics.text).toMatch(/mcp_router_problems\{code="PROBE_FAILED"\} 1/);
    expect(await listed()).toEqual(['good__echo', 'good__write']);
  });

  it('lists 100 MB is cut off at the limit', async () => {
    const broken = await backend();
    let written = 0;
    broken.on['tools/list'] = ({ response, message }) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write(`{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},"result":{"tools":[`);
      const chunk = `${JSON.stringify(simpleTool('x'.repeat(1000)))},`.repeat(50);
      const pump = (): void => {
        while (written < 100e6 && !response.destroyed) {
          written += chunk.length;
          if (!response.write(chunk)) {
            response.once('drain', pump);
            return;
          }
        }
      };
      pump();
    };
    const seen = await besideGood(broken);
    expect(seen.problems[0]?.message).toContain('more than 2097152 bytes (MCP_ROUTER_MAX_LIST_BYTES)');
    expect(written).toBeLessThan(50e6);
  });

  it('lists in circles is served once through', async () => {
    const broken = await backend();
    broken.on['tools/list'] = ({ message, result }) => {
      const page = message.params?.['cursor'] === 'two' ? 2 : 1;
      result({ tools: [simpleTool(`page_${page}`)], nextCursor: page === 1 ? 'two' : 'one' });
    };
    const seen = await besideGood(broken);
    expect(seen.tools.map((tool) => tool.original)).toEqual(['page_1', 'page_2']);
    expect(seen.problems[0]).toMatchObject({ code: 'CYCLIC_PAGES' });
  });

  it('lists in pages is read to the end', async () => {
    const paged = await backend();
    paged.on['tools/list'] = ({ message, result }) => {
      const page = Number(message.params?.['cursor'] ?? 0);
      result({ tools: [simpleTool(`t${page}`)], ...(page < 9 && { nextCursor: String(page + 1) }) });
    };
    const seen = await besideGood(paged);
    expect(seen.tools).toHaveLength(10);
  });

  it('lists odd tools loses those and no other, each with a reason', async () => {
    const odd = await backend({
      tools: [
        simpleTool('good'),
        simpleTool('good'),
        { name: 'no_schema' },
        { name: 'array_schema', inputSchema: [] },
        { name: 'wrong_type', inputSchema: { type: 'array' } },
        { name: '', inputSchema: { type: 'object' } },
        { inputSchema: { type: 'object' } },
        { name: 7, inputSchema: { type: 'object' } },
        null,
        'tool',
        simpleTool('strange name/é😀'),
        simpleTool('x'.repeat(300)),
      ],
    });
    const seen = await besideGood(odd);
    expect(seen.tools.map((tool) => tool.original)).toEqual(['good', 'strange name/é😀', 'x'.repeat(300)]);
    const names = (await listed()).filter((name) => name.startsWith('bad__'));
    expect(names).toHaveLength(3);
    for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
    expect(seen.problems.map((problem) => [problem.code, problem.subject])).toEqual([
      ['DUPLICATE_ITEM', 'tools/good'],
      ['INVALID_ITEM', 'tools/no_schema'],
      ['INVALID_ITEM', 'tools/array_schema'],
      ['INVALID_ITEM', 'tools/wrong_type'],
      ['INVALID_ITEM', 'tools/5'],
      ['INVALID_ITEM', 'tools/6'],
      ['INVALID_ITEM', 'tools/7'],
      ['INVALID_ITEM', 'tools/8'],
      ['INVALID_ITEM', 'tools/9'],
    ]);
    const session = await RawSession.open(`${router.url}/mcp`);
    for (const name of names) expect((await session.call(name)).result).toBeDefined();
  });

  it('cannot list its prompts still serves its tools', async () => {
    const half = await backend({ capabilities: { tools: {}, prompts: {} } });
    half.on['prompts/list'] = ({ json }) => json(500, 'broken');
    const seen = await besideGood(half);
    expect(seen.tools).toHaveLength(2);
    expect(seen.problems[0]).toMatchObject({ code: 'LIST_FAILED', subject: 'prompts' });
  });
});

describe('looking', () => {
  it('twenty servers that never answer delay nobody', async () => {
    const silent = await Promise.all(Array.from({ length: 20 }, () => backend()));
    for (const each of silent) each.on['initialize'] = () => undefined;
    const small = await startHandRouter({ probeTimeout: '60s', probeConcurrency: 2 });
    try {
      const good = await backend();
      small.register(
        ...silent.map((each, n) => registered(`a-silent-${n}`, [[`s${n}`, each.port]])),
        registered('good', [['g', good.port]]),
      );
      const session = await RawSession.open(`${small.url}/mcp`);
      await eventually(async () => (await session.toolNames()).includes('good__echo'), { withinMs: 20_000 });
    } finally {
      await small.stop();
    }
  });

  it('keeps one session for all looks and ends it with DELETE', async () => {
    const one = await backend();
    router.register(registered('one', [['a', one.port]]));
    await eventually(async () => (await listed()).length === 2);
    for (let n = 0; n < 3; n++) {
      one.tools = [...one.tools, simpleTool(`extra_${n}`)];
      one.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
      await eventually(async () => (await listed()).includes(`one__extra_${n}`));
    }
    expect(one.count('initialize')).toBe(1);
    expect(one.sessions.size).toBe(1);
    router.register();
    await eventually(() => one.sessions.size === 0);
  });

  it('ends a session that it could open and cannot use', async () => {
    const one = await backend();
    one.on['notifications/initialized'] = ({ response }) => void response.writeHead(400).end();
    router.register(registered('one', [['a', one.port]]));
    await eventually(async () => (await view('one')).instances[0]?.probe.result === 'failed');
    expect(one.count('initialize')).toBeGreaterThan(0);
    await eventually(() => one.sessions.size === 0);
  });

  it('starts anew when the instance registers again, and when it comes back from critical', async () => {
    const one = await backend();
    const says = (registration: string, state: 'passing' | 'critical' = 'passing') =>
      router.register(registered('one', [at('one', 'a', one.port, { registration, state })]));
    says('first');
    await eventually(async () => (await listed()).length === 2);
    one.tools = [simpleTool('second')];
    says('second');
    await eventually(async () => (await listed()).join() === 'one__second');
    one.tools = [simpleTool('third')];
    says('second', 'critical');
    says('second', 'passing');
    await eventually(async () => (await listed()).join() === 'one__third');
  });

  it('an instance that is critical from the start is asked once it passes', async () => {
    const one = await backend();
    router.register(registered('one', [at('one', 'a', one.port, { state: 'critical' })]));
    await eventually(async () => (await view('one')).instances.length === 1);
    expect(one.received).toHaveLength(0);
    router.register(registered('one', [['a', one.port]]));
    await eventually(async () => (await listed()).length === 2);
  });

  it('a lost session is opened again', async () => {
    const one = await backend();
    router.register(registered('one', [['a', one.port]]));
    await eventually(async () => (await listed()).length === 2);
    one.sessions.clear();
    one.tools = [simpleTool('after')];
    one.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await eventually(async () => (await listed()).join() === 'one__after');
  });

  it('answers what a server asks the router itself', async () => {
    const one = await backend();
    one.on['tools/list'] = ({ message, stream }) => {
      const events = stream();
      events.send({ jsonrpc: '2.0', id: 'q1', method: 'ping' });
      events.send({ jsonrpc: '2.0', id: 'q2', method: 'roots/list' });
      events.send({ jsonrpc: '2.0', id: 'q3', method: 'sampling/createMessage', params: {} });
      events.send({ jsonrpc: '2.0', id: message.id, result: { tools: [simpleTool('t')] } });
      events.end();
    };
    router.register(registered('one', [['a', one.port]]));
    await eventually(() => one.received.filter((message) => message.method === undefined).length === 3);
    const replies = one.received.filter((message) => message.method === undefined);
    expect(
      replies
        .map(({ id, result, error }) => [id, result ?? (error as { code: number }).code])
        .toSorted(([a], [b]) => String(a).localeCompare(String(b))),
    ).toEqual([
      ['q1', {}],
      ['q2', { roots: [] }],
      ['q3', -32601],
    ]);
  });
});

describe('definitions that differ among instances', () => {
  it('during a rolling deploy of a changed schema no call meets the wrong definition', async () => {
    const version = (n: number): unknown[] => [
      { ...simpleTool('t'), description: `version ${n}` },
      simpleTool('same'),
    ];
    const fleet = await Promise.all([1, 1, 1, 2, 2].map((n) => backend({ tools: version(n) })));
    const instances = fleet.map((each, n) => at('s', `i${n}`, each.port, { modifyIndex: n + 1 }));
    const shows = async (): Promise<string> => {
      const session = await RawSession.open(`${router.url}/mcp`);
      const { result } = await session.ask('tools/list');
      return (
        (result?.['tools'] as { name: string; description: string }[]).find((tool) => tool.name === 's__t')
          ?.description ?? ''
      );
    };
    const calledBy = async (tool: string): Promise<Set<number>> => {
      const session = await RawSession.open(`${router.url}/mcp`);
      const answers = await Promise.all(Array.from({ length: 40 }, () => session.call(tool)));
      return new Set(
        answers.map((answer) =>
          Number(/\d+$/.exec(JSON.stringify(answer.result).replaceAll(/[^\d]+$/g, ''))?.[0]),
        ),
      );
    };
    const ports = (...at: number[]): Set<number> => new Set(at.map((n) => fleet[n]!.port));
    const register = (...at: number[]): void =>
      router.register(
        registered(
          's',
          at.map((n) => instances[n]!),
          { session: 'stateless' },
        ),
      );

    register(0, 1, 2, 3);
    await eventually(async () => (await view('s')).instances.filter((one) => one.receivesCalls).length === 4);
    expect(await shows()).toBe('version 1');
    expect(await calledBy('s__t')).toEqual(ports(0, 1, 2));
    expect(await calledBy('s__same')).toEqual(ports(0, 1, 2, 3));

    register(0, 1, 2, 3, 4);
    register(1, 2, 3, 4);
    await eventually(async () => (await shows()) === 'version 2');
    expect(await calledBy('s__t')).toEqual(ports(3, 4));
    expect(await calledBy('s__same')).toEqual(ports(1, 2, 3, 4));
  });
});
