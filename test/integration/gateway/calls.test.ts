import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { simpleTool, startBackend, type Backend, type Exchange } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession, type Message } from '../../support/mcp-client.ts';
import { at, registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { freePort } from '../../support/servers.ts';

let router: HandRouter;
const backends: Backend[] = [];

beforeEach(async () => {
  router = await startHandRouter({ connectTimeout: 500 });
});
afterEach(async () => {
  await router.stop();
  await Promise.all(backends.splice(0).map((backend) => backend.stop().catch(() => undefined)));
});

async function backend(options: Parameters<typeof startBackend>[0] = {}): Promise<Backend> {
  const started = await startBackend(options);
  backends.push(started);
  return started;
}

/** Registers, waits until the tools are listed, opens a session. */
async function ready(
  name: string,
  services: ReturnType<typeof registered>[],
  path = '/mcp',
): Promise<RawSession> {
  router.register(...services);
  const probe = await eventually(() => RawSession.open(`${router.url}/mcp`));
  await eventually(async () => (await probe.toolNames()).some((tool) => tool.startsWith(`${name}__`)));
  return RawSession.open(`${router.url}${path}`);
}

/** Waits until this many instances of the service take calls. */
async function healthy(name: string, count: number): Promise<void> {
  await eventually(async () => {
    const answer = await raw(`${router.adminUrl}/api/v1/services`, { method: 'GET' });
    const { services } = JSON.parse(answer.text) as { services: { name: string; healthy: number }[] };
    return services.find((service) => service.name === name)?.healthy === count;
  });
}

const text = (message: Message): string =>
  (message.result?.['content'] as { text: string }[] | undefined)?.[0]?.text ?? JSON.stringify(message.error);
const code = (message: Message): unknown => message.error?.data?.['code'];

/** Drops the connection after the request has been read. */
const hangUp = ({ request }: Exchange): void => void request.socket.destroy();

describe('an event stream as answer', () => {
  it('brings progress with the token of the client, in value and type, before the answer', async () => {
    const one = await backend();
    one.on['tools/call'] = ({ message, stream }) => {
      const token = (message.params?.['_meta'] as { progressToken: unknown }).progressToken;
      const events = stream();
      for (const progress of [1, 2]) {
        events.send({
          jsonrpc: '2.0',
          method: 'notifications/progress',
          params: { progressToken: token, progress },
        });
      }
      events.send({ jsonrpc: '2.0', id: message.id, result: { content: [{ type: 'text', text: 'done' }] } });
      events.end();
    };
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    for (const token of ['t', '7', 7]) {
      const answer = await session.post({
        jsonrpc: '2.0',
        id: 5,
        method: 'tools/call',
        params: { name: 'one__echo', _meta: { progressToken: token } },
      });
      expect(answer.headers['content-type']).toBe('text/event-stream');
      expect(answer.headers['x-accel-buffering']).toBe('no');
      expect(answer.messages.map((message) => message.params?.['progressToken'] ?? message.id)).toEqual([
        token,
        token,
        5,
      ]);
    }
  });

  it('is begun at once, before the first event', async () => {
    const one = await backend();
    let release = (): void => undefined;
    one.on['tools/call'] = async ({ message, stream, response }) => {
      const events = stream();
      response.flushHeaders();
      await new Promise<void>((resolve) => (release = resolve));
      events.send({ jsonrpc: '2.0', id: message.id, result: { content: [] } });
      events.end();
    };
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    const response = await fetch(session.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-session-id': session.id,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one__echo' } }),
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    release();
    expect(await response.text()).toContain('"result"');
  });

  it('is folded into JSON for a client that takes no streams', async () => {
    const one = await backend();
    one.on['tools/call'] = ({ message, stream }) => {
      const events = stream();
      events.send({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } });
      events.send({ jsonrpc: '2.0', id: message.id, result: { content: [] } });
      events.end();
    };
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    const answer = await session.post(
      { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one__echo' } },
      { accept: 'application/json' },
    );
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.messages).toEqual([{ jsonrpc: '2.0', id: 1, result: { content: [] } }]);
  });

  it('leads a question of the server to the client whose call made it ask, and the answer back', async () => {
    const one = await backend();
    one.on['tools/call'] = ({ message, stream }) => {
      const events = stream();
      events.send({ jsonrpc: '2.0', id: 1, method: 'elicitation/create', params: { message: 'Sure?' } });
      one.on['response'] = ({ message: reply, response }) => {
        response.writeHead(202).end();
        events.send({
          jsonrpc: '2.0',
          id: message.id,
          result: { content: [{ type: 'text', text: JSON.stringify(reply) }] },
        });
        events.end();
      };
    };
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    const response = await fetch(session.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-session-id': session.id,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one__echo' } }),
    });
    let stream = '';
    for await (const chunk of response.body ?? []) {
      stream += Buffer.from(chunk).toString();
      const question = /data: (.*elicitation.*)\n\n/.exec(stream)?.[1];
      if (question !== undefined && !stream.includes('"result"')) {
        const { id } = JSON.parse(question) as Message;
        expect(id).not.toBe(1);
        expect((await session.post({ jsonrpc: '2.0', id, result: { action: 'accept' } })).status).toBe(202);
      }
    }
    expect(stream).toContain('\\"id\\":1,\\"result\\":{\\"action\\":\\"accept\\"}');
  });
});

describe('another instance takes the call, and the client notices nothing', () => {
  it('when one cannot be connected to', async () => {
    const [one, two] = await Promise.all([backend(), backend()]);
    const session = await ready('s', [
      registered(
        's',
        [
          ['a', one.port],
          ['b', two.port],
        ],
        { session: 'stateless' },
      ),
    ]);
    await healthy('s', 2);
    await one.stop();
    for (let i = 0; i < 10; i++) expect(text(await session.call('s__write'))).toBe(`write by ${two.port}`);
  });

  it('when one breaks off during a call that only reads', async () => {
    const [one, two] = await Promise.all([backend(), backend()]);
    one.on['tools/call'] = hangUp;
    const session = await ready('s', [
      registered(
        's',
        [
          ['a', one.port],
          ['b', two.port],
        ],
        { session: 'stateless' },
      ),
    ]);
    await healthy('s', 2);
    for (let i = 0; i < 10; i++) expect(text(await session.call('s__echo'))).toBe(`echo by ${two.port}`);
    expect(one.count('tools/call')).toBeGreaterThan(0);
  });

  it('when the session cannot be opened there', async () => {
    const [one, two] = await Promise.all([backend(), backend()]);
    const session = await ready('s', [
      registered(
        's',
        [
          ['a', one.port],
          ['b', two.port],
        ],
        { session: 'stateless' },
      ),
    ]);
    await healthy('s', 2);
    one.on['initialize'] = ({ json }) => json(500, '{}');
    for (let i = 0; i < 6; i++) expect(text(await session.call('s__write'))).toBe(`write by ${two.port}`);
  });
});

describe('a call that changes something', () => {
  it('is never executed twice: a broken answer is one clear error', async () => {
    const [one, two] = await Promise.all([backend(), backend()]);
    for (const each of [one, two]) each.on['tools/call'] = hangUp;
    const session = await ready('s', [
      registered(
        's',
        [
          ['a', one.port],
          ['b', two.port],
        ],
        { session: 'stateless' },
      ),
    ]);
    await healthy('s', 2);
    const answer = await session.call('s__write');
    expect(code(answer)).toBe('BACKEND_FAILED');
    expect(answer.error?.message).toContain('may or may not have been executed');
    expect(one.count('tools/call') + two.count('tools/call')).toBe(1);
  });

  it('is not repeated after half an answer either', async () => {
    const [one, two] = await Promise.all([backend(), backend()]);
    for (const each of [one, two]) {
      each.on['tools/call'] = ({ response, request }) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
        response.write('{"jsonrpc"', () => request.socket.destroy());
      };
    }
    const session = await ready('s', [
      registered(
        's',
        [
          ['a', one.port],
          ['b', two.port],
        ],
        { session: 'stateless' },
      ),
    ]);
    await healthy('s', 2);
    expect(code(await session.call('s__write'))).toBe('BACKEND_FAILED');
    expect(one.count('tools/call') + two.count('tools/call')).toBe(1);
  });
});

describe('sessions at backends', () => {
  it('are one for each client session, with the capabilities of that client', async () => {
    const one = await backend();
    const first = await ready('one', [registered('one', [['a', one.port]])]);
    const second = await RawSession.open(`${router.url}/mcp`, { sampling: {} });
    const before = one.sessions.size;
    for (const session of [first, second, first, second]) await session.call('one__echo');
    expect(one.sessions.size).toBe(before + 2);
    const introduced = one.received.filter((message) => message.method === 'initialize').slice(-2);
    expect(introduced.map((message) => message.params?.['capabilities'])).toEqual([{}, { sampling: {} }]);
    expect(introduced[0]?.params?.['clientInfo']).toEqual({ name: 'raw', version: '1' });
  });

  it('a restarted backend: its forgotten session is opened again and the call goes through', async () => {
    const one = await backend();
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    await session.call('one__write');
    one.sessions.clear();
    expect(text(await session.call('one__write'))).toBe(`write by ${one.port}`);
  });

  it.each([
    [
      400,
      '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}',
    ],
    [503, '{"error":"unknown session"}'],
    [404, 'Not Found'],
  ])('also where the backend says %i for it', async (status, body) => {
    const one = await backend();
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    await session.call('one__write');
    let refused = 0;
    one.on['tools/call'] = ({ json }) => {
      refused++;
      delete one.on['tools/call'];
      json(status, body);
    };
    expect(text(await session.call('one__write'))).toBe(`write by ${one.port}`);
    expect(refused).toBe(1);
  });

  it('a backend that forgets every session is given up with a clear error, not tried for ever', async () => {
    const one = await backend();
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    one.on['tools/call'] = ({ json }) => json(404, '{}');
    const answer = await session.call('one__write');
    expect(code(answer)).toBe('BACKEND_SESSION_LOST');
    expect(one.count('tools/call')).toBe(2);
  });

  it('stateful calls stay with one instance while it is healthy, whatever else comes', async () => {
    const [one, two, three] = await Promise.all([backend(), backend(), backend()]);
    const pair = registered('s', [
      ['a', one.port],
      ['b', two.port],
    ]);
    const session = await ready('s', [pair]);
    await healthy('s', 2);
    const home = text(await session.call('s__write'));
    router.register(registered('s', [...pair.instances, ['c', three.port]]));
    await healthy('s', 3);
    for (let i = 0; i < 10; i++) expect(text(await session.call('s__write'))).toBe(home);
  });

  it('spread over the instances, one session each', async () => {
    const [one, two] = await Promise.all([backend(), backend()]);
    await ready('s', [
      registered('s', [
        ['a', one.port],
        ['b', two.port],
      ]),
    ]);
    await healthy('s', 2);
    const homes = new Set<string>();
    for (let i = 0; i < 24 && homes.size < 2; i++) {
      const session = await RawSession.open(`${router.url}/mcp`);
      homes.add(text(await session.call('s__write')));
    }
    expect(homes.size).toBe(2);
  });

  it('a server without sessions is not made to open one', async () => {
    const one = await backend({ sessionless: true });
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    const before = one.count('initialize');
    expect(text(await session.call('one__write'))).toBe(`write by ${one.port}`);
    expect(one.count('initialize')).toBe(before);
  });
});

describe('states of Consul', () => {
  it('critical is ejected at once, warning weighs less, maintenance drains', async () => {
    const [one, two] = await Promise.all([backend(), backend()]);
    const fleet = (state: 'passing' | 'critical' | 'maintenance' | 'warning', weight = 1) =>
      registered(
        's',
        [at('s', 'a', one.port, { state, weights: { passing: 1, warning: weight } }), at('s', 'b', two.port)],
        { session: 'stateless' },
      );
    const session = await ready('s', [fleet('passing')]);
    await healthy('s', 2);
    const seen = async (): Promise<Set<string>> => {
      const found = new Set<string>();
      for (let i = 0; i < 30; i++) found.add(text(await session.call('s__write')));
      return found;
    };
    expect((await seen()).size).toBe(2);
    // No wait for the table: a critical check skips the debounce, so the very next call goes elsewhere.
    router.register(fleet('critical'));
    expect(await seen()).toEqual(new Set([`write by ${two.port}`]));
    router.register(fleet('warning', 5));
    await healthy('s', 2);
    expect((await seen()).size).toBe(2);
    router.register(fleet('warning', 0));
    await healthy('s', 1);
    expect(await seen()).toEqual(new Set([`write by ${two.port}`]));
    router.register(fleet('maintenance'));
    expect(await seen()).toEqual(new Set([`write by ${two.port}`]));
  });

  it('a running call finishes at an instance that is drained or even deregistered', async () => {
    const one = await backend();
    let release = (): void => undefined;
    one.on['tools/call'] = async ({ result }) => {
      await new Promise<void>((resolve) => (release = resolve));
      result({ content: [{ type: 'text', text: 'finished' }] });
    };
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    const running = session.call('one__write');
    await eventually(() => one.count('tools/call') === 1);
    router.register(registered('one', [at('one', 'a', one.port, { state: 'maintenance' })]));
    await healthy('one', 0);
    expect(code(await session.call('one__write'))).toBe('NO_HEALTHY_INSTANCE');
    router.register();
    await eventually(async () => (await session.toolNames()).length === 0);
    release();
    expect(text(await running)).toBe('finished');
  });

  it('nobody healthy: the tools stay listed for a while, and calls say when to come back', async () => {
    const one = await backend();
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    router.register(registered('one', [at('one', 'a', one.port, { state: 'critical' })]));
    const answer = await session.call('one__echo');
    expect(answer.error?.data).toMatchObject({
      code: 'NO_HEALTHY_INSTANCE',
      service: 'one',
      retryAfterMs: 1000,
    });
    expect(await session.toolNames()).toContain('one__echo');
  });
});

describe('what a backend does wrong', () => {
  it.each<[string, (exchange: Exchange) => void, string]>([
    [
      'HTML',
      ({ response }) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      'BACKEND_FAILED',
    ],
    ['JSON that is none', ({ json }) => json(200, '{"jsonrpc":'), 'BACKEND_GARBAGE'],
    [
      'the answer to another request',
      ({ json }) => json(200, '{"jsonrpc":"2.0","id":99,"result":{}}'),
      'BACKEND_GARBAGE',
    ],
    ['an event that is no message', ({ stream }) => stream().send('hello'), 'BACKEND_GARBAGE'],
    ['a stream without an answer', ({ stream }) => stream().end(), 'BACKEND_FAILED'],
    [
      '401',
      ({ json }) => json(401, '{}', { 'www-authenticate': 'Bearer resource_metadata="http://internal/"' }),
      'BACKEND_REFUSED',
    ],
    ['403', ({ json }) => json(403, '{}'), 'BACKEND_REFUSED'],
    ['a redirect', ({ json }) => json(302, '', { location: 'http://127.0.0.1:1/' }), 'BACKEND_FAILED'],
    ['500', ({ json }) => json(500, 'oops at 10.0.0.7:1234'), 'BACKEND_FAILED'],
    ['too busy', ({ json }) => json(503, '', { 'retry-after': '0' }), 'BACKEND_FAILED'],
    [
      'headers without end',
      ({ response }) => void response.writeHead(200, { 'x-long': 'x'.repeat(40_000) }).end(),
      'BACKEND_GARBAGE',
    ],
  ])('%s becomes a clear error', async (_, misbehave, expected) => {
    const one = await backend();
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    one.on['tools/call'] = misbehave;
    const answer = await session.post({
      jsonrpc: '2.0',
      id: 3,
      method: 'tools/call',
      params: { name: 'one__write' },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers['www-authenticate']).toBeUndefined();
    expect(answer.messages.at(-1)).toMatchObject({
      id: 3,
      error: { data: { code: expected, service: 'one' } },
    });
    expect(answer.text).not.toMatch(/127\.0\.0\.1|10\.0\.0\.7|internal/);
    delete one.on['tools/call'];
    expect(text(await session.call('one__write'))).toBe(`write by ${one.port}`);
  });

  it("a backend's own error passes unchanged", async () => {
    const one = await backend();
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    const error = { code: -32099, message: 'Own words', data: { why: ['a', 1.5] } };
    one.on['tools/call'] = ({ message, json }) =>
      json(200, JSON.stringify({ jsonrpc: '2.0', id: message.id, error }));
    expect((await session.call('one__write')).error).toEqual(error);
    one.on['tools/call'] = ({ message, json }) =>
      json(422, JSON.stringify({ jsonrpc: '2.0', id: message.id, error }));
    const answer = await session.post({
      jsonrpc: '2.0',
      id: 3,
      method: 'tools/call',
      params: { name: 'one__write' },
    });
    expect([answer.status, answer.messages[0]?.error]).toEqual([422, error]);
  });

  it('a call without a sign of life is cancelled at the backend and ends with a clear error', async () => {
    const one = await backend();
    one.on['tools/call'] = () => undefined;
    const session = await ready('one', [registered('one', [['a', one.port]], { timeoutMs: 300 })]);
    const answer = await session.call('one__write');
    expect(answer.error?.data).toMatchObject({ code: 'BACKEND_TIMEOUT', timeoutMs: 300 });
    await eventually(() => one.count('notifications/cancelled') === 1);
  });

  it('progress keeps a long call alive', async () => {
    const one = await backend();
    one.on['tools/call'] = async ({ message, stream }) => {
      const events = stream();
      for (let progress = 0; progress < 8; progress++) {
        events.send({
          jsonrpc: '2.0',
          method: 'notifications/progress',
          params: { progressToken: 1, progress },
        });
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
      events.send({ jsonrpc: '2.0', id: message.id, result: { content: [{ type: 'text', text: 'done' }] } });
      events.end();
    };
    const session = await ready('one', [registered('one', [['a', one.port]], { timeoutMs: 500 })]);
    expect(text(await session.call('one__write', {}, { progressToken: 1 }))).toBe('done');
  });
});

describe('a client', () => {
  it('that cancels gets nothing more, and the backend hears of it', async () => {
    const one = await backend();
    one.on['tools/call'] = () => undefined;
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    const running = session.post({
      jsonrpc: '2.0',
      id: 'c1',
      method: 'tools/call',
      params: { name: 'one__write' },
    });
    await eventually(() => one.count('tools/call') === 1);
    await session.post({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 'c1', reason: 'enough' },
    });
    expect((await running).messages).toEqual([]);
    const cancelled = await eventually(() =>
      one.received.find((message) => message.method === 'notifications/cancelled'),
    );
    expect(cancelled.params).toEqual({ requestId: 'c1', reason: 'enough' });
  });

  it('that hangs up does not stop the call: in this era that is no cancellation', async () => {
    const one = await backend();
    let finished = false;
    let release = (): void => undefined;
    one.on['tools/call'] = async ({ response, result }) => {
      response.on('close', () => (finished = response.writableFinished));
      await new Promise<void>((resolve) => (release = resolve));
      result({ content: [] });
    };
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    const controller = new AbortController();
    const gone = fetch(session.url, {
      method: 'POST',
      signal: controller.signal,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-session-id': session.id,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one__write' } }),
    }).catch(() => 'gone');
    await eventually(() => one.count('tools/call') === 1);
    controller.abort();
    expect(await gone).toBe('gone');
    release();
    await eventually(() => finished);
    expect(one.count('notifications/cancelled')).toBe(0);
  });

  it('gets a large answer whole, without the router keeping it', async () => {
    const one = await backend();
    const big = 'x'.repeat(8 << 20);
    one.on['tools/call'] = ({ result }) => result({ content: [{ type: 'text', text: big }] });
    const session = await ready('one', [registered('one', [['a', one.port]])]);
    expect(text(await session.call('one__write'))).toHaveLength(big.length);
  });
});

describe('an address where nobody listens', () => {
  it('is a problem with a reason, and no tool', async () => {
    const port = await freePort();
    const one = await backend();
    const session = await ready('one', [
      registered('one', [['a', one.port]]),
      registered('dead', [['d', port]]),
    ]);
    const problem = await eventually(async () => {
      const answer = await raw(`${router.adminUrl}/api/v1/services/dead`, { method: 'GET' });
      return (JSON.parse(answer.text) as { problems: { code: string; message: string }[] }).problems[0];
    });
    expect(problem).toMatchObject({
      code: 'PROBE_FAILED',
      message: expect.stringMatching(/could not be connected to.*ECONNREFUSED/) as string,
    });
    expect(await session.toolNames()).toEqual(['one__echo', 'one__write']);
    // And when it comes up after all, it is found.
    backends.push(await startBackend({ port, tools: [simpleTool('late')] }));
    await eventually(async () => (await session.toolNames()).includes('dead__late'));
  });
});
