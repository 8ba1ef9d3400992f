import { request as httpRequest } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { simpleTool } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession, type Message } from '../../support/mcp-client.ts';
import { overSse, registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startSseBackend, type SseBackend, type SseExchange } from '../../support/sse-backend.ts';
import { listenSse, type Listening } from '../../support/sse-listener.ts';

let router: HandRouter;
const backends: SseBackend[] = [];
const open: Listening[] = [];
beforeEach(async () => {
  router = await startHandRouter({ connectTimeout: 500 });
});
afterEach(async () => {
  for (const stream of open.splice(0)) stream.close();
  await router.stop();
  await Promise.all(backends.splice(0).map((backend) => backend.stop().catch(() => undefined)));
});

async function backend(options = {}): Promise<SseBackend> {
  const started = await startSseBackend(options);
  backends.push(started);
  return started;
}

type More = Parameters<typeof registered>[2];

async function serve(all: readonly SseBackend[], more: More = {}): Promise<RawSession> {
  router.register(
    registered(
      's',
      all.map((each, n) => overSse('s', `i${n}`, each.port)),
      more,
    ),
  );
  await eventually(async () => {
    const answer = await raw(`${router.adminUrl}/api/v1/services`, { method: 'GET' });
    const { services } = JSON.parse(answer.text) as { services: { healthy: number }[] };
    return services[0]?.healthy === all.length;
  });
  return RawSession.open(`${router.url}/mcp`);
}

async function listen(session: RawSession): Promise<Listening> {
  const stream = await listenSse(session.url, session.id);
  open.push(stream);
  return stream;
}

const text = (message: Message | undefined): string =>
  (message?.result?.['content'] as { text: string }[] | undefined)?.[0]?.text ??
  JSON.stringify(message?.error);
const code = (message: Message): unknown => message.error?.data?.['code'];
const content = (said: string) => ({ content: [{ type: 'text', text: said }] });
const post = (session: RawSession, id: unknown, params: Record<string, unknown>) =>
  session.post({ jsonrpc: '2.0', id, method: 'tools/call', params });
/** The streams of clients: the first is the router's own. */
const clientStreams = (one: SseBackend): number => one.streams.size - 1;

/** Calls a tool and answers what the client is asked on the way; gives the whole event stream. */
async function answering(session: RawSession, method: string, result: unknown): Promise<string> {
  const response = await fetch(session.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-session-id': session.id,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 's__echo' } }),
  });
  let stream = '';
  let answered = false;
  for await (const chunk of response.body ?? []) {
    stream += Buffer.from(chunk).toString();
    const asked = stream.split('\n').find((line) => line.includes(`"${method}"`));
    if (asked === undefined || answered) continue;
    answered = true;
    const { id } = JSON.parse(asked.slice('data: '.length)) as Message;
    expect((await session.post({ jsonrpc: '2.0', id, result })).status).toBe(202);
  }
  return stream;
}

/** Holds calls until they are released, in the order in which they came. */
function holding(one: SseBackend): SseExchange[] {
  const held: SseExchange[] = [];
  one.on['tools/call'] = (exchange) => void held.push(exchange);
  return held;
}

describe('an answer on the stream', () => {
  it('alone is JSON for the client; with something before it, an event stream', async () => {
    const one = await backend();
    const session = await serve([one]);
    const plain = await post(session, 1, { name: 's__echo' });
    expect(plain.headers['content-type']).toBe('application/json');
    expect(text(plain.messages[0])).toBe(`echo by ${one.port}`);
    one.on['tools/call'] = ({ send, result, message }) => {
      const progressToken = (message.params?.['_meta'] as { progressToken: unknown }).progressToken;
      for (const progress of [1, 2]) {
        send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress } });
      }
      result(content('done'));
    };
    for (const token of ['t', '7', 7]) {
      const answer = await post(session, 5, { name: 's__echo', _meta: { progressToken: token } });
      expect(answer.headers['content-type']).toBe('text/event-stream');
      expect(answer.messages.map((message) => message.params?.['progressToken'] ?? message.id)).toEqual([
        token,
        token,
        5,
      ]);
    }
  });

  it('comes without a trace of the session id, which is of the router alone', async () => {
    const one = await backend();
    const session = await serve([one]);
    await session.call('s__echo');
    for (const { headers } of one.requests) {
      expect(headers['mcp-session-id']).toBeUndefined();
      expect(headers['content-type']).toBe('application/json');
    }
  });

  it('goes to the request with its id, in type and value, whatever the order', async () => {
    const one = await backend();
    const session = await serve([one]);
    const held = holding(one);
    const ids = [1, '1', 'é"\\', 9007199254740991, -0.5, 'long enough to be told apart'];
    const asked = ids.map((id) => post(session, id, { name: 's__echo' }));
    await eventually(() => held.length === ids.length);
    for (const { result, message } of held.toReversed()) result(content(JSON.stringify(message.id)));
    const answers = await Promise.all(asked);
    expect(answers.map(({ messages: [message] }) => [message?.id, text(message)])).toEqual(
      ids.map((id) => [id, JSON.stringify(id)]),
    );
  });

  it('passes with everything in it, also over several lines of data and in several pieces', async () => {
    const one = await backend();
    const session = await serve([one]);
    one.on['tools/call'] = async ({ stream, message }) => {
      const id = JSON.stringify(message.id);
      const whole =
        `data: {"jsonrpc":"2.0",\r\ndata: "id":${id},"result":{"big":12345678901234567890,\n` +
        `data: "text":"äöü 😀"}}\r\n\r\n`;
      for (const byte of Buffer.from(whole)) {
        await new Promise((resolve) => stream.write(Buffer.from([byte]), resolve));
      }
    };
    const answer = await post(session, 1, { name: 's__echo' });
    expect(answer.text).toContain('"big":12345678901234567890');
    expect(answer.messages[0]?.result?.['text']).toBe('äöü 😀');
  });

  it('is found among comments, chatter, other events and answers that nobody waits for', async () => {
    const one = await backend();
    const session = await serve([one]);
    one.on['tools/call'] = ({ stream, send, result }) => {
      stream.write(': keep-alive\n\ndata: ping\n\ndata:\n\nevent: endpoint\ndata: /elsewhere\n\n');
      stream.write('event: heartbeat\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\nid: 7\n\n');
      send({ jsonrpc: '2.0', id: 'nobody', result: {} });
      send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'x', progress: 1 } });
      send({ jsonrpc: '2.0', method: 'notifications/progress' });
      result(content('found'));
    };
    const answer = await post(session, 1, { name: 's__echo' });
    expect(answer.messages).toEqual([{ jsonrpc: '2.0', id: 1, result: content('found') }]);
    expect(text(await session.call('s__echo'))).toBe('found');
  });

  it('that is an error passes as it is, also one without an id', async () => {
    const one = await backend();
    const session = await serve([one]);
    const error = { code: -32042, message: 'first this', data: { elicitations: [1] } };
    one.on['tools/call'] = ({ send, message }) => send({ jsonrpc: '2.0', id: message.id, error });
    expect((await session.call('s__echo')).error).toEqual(error);
    one.on['tools/call'] = ({ send }) => send({ jsonrpc: '2.0', id: null, error });
    expect((await post(session, 9, { name: 's__echo' })).messages).toMatchObject([{ error }]);
  });

  it('that is half a message is one clear error, and the session goes on', async () => {
    const one = await backend();
    const session = await serve([one]);
    one.on['tools/call'] = ({ stream }) => void stream.write('data: {"jsonrpc":"2.0","id":1,\n\n');
    expect(code(await session.call('s__write'))).toBe('BACKEND_GARBAGE');
    delete one.on['tools/call'];
    expect(text(await session.call('s__write'))).toBe(`write by ${one.port}`);
    expect(clientStreams(one)).toBe(1);
  });

  it('to a request whose id is in use already is not guessed: the second one is refused', async () => {
    const one = await backend();
    const session = await serve([one]);
    const held = holding(one);
    const first = post(session, 1, { name: 's__echo' });
    await eventually(() => held.length === 1);
    const second = await post(session, 1, { name: 's__write' });
    expect(second.messages[0]?.error).toMatchObject({ code: -32600 });
    held[0]?.result(content('of the first'));
    expect(text((await first).messages[0])).toBe('of the first');
    expect(one.count('tools/call')).toBe(1);
  });
});

describe('what the server says by itself', () => {
  const question = (id: unknown) => ({
    jsonrpc: '2.0',
    id,
    method: 'elicitation/create',
    params: { message: 'Sure?' },
  });
  const log = (data: string) => ({
    jsonrpc: '2.0',
    method: 'notifications/message',
    params: { level: 'info', data },
  });

  it('while one call runs is part of its answer, and the reply goes back', async () => {
    const one = await backend();
    const session = await serve([one]);
    one.on['tools/call'] = ({ send, result }) => {
      send(log('thinking'));
      send(question('q'));
      one.on['response'] = ({ message }) => result(content(JSON.stringify(message)));
    };
    const stream = await answering(session, 'elicitation/create', { action: 'accept' });
    expect(stream.indexOf('thinking')).toBeGreaterThan(0);
    expect(stream).toContain('\\"id\\":\\"q\\",\\"result\\":{\\"action\\":\\"accept\\"}');
  });

  it("while several calls run comes on the client's own stream, and progress to the call that wants it", async () => {
    const one = await backend();
    const session = await serve([one]);
    await session.call('s__echo');
    const stream = await listen(session);
    const held = holding(one);
    const calls = ['a', 'b'].map((token) =>
      post(session, token, { name: 's__echo', _meta: { progressToken: token } }),
    );
    await eventually(() => held.length === 2);
    const [a, b] = held.toSorted((x, y) => (String(x.message.id) < String(y.message.id) ? -1 : 1));
    a?.send(question('q'));
    a?.send(log('whose'));
    a?.send({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 'b', progress: 1 },
    });
    await eventually(() => stream.messages.length === 2);
    expect(stream.messages.map(({ method }) => method)).toEqual([
      'elicitation/create',
      'notifications/message',
    ]);
    a?.result(content('a'));
    b?.result(content('b'));
    const [forA, forB] = await Promise.all(calls);
    expect(forA?.messages.map(({ method }) => method)).toEqual([undefined]);
    expect(forB?.messages.map(({ method }) => method)).toEqual(['notifications/progress', undefined]);
  });

  it('while several calls run and the client has no other stream comes on the latest call', async () => {
    const one = await backend();
    const session = await serve([one]);
    await session.call('s__echo');
    const held = holding(one);
    const first = post(session, 1, { name: 's__echo' });
    await eventually(() => held.length === 1);
    const second = post(session, 2, { name: 's__echo' });
    await eventually(() => held.length === 2);
    held[0]?.send(question('q'));
    for (const each of held) each.result(content('x'));
    expect((await first).messages).toHaveLength(1);
    expect((await second).messages.map(({ method }) => method)).toEqual(['elicitation/create', undefined]);
  });

  it('before the call that opened the session waits for it', async () => {
    const one = await backend({ capabilities: { tools: {}, logging: {} } });
    const session = await serve([one]);
    await session.ask('logging/setLevel', { level: 'info' });
    const replies: unknown[] = [];
    // The router's own request runs by then, and it is not the one to ask.
    one.on['logging/setLevel'] = ({ send, result }) => {
      send({ jsonrpc: '2.0', id: 'r', method: 'roots/list' });
      result({});
    };
    one.on['response'] = ({ message }) => void replies.push(message);
    one.on['tools/call'] = async ({ result }) => {
      await eventually(() => replies.length > 0);
      result(content('done'));
    };
    await answering(session, 'roots/list', { roots: [] });
    expect(replies).toEqual([{ jsonrpc: '2.0', id: 'r', result: { roots: [] } }]);
  });

  it('between calls comes on the stream of the client, also what was said just before it was opened', async () => {
    const one = await backend({ capabilities: { tools: {}, logging: {} } });
    const session = await serve([one]);
    await session.call('s__echo');
    one.notify(log('before'));
    const stream = await listen(session);
    one.notify(log('after'));
    await eventually(() => stream.messages.length === 2);
    expect(stream.messages.map(({ params }) => params?.['data'])).toEqual(['before', 'after']);
  });

  it('ping is answered, whether a client listens or not', async () => {
    const one = await backend();
    const session = await serve([one]);
    await session.call('s__echo');
    one.notify({ jsonrpc: '2.0', id: 'p', method: 'ping' });
    await eventually(
      () => one.received.filter(({ id, method }) => id === 'p' && method === undefined).length === 2,
    );
  });
});

describe('when the stream is lost', () => {
  it('a call that only reads is made at the other instance, and the client notices nothing', async () => {
    const [one, two] = [await backend(), await backend()];
    const session = await serve([one, two], { session: 'stateless' });
    one.on['tools/call'] = ({ stream }) => void stream.destroy();
    for (let n = 0; n < 6; n++) expect(text(await session.call('s__echo'))).toBe(`echo by ${two.port}`);
    expect(one.count('tools/call')).toBeGreaterThan(0);
  });

  it('a call that changes something is one clear error, and is never made twice', async () => {
    const [one, two] = [await backend(), await backend()];
    const session = await serve([one, two], { session: 'stateless' });
    for (const each of [one, two]) each.on['tools/call'] = ({ stream }) => void stream.end();
    const answer = await session.call('s__write');
    expect(code(answer)).toBe('BACKEND_FAILED');
    expect(answer.error?.message).toContain('may or may not have been executed');
    expect(one.count('tools/call') + two.count('tools/call')).toBe(1);
  });

  it('every call that runs on it ends at once', async () => {
    const one = await backend();
    const session = await serve([one]);
    const held = holding(one);
    const calls = Array.from({ length: 8 }, (_, n) => post(session, n, { name: 's__write' }));
    await eventually(() => held.length === 8);
    one.loseStreams();
    for (const { messages } of await Promise.all(calls)) {
      expect(code(messages[0]!)).toBe('BACKEND_FAILED');
    }
  });

  it('the next call opens a new session, with level and subscriptions as they were', async () => {
    const one = await backend({
      capabilities: { tools: {}, logging: {}, resources: { subscribe: true } },
    });
    one.on['resources/list'] = ({ result }) => result({ resources: [{ uri: 'mem://a', name: 'a' }] });
    one.on['resources/templates/list'] = ({ result }) => result({ resourceTemplates: [] });
    const session = await serve([one]);
    await session.ask('logging/setLevel', { level: 'warning' });
    await session.ask('resources/subscribe', { uri: 'mem://a' });
    const openedBefore = one.opened;
    const before = one.received.length;
    for (const [, stream] of [...one.streams].slice(1)) stream.destroy();
    await eventually(() => clientStreams(one) === 0);
    expect(text(await session.call('s__write'))).toBe(`write by ${one.port}`);
    expect(one.opened).toBe(openedBefore + 1);
    const said = one.received.slice(before).map(({ method, params }) => [method, params]);
    expect(said.map(([method]) => method)).toEqual([
      'initialize',
      'notifications/initialized',
      'logging/setLevel',
      'resources/subscribe',
      'tools/call',
    ]);
    expect(said[2]?.[1]).toEqual({ level: 'warning' });
    expect(said[3]?.[1]).toEqual({ uri: 'mem://a' });
  });

  it('in silence, it is found out by a call that timed out, and the next call opens a new session', async () => {
    const one = await backend();
    const session = await serve([one], { timeoutMs: 300 });
    await session.call('s__echo');
    const opened = one.opened;
    // Takes every message and says nothing any more: so looks a stream that a proxy has dropped.
    let dead = true;
    one.onPost = ({ message, response }) => {
      if (!dead || message.method === 'initialize') return false;
      response.writeHead(202).end();
      return true;
    };
    expect(code(await session.call('s__write'))).toBe('BACKEND_TIMEOUT');
    await eventually(() => one.received.some(({ id }) => id === 'mcp-router-alive'));
    await eventually(() => clientStreams(one) === 0);
    dead = false;
    expect(text(await session.call('s__write'))).toBe(`write by ${one.port}`);
    expect(one.opened).toBe(opened + 1);
  });

  it('a call that timed out on a stream that lives costs nobody else the session', async () => {
    const one = await backend();
    const session = await serve([one], { timeoutMs: 300 });
    let held: SseExchange | undefined;
    one.on['tools/call'] = (exchange) => void (held = exchange);
    expect(code(await session.call('s__write'))).toBe('BACKEND_TIMEOUT');
    await eventually(() => one.count('notifications/cancelled') === 1);
    held?.result(content('too late'));
    delete one.on['tools/call'];
    expect(text(await session.call('s__echo'))).toBe(`echo by ${one.port}`);
    expect(clientStreams(one)).toBe(1);
  });
});

describe('a message that the server does not take', () => {
  const refuse = (one: SseBackend, status: number, body = ''): void => {
    let times = 1;
    one.onPost = ({ message, response }) => {
      if (message.method !== 'tools/call' || times-- === 0) return false;
      response.writeHead(status, { 'content-type': 'text/plain' }).end(body);
      return true;
    };
  };

  it.each([
    [404, 'Session not found'],
    [400, 'Could not find session'],
    [503, 'no active session'],
  ])('with %i (%s) opens a new session and is sent again; the old stream is closed', async (status, body) => {
    const one = await backend();
    const session = await serve([one]);
    await session.call('s__echo');
    refuse(one, status, body);
    expect(text(await session.call('s__write'))).toBe(`write by ${one.port}`);
    await eventually(() => clientStreams(one) === 1);
  });

  it.each([
    [500, 'BACKEND_FAILED'],
    [429, 'BACKEND_FAILED'],
    [401, 'BACKEND_REFUSED'],
    [403, 'BACKEND_REFUSED'],
    [302, 'BACKEND_FAILED'],
  ])('with %i is %s, and the session goes on', async (status, expected) => {
    const one = await backend();
    const session = await serve([one]);
    refuse(one, status, 'no');
    expect(code(await session.call('s__write'))).toBe(expected);
    expect(text(await session.call('s__write'))).toBe(`write by ${one.port}`);
    expect(clientStreams(one)).toBe(1);
  });

  it('because it hangs up is one clear error for a call that changes something', async () => {
    const one = await backend();
    const session = await serve([one]);
    one.onPost = ({ message, request }) => {
      if (message.method !== 'tools/call') return false;
      request.socket.destroy();
      return true;
    };
    expect(code(await session.call('s__write'))).toBe('BACKEND_FAILED');
    expect(one.count('tools/call')).toBe(1);
  });

  it('is not held open for a call that was cancelled', async () => {
    const one = await backend();
    const session = await serve([one]);
    const open = new Set<unknown>();
    one.onPost = ({ message, request }) => {
      if (message.method !== 'tools/call') return false;
      open.add(request);
      request.socket.once('close', () => open.delete(request));
      return true;
    };
    const running = post(session, 1, { name: 's__write' });
    await eventually(() => open.size === 1);
    await session.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    await running;
    await eventually(() => open.size === 0 && one.count('notifications/cancelled') === 1);
    expect(clientStreams(one)).toBe(1);
  });

  it('and never finishes to say so is cut off', async () => {
    const one = await backend();
    const session = await serve([one]);
    let over = 0;
    one.onPost = ({ message, response, result }) => {
      if (message.method !== 'tools/call') return false;
      response.once('close', () => over++);
      response.writeHead(202).write('x'.repeat(100_000));
      result(content('done'));
      return true;
    };
    expect(text(await session.call('s__write'))).toBe('done');
    await eventually(() => over === 1);
  });

  it('until it has answered it is no matter: the answer is what counts', async () => {
    const one = await backend();
    const session = await serve([one]);
    const late: SseExchange[] = [];
    one.onPost = (exchange) => {
      if (exchange.message.method !== 'tools/call') return false;
      exchange.result(content('answered first'));
      late.push(exchange);
      return true;
    };
    expect(text(await session.call('s__write'))).toBe('answered first');
    late[0]?.response.writeHead(500).end();
    expect(text(await session.call('s__write'))).toBe('answered first');
    expect(clientStreams(one)).toBe(1);
  });
});

describe('a client that does not read', () => {
  it('loses its call when it is too far behind, the server is told, and other calls go on', async () => {
    const one = await backend();
    const session = await serve([one]);
    await session.call('s__echo');
    const slow = httpRequest(session.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-session-id': session.id,
      },
    });
    slow.on('error', () => undefined);
    slow.on('response', (response) => response.pause());
    const stopped = new AbortController();
    one.on['tools/call'] = async ({ send, result, message, stream }) => {
      if (message.id !== 'slow') {
        result(content('quick'));
        return;
      }
      const progressToken = 'p';
      const filler = 'x'.repeat(64 * 1024);
      while (!stopped.signal.aborted && !stream.destroyed) {
        const params = { progressToken, progress: 1, message: filler };
        send({ jsonrpc: '2.0', method: 'notifications/progress', params });
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    one.on['notifications/cancelled'] = () => stopped.abort();
    slow.end(
      JSON.stringify({
        jsonrpc: '2.0',
        id: 'slow',
        method: 'tools/call',
        params: { name: 's__write', _meta: { progressToken: 'p' } },
      }),
    );
    try {
      await eventually(() => one.received.some(({ id }) => id === 'slow'));
      for (let n = 0; n < 5; n++) expect(text(await session.call('s__echo'))).toBe('quick');
      await eventually(() => stopped.signal.aborted, { withinMs: 20_000 });
      const told = one.received.find(({ method }) => method === 'notifications/cancelled');
      expect(told?.params).toMatchObject({ requestId: 'slow' });
      expect(text(await session.call('s__echo'))).toBe('quick');
      expect(clientStreams(one)).toBe(1);
    } finally {
      stopped.abort();
      slow.destroy();
    }
  });
});

describe('a stream is closed', () => {
  it('when the client ends its session, and with it what still runs there', async () => {
    const one = await backend();
    const session = await serve([one]);
    await session.call('s__echo');
    expect(clientStreams(one)).toBe(1);
    const held = holding(one);
    const running = post(session, 1, { name: 's__write' });
    await eventually(() => held.length === 1);
    await session.end();
    await eventually(() => clientStreams(one) === 0);
    expect(code((await running).messages[0]!)).toBe('BACKEND_FAILED');
  });

  it('when the registration changed: the next call goes to a new session', async () => {
    const one = await backend();
    const session = await serve([one]);
    await session.call('s__echo');
    const [, old] = [...one.streams.keys()];
    const again = overSse('s', 'i0', one.port, { registration: 'another' });
    router.register(registered('s', [again]));
    await eventually(async () => {
      await session.call('s__echo');
      return !one.streams.has(old!);
    });
    await eventually(() => one.streams.size === 2);
  });

  it('when the instance is gone, but not before its last call has ended', async () => {
    const one = await backend();
    const session = await serve([one]);
    await session.call('s__echo');
    const stream = await listen(session);
    const held = holding(one);
    const running = post(session, 1, { name: 's__write' });
    await eventually(() => held.length === 1);
    router.register();
    await eventually(() => one.streams.size === 1);
    held[0]?.result(content('drained'));
    expect(text((await running).messages[0])).toBe('drained');
    await eventually(() => one.streams.size === 0);
    stream.close();
  });

  it('with the router', async () => {
    const one = await backend();
    const session = await serve([one]);
    await session.call('s__echo');
    await router.stop();
    await eventually(() => one.streams.size === 0);
  });
});

it('twenty clients have twenty streams, and each gets its own answers', async () => {
  const one = await backend({ tools: [simpleTool('echo', { readOnlyHint: true })] });
  one.on['tools/call'] = ({ result, message }) =>
    result(content((message.params?.['arguments'] as { who: string }).who));
  const first = await serve([one]);
  const sessions = await Promise.all(Array.from({ length: 20 }, () => RawSession.open(first.url)));
  const answers = await Promise.all(sessions.map((session, n) => session.call('s__echo', { who: `c${n}` })));
  expect(answers.map(text)).toEqual(sessions.map((_, n) => `c${n}`));
  expect(clientStreams(one)).toBe(20);
});
