import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startBackend, type Backend } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession } from '../../support/mcp-client.ts';
import { at, overSse, registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startSseBackend, type SseBackend, type StreamHandler } from '../../support/sse-backend.ts';

let router: HandRouter;
const backends: (SseBackend | Backend)[] = [];
beforeEach(async () => {
  router = await startHandRouter({ probeTimeout: 1000, maxListBytes: '2M' });
});
afterEach(async () => {
  await router.stop();
  await Promise.all(backends.splice(0).map((backend) => backend.stop().catch(() => undefined)));
});

async function sse(options = {}): Promise<SseBackend> {
  const started = await startSseBackend(options);
  backends.push(started);
  return started;
}

interface ServiceView {
  readonly problems: { code: string; subject?: string; message: string }[];
  readonly tools: { original: string }[];
  readonly instances: { probe: { result: string }; receivesCalls: boolean }[];
}

const view = async (name: string): Promise<ServiceView> =>
  JSON.parse(
    (await raw(`${router.adminUrl}/api/v1/services/${name}`, { method: 'GET' })).text,
  ) as ServiceView;

const probed = (name: string): Promise<ServiceView> =>
  eventually(
    async () => {
      const seen = await view(name);
      return seen.instances[0]?.probe.result !== 'pending' && seen;
    },
    { withinMs: 15_000 },
  );

const listed = async (): Promise<string[]> => {
  const session = await RawSession.open(`${router.url}/mcp`);
  const names = await session.toolNames();
  await session.end();
  return names;
};

/** What is wrong with it, and that a good one beside it is served. */
async function problemOf(broken: SseBackend): Promise<string> {
  const good = await sse();
  router.register(
    registered('bad', [overSse('bad', 'b', broken.port)]),
    registered('good', [overSse('good', 'g', good.port)]),
  );
  await eventually(async () => (await listed()).includes('good__echo'));
  const seen = await probed('bad');
  expect(seen.instances[0]).toMatchObject({ probe: { result: 'failed' }, receivesCalls: false });
  expect(seen.problems[0]?.code).toBe('PROBE_FAILED');
  return seen.problems[0]?.message ?? '';
}

/** Opens a stream that begins with this text. */
const says =
  (text: string, end = false): StreamHandler =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(text);
    if (end) response.end();
  };
const answers =
  (status: number, body = '', headers = {}): StreamHandler =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body);

describe('a server over HTTP+SSE whose stream', () => {
  it.each<[string, StreamHandler, RegExp]>([
    [
      'is not where it was registered',
      answers(404, 'no such page'),
      /HTTP 404: GET \/sse opened no event stream: no such page; .*without mcp-transport=sse/,
    ],
    ['is elsewhere', answers(307, '', { location: '/sse/' }), /HTTP 307: .*it leads to \/sse\//],
    ['is for others', answers(401, 'who are you'), /HTTP 401: .*who are you/],
    [
      'is refused without end',
      (_request, response) => void response.writeHead(500).write('oh no'),
      /HTTP 500: .*oh no/,
    ],
    [
      'is a page',
      answers(200, '<html>', { 'content-type': 'text/html' }),
      /text\/html, which is no event stream/,
    ],
    ['never begins', () => undefined, /did not answer GET \/sse within 900 ms/],
    ['is hung up', (request) => void request.socket.destroy(), /closed the connection/],
    ['ends at once', says('', true), /ended its event stream before it sent an endpoint event/],
    ['names no endpoint', says(': hello\n\n'), /\/sse but sent no endpoint event within 900 ms/],
    [
      'speaks before it names an endpoint, and without end',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        const pump = (): void => {
          while (!response.destroyed && response.write(`: ${'x'.repeat(1000)}\n\n`));
          response.once('drain', pump);
        };
        pump();
      },
      /sent 65536 bytes and no endpoint event/,
    ],
    ['names an endpoint that is none', says('event: endpoint\ndata: http://[\n\n'), /no URL: "http:\/\/\["/],
    [
      'names an endpoint with line ends',
      says('event: endpoint\ndata: /m\ndata: x: y\n\n'),
      /no URL: "\/m\\nx: y"/,
    ],
  ])('%s is a problem with its reason, and nothing stays open', async (_, onStream, reason) => {
    const broken = await sse();
    const open = new Set<unknown>();
    broken.onStream = (request, response) => {
      open.add(response);
      response.once('close', () => open.delete(response));
      onStream(request, response);
    };
    expect(await problemOf(broken)).toMatch(reason);
    router.register();
    await eventually(() => open.size === 0);
    expect(broken.received).toEqual([]);
  });

  it('names an endpoint at another origin is refused, and nothing is sent there', async () => {
    let hits = 0;
    const victim = createServer((_request, response) => {
      hits++;
      response.end();
    });
    victim.listen(0, '127.0.0.1');
    await once(victim, 'listening');
    const { port } = victim.address() as AddressInfo;
    try {
      const broken = await sse();
      broken.onStream = says(`event: endpoint\ndata: http://127.0.0.1:${port}/internal\n\n`);
      const problem = await problemOf(broken);
      expect(problem).toContain(`named the endpoint http://127.0.0.1:${port}/internal, which is not at`);
      expect(problem).toContain('have it name a path');
      expect(hits).toBe(0);
    } finally {
      victim.close();
    }
  });

  it('brings one event without end is cut off at the limit', async () => {
    await router.stop();
    router = await startHandRouter({ probeTimeout: '60s' });
    const broken = await sse();
    let written = 0;
    broken.on['tools/list'] = ({ stream }) => {
      const chunk = 'x'.repeat(1 << 20);
      stream.write('data: {"');
      const pump = (): void => {
        while (written < 200e6 && !stream.destroyed) {
          written += chunk.length;
          if (!stream.write(chunk)) {
            stream.once('drain', pump);
            return;
          }
        }
      };
      pump();
    };
    router.register(registered('bad', [overSse('bad', 'b', broken.port)]));
    const seen = await probed('bad');
    expect(seen.problems[0]?.message).toContain('an event of more than 67108864 bytes');
    expect(written).toBeLessThan(150e6);
    await eventually(() => broken.streams.size === 0);
  });
});

describe('a server over HTTP+SSE that', () => {
  it.each<[string, (broken: SseBackend) => void, RegExp]>([
    [
      'takes no messages',
      (broken) => {
        broken.onPost = ({ response }) => {
          response.writeHead(500).end('database is down');
          return true;
        };
      },
      /HTTP 500: database is down/,
    ],
    [
      'never takes the message',
      (broken) => {
        broken.onPost = () => true;
      },
      /within 1000 ms|said nothing for 1000 ms/,
    ],
    [
      'never answers initialize',
      (broken) => void (broken.on['initialize'] = () => undefined),
      /within 1000 ms/,
    ],
    [
      'answers initialize with an error',
      (broken) => {
        broken.on['initialize'] = ({ send, message }) =>
          send({ jsonrpc: '2.0', id: message.id, error: { code: -32603, message: 'no licence' } });
      },
      /-32603: no licence/,
    ],
    [
      'speaks a version from the future',
      (broken) => {
        broken.on['initialize'] = ({ result }) =>
          result({ protocolVersion: '2099-01-01', capabilities: {}, serverInfo: {} });
      },
      /2099-01-01/,
    ],
    [
      'refuses notifications/initialized',
      (broken) => {
        broken.onPost = ({ message, response }) => {
          if (message.method !== 'notifications/initialized') return false;
          response.writeHead(400).end();
          return true;
        };
      },
      /refused notifications\/initialized with HTTP 400/,
    ],
    [
      'closes the stream in the middle of its list',
      (broken) => void (broken.on['tools/list'] = ({ stream }) => void stream.destroy()),
      /closed the connection|ended its event stream/,
    ],
    [
      'answers with half a message',
      (broken) => void (broken.on['tools/list'] = ({ send }) => send('{"jsonrpc":"2.0","id":')),
      /no JSON-RPC/,
    ],
  ])('%s is a problem with its reason, and its stream is closed', async (_, misbehave, reason) => {
    const broken = await sse();
    misbehave(broken);
    expect(await problemOf(broken)).toMatch(reason);
    expect(broken.opened).toBeGreaterThan(0);
    router.register();
    await eventually(() => broken.streams.size === 0);
  });
});

describe('a server over HTTP+SSE that is registered for Streamable HTTP', () => {
  const found = (id: string, port: number) =>
    at('s', id, port, { endpoint: { ...overSse('s', id, port).endpoint, transport: 'streamable-http' } });

  it('is found out and served, with a problem that says how to register it', async () => {
    const one = await sse();
    router.register(registered('s', [found('a', one.port)]));
    await eventually(async () => (await listed()).includes('s__echo'));
    const session = await RawSession.open(`${router.url}/mcp`);
    expect((await session.call('s__write')).result).toBeDefined();
    const { problems } = await view('s');
    expect(problems).toMatchObject([{ code: 'TRANSPORT_FOUND', subject: 'mcp-transport' }]);
    expect(problems[0]?.message).toContain('mcp-transport=sse');
  });

  it('is spoken to over Streamable HTTP once it has learned that', async () => {
    const one = await sse();
    router.register(registered('s', [found('a', one.port)]));
    await eventually(async () => (await listed()).includes('s__echo'));
    await one.stop();
    const two = await startBackend({ port: one.port });
    backends.push(two);
    two.on['GET'] = ({ response }) => void response.writeHead(405).end();
    await eventually(async () => (await view('s')).problems.length === 0, { withinMs: 20_000 });
    const session = await RawSession.open(`${router.url}/mcp`);
    expect(JSON.stringify((await session.call('s__write')).result)).toContain('write by');
    expect(two.count('tools/call')).toBe(1);
  });

  it('since it was replaced by an older one is found out as well', async () => {
    const one = await startBackend();
    backends.push(one);
    router.register(registered('s', [found('a', one.port)]));
    await eventually(async () => (await listed()).includes('s__echo'));
    expect((await view('s')).problems).toEqual([]);
    await one.stop();
    await sse({ port: one.port });
    const instance = found('a', one.port);
    router.register(registered('s', [{ ...instance, state: 'critical' }]));
    router.register(registered('s', [instance]));
    await eventually(async () => (await view('s')).problems[0]?.code === 'TRANSPORT_FOUND', {
      withinMs: 20_000,
    });
  });

  it('at another path than its stream is a problem that says what to look at', async () => {
    const one = await sse();
    router.register(registered('s', [['a', one.port]]));
    const { problems } = await probed('s');
    expect(problems[0]?.message).toMatch(/HTTP 404: not here; is mcp-path right\? .*mcp-transport=sse/);
    expect(one.opened).toBe(0);
  });
});

describe('probing over HTTP+SSE', () => {
  const ready = async (one: SseBackend): Promise<void> => {
    router.register(registered('one', [overSse('one', 'a', one.port)]));
    await eventually(async () => (await listed()).includes('one__echo'));
  };

  it('keeps one stream for all looks and hears of changes on it', async () => {
    const one = await sse();
    await ready(one);
    for (const name of ['x', 'y']) {
      one.tools = [...one.tools, { name, inputSchema: { type: 'object' } }];
      one.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
      await eventually(async () => (await listed()).includes(`one__${name}`));
    }
    expect(one.opened).toBe(1);
    router.register();
    await eventually(() => one.streams.size === 0);
  });

  it('hears of a change that is announced in one breath with the last list', async () => {
    const one = await sse();
    let lists = 0;
    one.on['tools/list'] = ({ message, stream }) => {
      lists++;
      const tools = lists === 1 ? one.tools : [{ name: 'late', inputSchema: { type: 'object' } }];
      const answer = JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { tools } });
      const changed = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}';
      stream.write(`data: ${answer}\n\n${lists === 1 ? `data: ${changed}\n\n` : ''}`);
    };
    router.register(registered('one', [overSse('one', 'a', one.port)]));
    await eventually(async () => (await listed()).includes('one__late'));
  });

  it('opens a new stream after the old one was lost, and looks again', async () => {
    const one = await sse();
    await ready(one);
    one.tools = [{ name: 'after', inputSchema: { type: 'object' } }];
    one.loseStreams();
    await eventually(async () => (await listed()).join() === 'one__after');
    expect(one.opened).toBe(2);
  });

  it('pings over it while Consul is in doubt', async () => {
    const one = await sse();
    const service = registered('one', [overSse('one', 'a', one.port)]);
    const takesCalls = async (): Promise<boolean> => (await view('one')).instances[0]?.receivesCalls === true;
    router.register({ ...service, doubt: 'unreachable' });
    await eventually(takesCalls);
    await eventually(() => one.count('ping') > 0, { withinMs: 15_000 });
    expect(await takesCalls()).toBe(true);
  });

  it('answers what the server asks the router itself', async () => {
    const one = await sse();
    one.on['tools/list'] = ({ send, result }) => {
      send({ jsonrpc: '2.0', id: 'q1', method: 'ping' });
      send({ jsonrpc: '2.0', id: 'q2', method: 'roots/list' });
      send({ jsonrpc: '2.0', id: 'q3', method: 'sampling/createMessage', params: {} });
      result({ tools: one.tools });
    };
    await ready(one);
    const replies = await eventually(() => {
      const seen = one.received.filter((message) => message.method === undefined);
      return seen.length === 3 && seen;
    });
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
