import { connect as connectTcp } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { simpleTool, startBackend, type Backend, type Exchange } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { listenSse, postSse, type Listening } from '../../support/sse-listener.ts';

let router: HandRouter;
let backend: Backend;
const streams: Listening[] = [];

beforeEach(async () => {
  router = await startHandRouter({ keepAlive: 100 });
  backend = await startBackend({ tools: [simpleTool('work'), simpleTool('other')] });
  router.register(registered('one', [['a', backend.port]]));
  const session = await RawSession.open(`${router.url}/mcp`);
  await eventually(async () => (await session.toolNames()).length > 0);
});
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.close();
  await router.stop();
  await backend.stop();
});

const work = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'one__work', arguments: {} } };
const log = (data: unknown) => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data },
});
const result = (id: unknown) => ({
  jsonrpc: '2.0',
  id,
  result: { content: [{ type: 'text', text: 'done' }] },
});

async function posted(session: RawSession, message: unknown, version = '2025-11-25'): Promise<Listening> {
  const stream = await postSse(session.url, session.id, message, { 'mcp-protocol-version': version });
  streams.push(stream);
  return stream;
}

async function opened(session: RawSession, headers: Record<string, string> = {}): Promise<Listening> {
  const stream = await listenSse(session.url, session.id, headers);
  streams.push(stream);
  return stream;
}

/** The backend's running call, to be gone on with from the test. */
function heldCall(): { next: Promise<Exchange & { out: ReturnType<Exchange['stream']> }> } {
  let resolve: (exchange: Exchange & { out: ReturnType<Exchange['stream']> }) => void = () => undefined;
  const next = new Promise<Exchange & { out: ReturnType<Exchange['stream']> }>((done) => (resolve = done));
  backend.on['tools/call'] = (exchange) => {
    const out = exchange.stream();
    exchange.response.flushHeaders();
    resolve({ ...exchange, out });
  };
  return { next };
}

describe('a client that loses the stream of its request', () => {
  it('takes it up again and gets every message once', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const held = heldCall();
    const first = await posted(session, work);
    const call = await held.next;
    call.out.send(log('one'));
    await eventually(() => first.messages.length === 1);
    const lastId = first.lastId() ?? '';
    first.close();
    call.out.send(log('two'));
    const second = await opened(session, { 'last-event-id': lastId });
    await eventually(() => second.messages.length === 1);
    call.out.send(log('three'));
    call.out.send(result(call.message.id));
    await eventually(() => second.ended());
    expect(second.messages.map((message) => message.params?.['data'] ?? message.id)).toEqual([
      'two',
      'three',
      7,
    ]);
    expect(backend.count('tools/call')).toBe(1);
  });

  it('may come back when the answer has long been there', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const held = heldCall();
    const first = await posted(session, work);
    const call = await held.next;
    await eventually(() => first.lastId() !== undefined);
    const primed = first.lastId() ?? '';
    first.close();
    call.out.send(result(call.message.id));
    call.out.end();
    await eventually(async () => {
      const again = await opened(session, { 'last-event-id': primed });
      await eventually(() => again.ended() || again.messages.length > 0, { withinMs: 500 }).catch(
        () => undefined,
      );
      return again.messages.some((message) => message.id === 7);
    });
  });

  it('does not get the stream of another session, nor another stream of its own', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const other = await RawSession.open(`${router.url}/mcp`);
    const held = heldCall();
    const first = await posted(session, work);
    const call = await held.next;
    call.out.send(log('secret'));
    await eventually(() => first.messages.length === 1);
    await expect(
      opened(other, { 'last-event-id': (first.lastId() ?? '').replace(/\d+$/, '0') }),
    ).rejects.toThrow(/410.*STREAM_GONE/);
    const news = await opened(session, { 'last-event-id': 'nobody.1' });
    call.out.send(result(call.message.id));
    await eventually(() => first.ended());
    await new Promise((resolve) => setTimeout(resolve, 50));
    const ofTheCall = news.messages.filter(
      (message) => message.id !== undefined || message.method === 'notifications/message',
    );
    expect(ofTheCall).toEqual([]);
  });

  it('and comes to a router that was started anew is told so, and keeps its own stream', async () => {
    const keys = [new Uint8Array(32).fill(3)];
    const former = await startHandRouter({}, keys);
    former.register(registered('one', [['a', backend.port]]));
    const session = await RawSession.open(`${former.url}/mcp`);
    await eventually(async () => (await session.toolNames()).length > 0);
    const held = heldCall();
    const call = await posted(session, work);
    await held.next;
    await eventually(() => call.lastId() !== undefined);
    const lastId = call.lastId() ?? '';
    await former.stop();
    const next = await startHandRouter({}, keys);
    try {
      const at = `${next.url}/mcp`;
      const news = await listenSse(at, session.id);
      streams.push(news);
      await expect(listenSse(at, session.id, { 'last-event-id': lastId })).rejects.toThrow(
        /410.*STREAM_GONE/,
      );
      expect(news.ended()).toBe(false);
    } finally {
      await next.stop();
    }
  });

  it('is given ids from the first moment on, and told when to come back', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const held = heldCall();
    const first = await posted(session, work);
    await held.next;
    await eventually(() => /^id: [\w-]+\.0\nretry: \d+\ndata: \n\n/.test(first.text()));
  });

  it('of a revision before 2025-11-25 gets no event without data', async () => {
    const session = await RawSession.open(`${router.url}/mcp`, {}, '2025-06-18');
    const held = heldCall();
    const first = await posted(session, work, '2025-06-18');
    const call = await held.next;
    call.out.send(result(call.message.id));
    await eventually(() => first.ended());
    expect(first.text()).not.toMatch(/data: \n/);
    expect(first.text()).toMatch(/^id: /m);
  });
});

describe('a client whose own stream is away for a moment', () => {
  it('gets what was said meanwhile', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    await session.call('one__work');
    const first = await opened(session);
    await eventually(() => first.lastId() !== undefined);
    const lastId = first.lastId() ?? '';
    first.close();
    backend.tools = [...backend.tools, simpleTool('new')];
    backend.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await eventually(async () => (await session.toolNames()).includes('one__new'));
    const second = await opened(session, { 'last-event-id': lastId });
    await eventually(() =>
      second.messages.some((message) => message.method === 'notifications/tools/list_changed'),
    );
  });

  it('and whose events are not kept is told to look again, and goes on', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const first = await opened(session, { 'last-event-id': 'n-of-another-process.3' });
    const lists = ['tools', 'prompts', 'resources'].map((kind) => `notifications/${kind}/list_changed`);
    await eventually(() => first.messages.length >= lists.length);
    expect(new Set(first.messages.map((message) => message.method))).toEqual(new Set(lists));
    const lastId = first.lastId() ?? '';
    first.close();
    const second = await opened(session, { 'last-event-id': lastId });
    backend.tools = [...backend.tools, simpleTool('new')];
    backend.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await eventually(() => second.messages.length > 0);
    expect(second.messages.map((message) => message.method)).toEqual([lists[0]]);
  });

  it('and that missed more than is kept is told to look again', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    await session.call('one__work');
    const first = await opened(session);
    await eventually(() => first.lastId() !== undefined);
    const lastId = first.lastId() ?? '';
    await eventually(() => {
      backend.notify(log('x'.repeat(30_000)));
      return first.messages.length > 3;
    });
    first.close();
    const second = await opened(session, { 'last-event-id': lastId });
    await eventually(() =>
      second.messages.some((message) => message.method === 'notifications/tools/list_changed'),
    );
  });

  it('without an event id gets only what comes', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    await session.call('one__work');
    const first = await opened(session);
    first.close();
    backend.tools = [...backend.tools, simpleTool('new')];
    backend.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await eventually(async () => (await session.toolNames()).includes('one__new'));
    const second = await opened(session);
    backend.notify(log('fresh'));
    await eventually(() => second.messages.length > 0);
    expect(second.messages.map((message) => message.method)).toEqual(['notifications/message']);
  });
});

describe('a backend that gives event ids', () => {
  /** Events with ids, and a GET that goes on with them. */
  function resumable(): { cut: 'politely' | 'rudely'; asked: (string | undefined)[] } {
    const state = { cut: 'politely' as 'politely' | 'rudely', asked: [] as (string | undefined)[] };
    let id: unknown;
    backend.on['tools/call'] = ({ message, response }) => {
      id = message.id;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('id: e1\nretry: 20\ndata: \n\n');
      response.write(`id: e2\ndata: ${JSON.stringify(log('begun'))}\n\n`);
      setTimeout(() => (state.cut === 'politely' ? response.end() : response.destroy()), 20);
    };
    backend.on['GET'] = ({ request, response }) => {
      const from = request.headers['last-event-id'];
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      if (from === undefined) {
        response.flushHeaders();
        return;
      }
      state.asked.push(String(from));
      response.end(`id: e3\ndata: ${JSON.stringify(result(id))}\n\n`);
    };
    return state;
  }

  it('and ends the connection is asked for the rest; so is the router by a client that can come back', async () => {
    const state = resumable();
    const session = await RawSession.open(`${router.url}/mcp`);
    const first = await posted(session, work);
    await eventually(() => first.ended());
    expect(first.messages.map((message) => message.method)).toEqual(['notifications/message']);
    expect(first.text()).toMatch(/retry: \d+\n\n$/);
    const second = await opened(session, { 'last-event-id': first.lastId() ?? '' });
    await eventually(() => second.ended());
    expect(second.messages).toMatchObject([{ id: 7, result: { content: [{ text: 'done' }] } }]);
    expect(state.asked).toEqual(['e2']);
    expect(backend.count('tools/call')).toBe(1);
  });

  it.each(['politely', 'rudely'] as const)('that cuts %s costs an older client nothing', async (how) => {
    const state = resumable();
    state.cut = how;
    const session = await RawSession.open(`${router.url}/mcp`, {}, '2025-06-18');
    const answer = await session.post(work, { 'mcp-protocol-version': '2025-06-18' });
    expect(answer.messages.at(-1)).toMatchObject({ id: 7, result: { content: [{ text: 'done' }] } });
    expect(state.asked).toEqual(['e2']);
    expect(backend.count('tools/call')).toBe(1);
  });

  it('and does not know them any more costs the call, with a clear error', async () => {
    const state = resumable();
    state.cut = 'rudely';
    backend.on['GET'] = ({ request, response }) => {
      if (request.headers['last-event-id'] === undefined) response.writeHead(405).end();
      else response.writeHead(404).end();
    };
    const session = await RawSession.open(`${router.url}/mcp`);
    const answer = await session.post(work);
    expect(answer.messages.at(-1)?.error).toMatchObject({
      code: 1002,
      message: expect.stringContaining('may or may not have been executed') as string,
    });
    expect(backend.count('tools/call')).toBe(1);
  });
});

describe('a silent stream', () => {
  it('of a request gets comments, and of the client itself as well', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const held = heldCall();
    const stream = await posted(session, work);
    await held.next;
    const news = await opened(session);
    await eventually(() => stream.text().includes(': keep-alive\n\n'));
    await eventually(() => news.text().includes(': keep-alive\n\n'));
  });

  it('says to proxies that they must not hold it back', async () => {
    backend.on['tools/call'] = (exchange) => {
      const out = exchange.stream();
      out.send(result(exchange.message.id));
      out.end();
    };
    const session = await RawSession.open(`${router.url}/mcp`);
    const answer = await session.post(work);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'x-accel-buffering': 'no',
      'cache-control': expect.stringContaining('no-cache') as string,
    });
  });
});

describe('a client that does not read', () => {
  it('has its own stream cut, and memory does not grow', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    await session.call('one__work');
    const { port } = new URL(router.url);
    const socket = connectTcp(Number(port), '127.0.0.1');
    socket.pause();
    socket.write(
      `GET /mcp HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: text/event-stream\r\nMcp-Session-Id: ${session.id}\r\n\r\n`,
    );
    let closed = false;
    socket.on('close', () => (closed = true)).on('error', () => undefined);
    const big = log('x'.repeat(256 * 1024));
    await eventually(
      async () => {
        backend.notify(big);
        const view = (await (await fetch(`${router.adminUrl}/api/v1/sessions`)).json()) as {
          sessions: { stream: boolean }[];
        };
        return view.sessions.every(({ stream }) => !stream) && backend.count('tools/call') === 1;
      },
      { withinMs: 20_000 },
    );
    socket.resume();
    await eventually(() => closed);
  });

  it('of an endless answer holds the backend back', async () => {
    let sent = 0;
    backend.on['tools/call'] = (exchange) => {
      const out = exchange.response;
      out.writeHead(200, { 'content-type': 'text/event-stream' });
      const chunk = `data: ${JSON.stringify(log('x'.repeat(64 * 1024)))}\n\n`;
      const push = (): void => {
        while (sent < 64 << 20) {
          sent += chunk.length;
          if (!out.write(chunk)) {
            out.once('drain', push);
            return;
          }
        }
      };
      push();
    };
    const session = await RawSession.open(`${router.url}/mcp`);
    const { port } = new URL(router.url);
    const body = JSON.stringify(work);
    const socket = connectTcp(Number(port), '127.0.0.1');
    socket.pause();
    socket.write(
      `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: application/json, text/event-stream\r\n` +
        `Content-Type: application/json\r\nMcp-Session-Id: ${session.id}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    let before = -1;
    await eventually(
      async () => {
        const same = sent > 0 && sent === before;
        before = sent;
        await new Promise((resolve) => setTimeout(resolve, 300));
        return same;
      },
      { withinMs: 20_000 },
    );
    expect(sent).toBeLessThan(48 << 20);
    socket.destroy();
  });
});

it('DELETE ends the client stream', async () => {
  const session = await RawSession.open(`${router.url}/mcp`);
  const stream = await opened(session);
  expect((await session.end()).status).toBe(200);
  await eventually(() => stream.ended());
  expect(
    (
      await raw(session.url, {
        method: 'GET',
        headers: { accept: 'text/event-stream', 'mcp-session-id': session.id },
      })
    ).status,
  ).toBe(404);
});
