import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBackend, type Backend } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';

const keyRing = [randomBytes(32)];
let router: HandRouter;
let backend: Backend;

beforeAll(async () => {
  [router, backend] = await Promise.all([startHandRouter({}, keyRing), startBackend()]);
  router.register(registered('one', [['a', backend.port]]));
  const session = await RawSession.open(`${router.url}/mcp`);
  await eventually(async () => (await session.toolNames()).length > 0);
});
afterAll(async () => {
  await router.stop();
  await backend.stop();
});

const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

describe('initialize', () => {
  it.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])('speaks revision %s', async (version) => {
    const session = await RawSession.open(`${router.url}/mcp`, {}, version);
    expect(session.initialized.result).toMatchObject({
      protocolVersion: version,
      capabilities: { tools: { listChanged: true } },
      serverInfo: { name: 'mcp-consul-router' },
    });
    expect(await session.toolNames()).toEqual(['one__echo', 'one__write']);
  });

  it('offers its newest revision to a client that wants one it does not know', async () => {
    const session = await RawSession.open(`${router.url}/mcp`, {}, '1999-01-01');
    expect(session.initialized.result?.['protocolVersion']).toBe('2025-11-25');
  });

  it('refuses an initialize without a version, and says what is needed', async () => {
    const answer = await raw(`${router.url}/mcp`, {
      body: '{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}',
    });
    expect(answer.messages[0]).toMatchObject({
      id: 7,
      error: { code: -32602, message: expect.stringContaining('protocolVersion') as string },
    });
  });

  it('refuses a request of the 2026-07-28 era that does not say who asks', async () => {
    const modern = await raw(`${router.url}/mcp`, {
      headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'server/discover' },
      body: '{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}',
    });
    expect(modern.status).toBe(400);
    expect(modern.messages[0]?.error?.code).toBe(-32602);
  });
});

describe('session ids', () => {
  it('are demanded, and an unknown one is answered with 404 so that the client initializes again', async () => {
    const without = await raw(`${router.url}/mcp`, { body: ping });
    expect([without.status, without.messages[0]?.error?.data?.['code']]).toEqual([400, 'SESSION_REQUIRED']);
    const unknown = await raw(`${router.url}/mcp`, { body: ping, headers: { 'mcp-session-id': 'made-up' } });
    expect([unknown.status, unknown.messages[0]?.error?.data?.['code']]).toEqual([404, 'SESSION_NOT_FOUND']);
  });

  it('are visible ASCII and short enough for a header', async () => {
    const { id } = await RawSession.open(`${router.url}/mcp`, {
      roots: { listChanged: true },
      sampling: {},
      elicitation: {},
    });
    expect(id).toMatch(/^[\x21-\x7e]+$/);
    expect(id.length).toBeLessThan(600);
  });

  it('work only on the path that they were opened on', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const elsewhere = await raw(`${router.url}/services/one/mcp`, {
      body: ping,
      headers: { 'mcp-session-id': session.id },
    });
    expect(elsewhere.status).toBe(404);
  });

  it('are refused when one character is changed', async () => {
    const { id } = await RawSession.open(`${router.url}/mcp`);
    for (const at of [0, 3, 12, 40, id.length - 2]) {
      const flipped = id.slice(0, at) + (id[at] === 'A' ? 'B' : 'A') + id.slice(at + 1);
      const answer = await raw(`${router.url}/mcp`, { body: ping, headers: { 'mcp-session-id': flipped } });
      expect(answer.status).toBe(404);
    }
  });

  it('end with DELETE, also at the backends', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const before = backend.sessions.size;
    await session.call('one__echo');
    expect(backend.sessions.size).toBe(before + 1);
    expect((await session.end()).status).toBe(200);
    expect((await session.post(ping)).status).toBe(404);
    expect((await session.end()).status).toBe(404);
    await eventually(() => backend.sessions.size === before);
  });

  it('go on after a restart of the router, and at any replica with the same keys', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const [same, other] = await Promise.all([startHandRouter({}, keyRing), startHandRouter()]);
    try {
      for (const replica of [same, other]) replica.register(registered('one', [['a', backend.port]]));
      const at = (replica: HandRouter) =>
        raw(`${replica.url}/mcp`, { body: ping, headers: { 'mcp-session-id': session.id } });
      expect((await at(same)).status).toBe(200);
      expect((await at(other)).status).toBe(404);
    } finally {
      await Promise.all([same.stop(), other.stop()]);
    }
  });
});

describe('requests that are wrong', () => {
  it.each([
    ['not JSON', '{"jsonrpc"', {}, 400, -32700],
    ['an empty body', '', {}, 400, -32700],
    ['no message', '{"a":1}', {}, 400, -32600],
    ['a batch', `[${ping}]`, {}, 400, -32600],
    ['another content type', ping, { 'content-type': 'text/plain' }, 415, -32600],
    ['no JSON accepted', ping, { accept: 'text/html' }, 406, -32600],
    ['a revision that is no revision', ping, { 'mcp-protocol-version': 'banana' }, 400, -32000],
  ])('%s is refused clearly', async (_, body, headers, status, code) => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const answer = await session.post(body, headers);
    expect([answer.status, answer.messages[0]?.error?.code]).toEqual([status, code]);
    expect(answer.messages[0]?.error?.message).toBeTruthy();
  });

  it('a body over the limit is refused before it is read', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const answer = await session.post(
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"${'x'.repeat(5 << 20)}"}}`,
    );
    expect(answer.status).toBe(413);
    expect(answer.messages[0]?.error?.message).toContain('MCP_ROUTER_MAX_BODY');
    expect(await session.toolNames()).toHaveLength(2);
  });

  it('an unknown method and an unknown path are told apart', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    expect((await session.ask('no/such')).error?.code).toBe(-32601);
    expect((await raw(`${router.url}/nothing`, { body: ping })).status).toBe(404);
    expect(
      (await raw(`${router.url}/services/none/mcp`, { body: ping.replace('ping', 'initialize') })).status,
    ).toBe(404);
    const put = await raw(`${router.url}/mcp`, { method: 'PUT', body: ping });
    expect([put.status, put.headers['allow']]).toEqual([405, 'POST, GET, DELETE']);
  });

  it('a web page cannot reach a router on loopback through DNS rebinding', async () => {
    const evil = await raw(`${router.url}/mcp`, { body: ping, headers: { host: 'evil.example.com' } });
    expect(evil.status).toBe(403);
    const page = await raw(`${router.url}/mcp`, {
      body: ping,
      headers: { origin: 'https://evil.example.com' },
    });
    expect(page.status).toBe(403);
    const local = await raw(`${router.url}/mcp`, {
      body: ping,
      headers: { origin: 'http://localhost:3000' },
    });
    expect(local.status).toBe(400);
  });
});

describe('tools/call', () => {
  it('changes the name and not one other byte', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const text =
      '{"jsonrpc":"2.0", "id":"é1","method":"tools/call","params":{"arguments":{"n":12345678901234567890,"f":1.0},"x-future":[1 ,2],"name":"one__echo"}}';
    const answer = await session.post(text);
    expect(answer.messages[0]).toMatchObject({ id: 'é1', result: {} });
    expect(backend.texts.at(-1)).toBe(text.replace('one__echo', 'echo'));
  });

  it('takes both spellings', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    for (const name of ['one__echo', 'one.echo']) expect((await session.call(name)).result).toBeDefined();
  });

  it('answers an unknown tool as the specification says', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    for (const name of ['echo', 'one__', 'one__nothing', 'two__echo', '', '__proto__', 'constructor']) {
      expect((await session.call(name)).error).toMatchObject({
        code: -32602,
        message: `Unknown tool: ${name}`,
      });
    }
    expect((await session.ask('tools/call', {})).error?.code).toBe(-32602);
  });
});

describe('tools/list', () => {
  it('lists dotted names where the session asked for them', async () => {
    const dotted = await RawSession.open(`${router.url}/mcp?names=dotted`);
    expect(await dotted.toolNames()).toEqual(['one.echo', 'one.write']);
  });

  it('passes definitions on byte for byte but for the name', async () => {
    const odd =
      '{ "name" : "odd", "inputSchema":{"type":"object","x-big":12345678901234567890,"maximum":1.0}, "x-new":{"b":1,"a":2}}';
    const own = await startBackend({ tools: [JSON.parse(odd)] });
    own.on['tools/list'] = ({ message, json }) =>
      json(200, `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},"result":{"tools":[${odd}]}}`);
    const replica = await startHandRouter();
    try {
      replica.register(registered('bytes', [['a', own.port]]));
      const session = await RawSession.open(`${replica.url}/mcp`);
      const answer = await eventually(async () => {
        const listed = await session.post('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
        return listed.text.includes('odd') && listed.text;
      });
      expect(answer).toContain(odd.replace('"odd"', '"bytes__odd"'));
    } finally {
      await replica.stop();
      await own.stop();
    }
  });
});

describe('pages', () => {
  it('cursors survive a table change, and made-up ones are refused', async () => {
    const paged = await startHandRouter({ pageSize: 2 });
    try {
      const services = (...names: string[]) => names.map((name) => registered(name, [['a', backend.port]]));
      paged.register(...services('a', 'c', 'd'));
      const session = await RawSession.open(`${paged.url}/mcp`);
      const page = async (cursor?: string) => {
        const { result, error } = await session.ask('tools/list', cursor === undefined ? {} : { cursor });
        if (error) throw new Error(error.message);
        const tools = result?.['tools'] as { name: string }[];
        return { names: tools.map((tool) => tool.name), next: result?.['nextCursor'] as string | undefined };
      };
      const first = await eventually(async () => {
        const found = await page();
        return found.next !== undefined && found;
      });
      expect(first.names).toEqual(['a__echo', 'a__write']);
      // The page's last service leaves and a new one comes: the rest is neither repeated nor skipped.
      paged.register(...services('b', 'c', 'd'));
      await eventually(async () => (await page()).names[0] === 'b__echo');
      const second = await page(first.next);
      expect(second.names).toEqual(['b__echo', 'b__write']);
      const third = await page(second.next);
      const fourth = await page(third.next);
      expect([third.names, fourth.names, fourth.next]).toEqual([
        ['c__echo', 'c__write'],
        ['d__echo', 'd__write'],
        undefined,
      ]);
      await expect(page('bm9uc2Vuc2U')).rejects.toThrow('Unknown cursor');
      await expect(page('')).rejects.toThrow('Unknown cursor');
    } finally {
      await paged.stop();
    }
  });
});

describe('/services/<service>/mcp', () => {
  it("serves one service under its own names, as the server's own words say", async () => {
    const session = await RawSession.open(`${router.url}/services/one/mcp`);
    expect(session.initialized.result).toMatchObject({ serverInfo: { name: 'backend', version: '1' } });
    expect(await session.toolNames()).toEqual(['echo', 'write']);
    expect((await session.call('echo')).result).toBeDefined();
    expect((await session.call('one__echo')).error?.code).toBe(-32602);
  });
});
