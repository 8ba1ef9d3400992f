import { once } from 'node:events';
import { connect } from 'node:net';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import {
  CreateMessageRequestSchema,
  LoggingMessageNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startBackend, type Backend } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startEverything, type RunningServer } from '../../support/servers.ts';

let router: HandRouter;
let backend: Backend;
let everything: RunningServer;
const clients: Client[] = [];

beforeAll(async () => {
  [router, backend, everything] = await Promise.all([
    startHandRouter({ keepAlive: 100, maxSessions: 4 }),
    startBackend({ capabilities: { tools: { listChanged: true }, logging: {} } }),
    startEverything(),
  ]);
  router.register(
    registered('one', [['a', backend.port]]),
    registered('everything', [['e', everything.port]]),
  );
  const client = await connected();
  await eventually(async () => (await client.listTools()).tools.length > 10);
  await client.close();
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});
afterAll(async () => {
  await router.stop();
  await backend.stop();
  await everything.stop();
});

async function connected(capabilities = {}): Promise<Client> {
  const client = new Client({ name: 'old', version: '1' }, { capabilities });
  clients.push(client);
  await client.connect(new SSEClientTransport(new URL(`${router.url}/sse`)));
  return client;
}

describe('a client on HTTP+SSE', () => {
  it('lists and calls', async () => {
    const client = await connected();
    expect(client.getServerVersion()?.name).toBe('mcp-consul-router');
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain('one__echo');
    const called = await client.callTool({ name: 'everything__get-sum', arguments: { a: 2, b: 3 } });
    expect(JSON.stringify(called.content)).toContain('5');
  });

  it('gets progress, and the questions of servers', async () => {
    const client = await connected({ sampling: {} });
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      model: 'm',
      role: 'assistant',
      content: { type: 'text', text: 'sampled here' },
    }));
    const steps: number[] = [];
    await client.callTool(
      { name: 'everything__trigger-long-running-operation', arguments: { duration: 0.2, steps: 3 } },
      undefined,
      { onprogress: ({ progress }) => steps.push(progress) },
    );
    // The client drops the last one where the answer comes with it in one piece.
    expect(steps.slice(0, 2)).toEqual([1, 2]);
    const sampled = await client.callTool({
      name: 'everything__trigger-sampling-request',
      arguments: { prompt: 'x', maxTokens: 5 },
    });
    expect(JSON.stringify(sampled.content)).toContain('sampled here');
  });

  it('hears of what changes, and of what servers log', async () => {
    const client = await connected();
    const data: unknown[] = [];
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      data.push(params.data);
    });
    await client.callTool({ name: 'one__echo', arguments: {} });
    backend.notify({
      jsonrpc: '2.0',
      method: 'notifications/message',
      params: { level: 'info', data: 'heard' },
    });
    await eventually(() => data.includes('heard'));
  });

  it('gets errors on its stream', async () => {
    const client = await connected();
    await expect(client.callTool({ name: 'one__ech', arguments: {} })).rejects.toThrow(
      'Unknown tool: one__ech',
    );
  });

  it('ends its session, and those at the backends, with its stream', async () => {
    const client = await connected();
    const before = backend.sessions.size;
    await client.callTool({ name: 'one__echo', arguments: {} });
    expect(backend.sessions.size).toBe(before + 1);
    await client.close();
    await eventually(() => backend.sessions.size === before);
  });

  it('holds no listener for calls that are over', async () => {
    const client = await connected();
    const warnings: unknown[] = [];
    const warned = (warning: unknown): void => void warnings.push(warning);
    process.on('warning', warned);
    for (let call = 0; call < 20; call++) await client.callTool({ name: 'one__echo', arguments: {} });
    process.off('warning', warned);
    expect(warnings).toEqual([]);
  });
});

/** The stream as text, from a bare socket. */
async function openStream(): Promise<{ text: () => string; postTo: () => string; close: () => void }> {
  const { hostname, port } = new URL(router.url);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  socket.write(`GET /sse HTTP/1.1\r\nhost: ${hostname}\r\naccept: text/event-stream\r\n\r\n`);
  await once(socket, 'data');
  await eventually(() => text.includes('/messages?sessionId='));
  return {
    text: () => text,
    postTo: () => router.url + (/data: (\/messages\?sessionId=\S+)/.exec(text)?.[1] ?? ''),
    close: () => socket.destroy(),
  };
}

describe('the wire of HTTP+SSE', () => {
  const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

  it('begins with where to post, takes messages with 202 and keeps the stream alive by comments', async () => {
    const stream = await openStream();
    expect(stream.text()).toContain('x-accel-buffering: no');
    const params = {
      protocolVersion: '2024-11-05',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    };
    const answer = await raw(stream.postTo(), {
      body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
    });
    expect([answer.status, answer.text]).toEqual([202, '']);
    await eventually(() => stream.text().includes('"protocolVersion":"2024-11-05"'));
    await eventually(() => stream.text().includes(': '));
    // The oldest clients take every event for a message.
    expect(stream.text()).not.toMatch(/data: ?\n/);
    stream.close();
  });

  it('answers what comes before initialize with an error on the stream', async () => {
    const stream = await openStream();
    expect((await raw(stream.postTo(), { body: ping })).status).toBe(202);
    await eventually(() => stream.text().includes('Send initialize first'));
    stream.close();
  });

  it('refuses what is no message, and streams that it does not know', async () => {
    const stream = await openStream();
    expect((await raw(stream.postTo(), { body: 'x' })).status).toBe(400);
    expect(
      (await raw(stream.postTo(), { body: ping, headers: { 'content-type': 'text/plain' } })).status,
    ).toBe(415);
    const unknown = await raw(`${router.url}/messages?sessionId=other`, { body: ping });
    expect(unknown.status).toBe(404);
    expect(unknown.messages[0]?.error?.message).toContain('Open /sse again');
    const { postTo } = stream;
    stream.close();
    await eventually(async () => (await raw(postTo(), { body: ping })).status === 404);
  });

  it('takes no more streams than sessions are allowed', async () => {
    const streams = await Promise.all([1, 2, 3, 4].map(() => openStream()));
    const refused = await raw(`${router.url}/sse`, {
      method: 'GET',
      headers: { accept: 'text/event-stream' },
    });
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('5');
    for (const stream of streams) stream.close();
  });

  it('says which methods its two ends take', async () => {
    const posted = await raw(`${router.url}/sse`, { body: ping });
    expect([posted.status, posted.headers['allow']]).toEqual([405, 'GET']);
    const got = await raw(`${router.url}/messages?sessionId=x`, { method: 'GET' });
    expect([got.status, got.headers['allow']]).toEqual([405, 'POST']);
  });
});
