import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBackend, type Backend } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession, type Answer, type Message } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';

const VERSION = '2025-03-26';
let router: HandRouter;
let backend: Backend;
let session: RawSession;

beforeAll(async () => {
  [router, backend] = await Promise.all([startHandRouter(), startBackend()]);
  router.register(registered('one', [['a', backend.port]]));
  session = await RawSession.open(`${router.url}/mcp`, {}, VERSION);
  await eventually(async () => (await session.toolNames()).length > 0);
});
afterAll(async () => {
  await router.stop();
  await backend.stop();
});

const call = (id: unknown, name = 'one__echo') => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {} },
});
const ping = { jsonrpc: '2.0', id: 'p', method: 'ping' };
const noted = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' };

const post = (messages: unknown, headers: Record<string, string> = {}, to = session): Promise<Answer> =>
  to.post(messages, { 'mcp-protocol-version': VERSION, ...headers });
const byId = (messages: readonly Message[]) => new Map(messages.map((message) => [message.id, message]));
const array = (answer: Answer): Message[] => JSON.parse(answer.text) as Message[];

describe('a batch', () => {
  it('is answered message by message on one stream', async () => {
    const answer = await post([call(1), ping, call(2, 'one__write'), noted]);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('text/event-stream');
    const answers = byId(answer.messages);
    expect(new Set(answers.keys())).toEqual(new Set([1, 2, 'p']));
    expect(answers.get(1)?.result?.['content']).toEqual([{ type: 'text', text: `echo by ${backend.port}` }]);
    expect(answers.get(2)?.result?.['content']).toEqual([{ type: 'text', text: `write by ${backend.port}` }]);
    expect(answers.get('p')?.result).toEqual({});
  });

  it('is answered with one array where the client takes no stream', async () => {
    const answer = await post([call(1), ping], { accept: 'application/json' });
    expect(answer.headers['content-type']).toBe('application/json');
    expect(new Set(byId(array(answer)).keys())).toEqual(new Set([1, 'p']));
  });

  it('reaches a backend as single messages, whose revision may know none', async () => {
    const before = backend.texts.length;
    await post([call(1), call(2)]);
    const sent = backend.texts.slice(before);
    expect(sent).toHaveLength(2);
    for (const text of sent) expect(text.startsWith('{')).toBe(true);
  });

  it('that asks nothing is taken with 202', async () => {
    const answer = await post([noted, noted]);
    expect([answer.status, answer.text]).toEqual([202, '']);
  });

  it('answers what is wrong in it beside what is right', async () => {
    const answer = await post([{ jsonrpc: '1.0', id: 9, method: 'ping' }, call(1, 'one__nothing'), ping, 5]);
    expect(answer.messages).toHaveLength(4);
    const answers = byId(answer.messages);
    expect(answers.get('p')?.result).toEqual({});
    expect(answers.get(1)?.error?.code).toBe(-32602);
    expect(answer.messages.filter((message) => message.error?.code === -32600)).toHaveLength(2);
  });

  it('stays a stream of its own for progress and logs', async () => {
    backend.on['tools/call'] = ({ stream, message }) => {
      const out = stream();
      const meta = message.params?.['_meta'] as { progressToken: unknown };
      out.send({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken: meta.progressToken, progress: 1 },
      });
      out.send({ jsonrpc: '2.0', id: message.id, result: { content: [] } });
      out.end();
    };
    try {
      const asked = {
        ...call(1),
        params: { name: 'one__echo', arguments: {}, _meta: { progressToken: 'mine' } },
      };
      const streamed = await post([asked, ping]);
      const progress = streamed.messages.find((message) => message.method === 'notifications/progress');
      expect(progress?.params).toEqual({ progressToken: 'mine', progress: 1 });
      const whole = array(await post([asked, ping], { accept: 'application/json' }));
      expect(new Set(byId(whole).keys())).toEqual(new Set([1, 'p']));
    } finally {
      delete backend.on['tools/call'];
    }
  });
});

describe('a batch that is refused', () => {
  it.each([
    ['empty', '[]', 'empty'],
    [
      'of more than a hundred messages',
      JSON.stringify(Array.from({ length: 101 }, () => ping)),
      'more than 100',
    ],
    ['no JSON', '[{"jsonrpc":"2.0",', 'Parse error'],
  ])('is %s', async (_what, body, reason) => {
    const answer = await post(body);
    expect(answer.status).toBe(400);
    expect(answer.messages[0]?.error?.message).toContain(reason);
  });

  it.each(['2024-11-05', '2025-06-18', '2025-11-25'])('belongs to revision %s', async (version) => {
    const other = await RawSession.open(`${router.url}/mcp`, {}, version);
    const answer = await post([ping], { 'mcp-protocol-version': version }, other);
    expect(answer.status).toBe(400);
    expect(answer.messages[0]?.error).toMatchObject({
      code: -32600,
      message: expect.stringContaining('one by one') as string,
    });
  });

  it('has no session', async () => {
    const answer = await raw(`${router.url}/mcp`, { body: JSON.stringify([ping]) });
    expect(answer.status).toBe(400);
    expect(answer.messages[0]?.error?.message).toContain('not initialized');
  });

  it('holds an initialize: that message alone', async () => {
    const params = { protocolVersion: VERSION, capabilities: {}, clientInfo: { name: 'x', version: '1' } };
    const answer = await post([{ jsonrpc: '2.0', id: 1, method: 'initialize', params }, ping]);
    const answers = byId(answer.messages);
    expect(answers.get(1)?.error?.message).toContain('must not stand in a batch');
    expect(answers.get('p')?.result).toEqual({});
  });
});
