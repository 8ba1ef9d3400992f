import { randomBytes } from 'node:crypto';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startBackend, type Backend, type Exchange } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession, type Message } from '../../support/mcp-client.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startEverything } from '../../support/servers.ts';
import { listenSse, postSse } from '../../support/sse-listener.ts';

/** Two routers with one key ring and one real store, in front of the same servers. */
let redis: RedisServer;
const ring = [randomBytes(32)];
const cleanUp: (() => unknown)[] = [];
beforeEach(async () => {
  redis = await startRedis();
  cleanUp.push(() => redis.stop());
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

async function replicas(
  services: Parameters<HandRouter['register']>,
  flags: Record<string, unknown> = {},
): Promise<[HandRouter, HandRouter]> {
  const start = async (): Promise<HandRouter> => {
    const started = await startHandRouter({ store: redis.url, ...flags }, ring);
    cleanUp.push(() => started.stop());
    started.register(...services);
    const probe = await RawSession.open(`${started.url}/mcp`);
    await eventually(async () => (await probe.toolNames()).length > 0);
    return started;
  };
  return [await start(), await start()];
}

async function server(): Promise<Backend> {
  const backend = await startBackend({ capabilities: { tools: { listChanged: true }, logging: {} } });
  cleanUp.push(() => backend.stop());
  return backend;
}

const work = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'one__echo', arguments: {} } };
const log = (data: unknown) => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data },
});
const seen = (messages: readonly Message[]) => messages.map(({ id, params }) => params?.['data'] ?? id);

describe('a client that loses the stream of its request and comes back at another replica', () => {
  async function lost(): Promise<{
    call: Exchange & { out: ReturnType<Exchange['stream']> };
    session: RawSession;
    lastId: string;
    other: HandRouter;
  }> {
    const backend = await server();
    const [first, second] = await replicas([registered('one', [['a', backend.port]])]);
    const held = Promise.withResolvers<Exchange & { out: ReturnType<Exchange['stream']> }>();
    backend.on['tools/call'] = (exchange) => {
      const out = exchange.stream();
      exchange.response.flushHeaders();
      held.resolve({ ...exchange, out });
    };
    const session = await RawSession.open(`${first.url}/mcp`);
    const stream = await postSse(session.url, session.id, work, { 'mcp-protocol-version': '2025-11-25' });
    const call = await held.promise;
    await eventually(() => stream.lastId() !== undefined);
    const lastId = stream.lastId() ?? '';
    stream.close();
    return { call, session, lastId, other: second };
  }

  it('gets what came meanwhile, what comes, and the end', async () => {
    const { call, session, lastId, other } = await lost();
    call.out.send(log('one'));
    const again = await listenSse(`${other.url}/mcp`, session.id, { 'last-event-id': lastId });
    cleanUp.push(() => again.close());
    await eventually(() => again.messages.length === 1);
    call.out.send(log('two'));
    call.out.send({ jsonrpc: '2.0', id: call.message.id, result: { content: [] } });
    call.out.end();
    await eventually(() => again.ended());
    expect(seen(again.messages)).toEqual(['one', 'two', 7]);
  });

  it('also where nothing has come yet', async () => {
    const { call, session, lastId, other } = await lost();
    const again = await listenSse(`${other.url}/mcp`, session.id, { 'last-event-id': lastId });
    cleanUp.push(() => again.close());
    call.out.send({ jsonrpc: '2.0', id: call.message.id, result: { content: [] } });
    call.out.end();
    await eventually(() => again.ended());
    expect(seen(again.messages)).toEqual([7]);
  });

  it('gets nothing of the streams of other sessions', async () => {
    const { session, lastId, other } = await lost();
    const stranger = await RawSession.open(`${other.url}/mcp`);
    expect(stranger.id).not.toBe(session.id);
    const refused = await raw(`${other.url}/mcp`, {
      method: 'GET',
      headers: { accept: 'text/event-stream', 'mcp-session-id': stranger.id, 'last-event-id': lastId },
    });
    expect(refused.status).toBe(410);
  });

  it('is told that the stream is gone where the store is', async () => {
    const { session, lastId, other } = await lost();
    await redis.kill();
    await eventually(async () => {
      const refused = await raw(`${other.url}/mcp`, {
        method: 'GET',
        headers: { accept: 'text/event-stream', 'mcp-session-id': session.id, 'last-event-id': lastId },
      });
      return refused.status === 410;
    });
  });
});

describe('a call that waits at one replica for its client of the stateless era', () => {
  /** Every request goes to the next router. */
  function alternating(
    routers: readonly HandRouter[],
  ): (url: URL | string, init?: RequestInit) => Promise<Response> {
    let turn = 0;
    return (url, init) => {
      const router = routers[turn++ % routers.length];
      return fetch(new URL(new URL(url).pathname, router?.url), init);
    };
  }

  it('goes on there with what the client answers at another', async () => {
    const everything = await startEverything();
    cleanUp.push(() => everything.stop());
    const routers = await replicas([registered('every', [['a', everything.port]])]);
    const client = new Client(
      { name: 'test', version: '1' },
      { capabilities: { sampling: {} }, versionNegotiation: { mode: { pin: '2026-07-28' } } },
    );
    let sampled = 0;
    client.setRequestHandler('sampling/createMessage', () => {
      sampled++;
      return {
        model: 'm',
        role: 'assistant' as const,
        content: { type: 'text' as const, text: 'forty-two' },
      };
    });
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`${routers[0].url}/mcp`), { fetch: alternating(routers) }),
    );
    cleanUp.push(() => client.close());
    await client.listTools();
    for (let call = 1; call <= 3; call++) {
      const answer = await client.callTool({
        name: 'every__trigger-sampling-request',
        arguments: { prompt: 'what?', maxTokens: 10 },
      });
      expect(JSON.stringify(answer.content)).toContain('forty-two');
      expect(sampled).toBe(call);
    }
  });

  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'x', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': { sampling: {} },
  };
  const ask = (router: HandRouter, more: Record<string, unknown> = {}) =>
    raw(`${router.url}/mcp`, {
      headers: {
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': 'every__trigger-sampling-request',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: {
          name: 'every__trigger-sampling-request',
          arguments: { prompt: 'x', maxTokens: 5 },
          _meta: meta,
          ...more,
        },
      }),
    });

  it('is lost with the replica that held it, and the client is told what that means', async () => {
    const everything = await startEverything();
    cleanUp.push(() => everything.stop());
    const [first, second] = await replicas([registered('every', [['a', everything.port]])]);
    const asked = (await ask(first)).messages.at(-1)?.result;
    expect(asked?.['resultType']).toBe('input_required');
    await first.stop();
    const [question] = Object.keys(asked?.['inputRequests'] as object);
    const answer = await ask(second, {
      requestState: asked?.['requestState'],
      inputResponses: {
        [String(question)]: { model: 'm', role: 'assistant', content: { type: 'text', text: 'x' } },
      },
    });
    expect(answer.messages[0]?.error).toMatchObject({ data: { code: 'CONTINUATION_LOST' } });
  });
});
