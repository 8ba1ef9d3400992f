import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { startBackend, type Backend, type BackendOptions, type Exchange } from '../../support/backend.ts';
import { startConnect, stopConnects, type StartOptions, type StdioClient } from '../../support/connected.ts';
import { eventually } from '../../support/eventually.ts';

const backends: Backend[] = [];
afterEach(async () => {
  await stopConnects();
  await Promise.all(backends.splice(0).map((backend) => backend.stop().catch(() => undefined)));
});

async function backend(options: BackendOptions = {}): Promise<Backend> {
  const started = await startBackend(options);
  backends.push(started);
  return started;
}

const to = (port: number, options?: StartOptions): StdioClient =>
  startConnect(`http://127.0.0.1:${port}/mcp?key=secret`, {
    url: `http://127.0.0.1:${port}/mcp`,
    ...options,
  });

const reply =
  (status: number, body: string, headers: Record<string, string> = {}) =>
  ({ response }: Exchange): void =>
    void response.writeHead(status, headers).end(body);

describe('an HTTP answer that is no MCP answer becomes a JSON-RPC error', () => {
  const asJson = { 'content-type': 'application/json' };
  it.each<[string, (exchange: Exchange) => void, { code: number; message: RegExp; data?: object }]>([
    [
      '401 with a challenge and a sentence',
      reply(401, '{"error":"invalid_token","error_description":"The token has expired"}', {
        ...asJson,
        'www-authenticate': 'Bearer resource_metadata="https://x/.well-known/oauth-protected-resource"',
      }),
      {
        code: 1004,
        message: /HTTP 401: The token has expired\. Give connect a token: set MCP_ROUTER_TOKEN/,
        data: {
          code: 'BACKEND_REFUSED',
          status: 401,
          wwwAuthenticate: 'Bearer resource_metadata="https://x/.well-known/oauth-protected-resource"',
        },
      },
    ],
    [
      '401 whose body is a JSON-RPC error',
      reply(401, '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Say who you are"}}', asJson),
      { code: 1004, message: /HTTP 401: Say who you are\. Give connect a token/ },
    ],
    [
      '403',
      reply(403, 'not yours'),
      { code: 1004, message: /HTTP 403: not yours\. The token of connect may not/ },
    ],
    [
      'a JSON-RPC error without an id',
      reply(
        400,
        '{"jsonrpc":"2.0","error":{"code":-32600,"message":"No","data":{"n":12345678901234567890}}}',
        asJson,
      ),
      { code: -32600, message: /^No$/ },
    ],
    [
      '413 with a JSON-RPC error',
      reply(413, '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Too large."}}', asJson),
      { code: -32600, message: /^Too large\.$/ },
    ],
    [
      '404 with a page',
      reply(404, '<html>x</html>', { 'content-type': 'text/html' }),
      { code: 1002, message: /HTTP 404\. Is the URL right\?$/ },
    ],
    ['405', reply(405, ''), { code: 1002, message: /HTTP 405\. It takes no messages there/ }],
    [
      'a redirect',
      reply(308, '', { location: 'https://elsewhere/mcp' }),
      { code: 1002, message: /redirects to https:\/\/elsewhere\/mcp: give connect that URL/ },
    ],
    [
      '503 with Retry-After and a problem document',
      reply(503, '{"title":"Busy","detail":"Come back later"}', {
        'content-type': 'application/problem+json',
        'retry-after': '7',
      }),
      { code: 1002, message: /HTTP 503: Come back later\.$/, data: { retryAfterMs: 7000, status: 503 } },
    ],
    [
      '500 with a text',
      reply(500, 'Internal  Server\nError'),
      { code: 1002, message: /HTTP 500: Internal Server Error\.$/ },
    ],
    [
      '200 with HTML',
      reply(200, '<html>Welcome to nginx!</html>', { 'content-type': 'text/html' }),
      {
        code: 1005,
        message: /answered HTTP 200 with text\/html, which is no MCP answer\. Is it the URL of an MCP/,
      },
    ],
    ['202 for a request', reply(202, ''), { code: 1005, message: /ended its answer without a response/ }],
    [
      'the response to another request',
      reply(200, '{"jsonrpc":"2.0","id":"other","result":{}}', asJson),
      { code: 1005, message: /without a response/ },
    ],
    [
      'no HTTP',
      ({ request }) => void request.socket.end('SSH-2.0-OpenSSH\r\n\r\n'),
      { code: 1005, message: /no HTTP/ },
    ],
  ])('%s', async (_, answer, expected) => {
    // In a session some of these statuses mean that it is forgotten.
    const server = await backend({ sessionless: true });
    const client = to(server.port);
    await client.open();
    server.on['tools/call'] = answer;
    const { error } = await client.ask('tools/call', { name: 'x' });
    expect(error).toMatchObject({ code: expected.code, ...(expected.data && { data: expected.data }) });
    expect(error?.message).toMatch(expected.message);
    // The query may hold a secret.
    expect(client.lines.join()).not.toContain('key=secret');
    // And the session goes on.
    delete server.on['tools/call'];
    expect((await client.ask('tools/call', { name: 'x' })).result).toBeDefined();
    expect(server.count('tools/call')).toBe(2);
  });

  it("an error's own text is kept to the byte", async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.on['tools/call'] = reply(
      400,
      '{"error":{"message":"No","code":-1,"data":{"n":12345678901234567890}}}',
    );
    await client.ask('tools/call', { name: 'x' });
    expect(client.lines.at(-1)).toBe(
      '{"jsonrpc":"2.0","id":2,"error":{"message":"No","code":-1,"data":{"n":12345678901234567890}}}',
    );
  });

  it('an answer that is too large', async () => {
    const server = await backend();
    const client = to(server.port, { limits: { maxMessageBytes: 100_000 } });
    await client.open();
    for (const type of ['application/json', 'text/event-stream']) {
      server.on['tools/call'] = reply(200, `data: ${'x'.repeat(200_000)}\n\n`, { 'content-type': type });
      const { error } = await client.ask('tools/call', { name: 'x' });
      expect(error?.data?.['code']).toBe('BACKEND_TOO_LARGE');
    }
  });

  it('silence: the server is told to cancel, and the error says what happened', async () => {
    const server = await backend();
    const client = to(server.port, { timeoutMs: 1000 });
    await client.open();
    server.on['tools/call'] = () => undefined;
    client.send({ id: 'quiet', method: 'tools/call', params: { name: 'x' } });
    await eventually(() => client.messages().some((message) => message.id === 'quiet'));
    expect(client.messages().at(-1)?.error?.message).toMatch(
      /was silent for 1 s, so the request was cancelled/,
    );
    await eventually(() => server.count('notifications/cancelled') === 1);
    expect(server.received.at(-1)?.params).toMatchObject({ requestId: 'quiet' });
  });
});

describe('credentials', () => {
  it('go with every request, and a token that was renewed in its file is used after a 401', async () => {
    const server = await backend();
    let token = 'old';
    let file = 'old';
    const seen: unknown[] = [];
    const guard = (exchange: Exchange): void => {
      const { authorization } = exchange.request.headers;
      seen.push(authorization);
      if (authorization === 'Bearer new') exchange.result({ content: [] });
      else exchange.json(401, '{}');
    };
    const client = to(server.port, {
      credentials: {
        headers: () => ['authorization', `Bearer ${token}`],
        renew() {
          const changed = token !== file;
          token = file;
          return changed;
        },
      },
    });
    await client.open();
    server.on['tools/call'] = guard;
    expect((await client.ask('tools/call', { name: 'x' })).error?.code).toBe(1004);
    file = 'new';
    expect((await client.ask('tools/call', { name: 'x' })).result).toBeDefined();
    expect(seen).toEqual(['Bearer old', 'Bearer old', 'Bearer new']);
  });
});

describe('what the client says', () => {
  it('reaches the server in order, however slow it takes notifications', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.on['notifications/roots/list_changed'] = ({ response }) =>
      void setTimeout(() => response.writeHead(202).end(), 100);
    for (let at = 0; at < 3; at++) {
      client.notify('notifications/roots/list_changed', { at });
      client.send({ id: `t${at}`, method: 'tools/call', params: { name: 'x' } });
    }
    await eventually(() => client.messages().some((message) => message.id === 't2'));
    expect(server.received.slice(2).map((message) => message.id ?? message.params?.['at'])).toEqual([
      0,
      't0',
      1,
      't1',
      2,
      't2',
    ]);
  });

  it('may all be written at once, before anything was answered', async () => {
    const server = await backend();
    server.on['initialize'] = ({ json, message }) => {
      server.sessions.add('s');
      const result = {
        protocolVersion: '2025-11-25',
        capabilities: {},
        serverInfo: { name: 'b', version: '1' },
      };
      setTimeout(
        () =>
          json(200, JSON.stringify({ jsonrpc: '2.0', id: message.id, result }), { 'mcp-session-id': 's' }),
        50,
      );
    };
    const input = new PassThrough();
    const client = to(server.port, { input });
    const line = (message: object): string => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`;
    input.end(
      line({
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} },
      }) +
        line({ method: 'notifications/initialized' }) +
        line({ id: 2, method: 'tools/call', params: { name: 'x' } }).trimEnd(),
    );
    await client.connected.ended;
    expect(client.messages().map((message) => [message.id, message.result !== undefined])).toEqual([
      [1, true],
      [2, true],
    ]);
  });

  it('that is no message is answered, and does no harm', async () => {
    const server = await backend();
    const client = to(server.port, { limits: { maxMessageBytes: 1000 } });
    await client.open();
    for (const line of ['nonsense', '', '   ', '17', '{"jsonrpc":"2.0"}', '[]', '[{"jsonrpc":"2.0","id":1'])
      client.send(line);
    client.send(
      `{"method":"tools/call","params":{"x":"${'x'.repeat(2000)}"},"jsonrpc":"2.0","id":"typescript"}`,
    );
    client.send(`{"jsonrpc":"2.0","id":"python","method":"tools/call","params":{"x":"${'x'.repeat(2000)}"}}`);
    client.send(`{"jsonrpc":"2.0","method":"notifications/x","params":{"x":"${'x'.repeat(2000)}","id":3}}`);
    expect((await client.ask('tools/call', { name: 'x' })).result).toBeDefined();
    const errors = client.messages().filter((message) => message.error !== undefined);
    expect(
      errors.map((message) => `${String(message.id)} ${String(message.error?.data?.['code'])}`).toSorted(),
    ).toEqual([
      'null INVALID_REQUEST',
      'null INVALID_REQUEST',
      'null INVALID_REQUEST',
      'null PARSE_ERROR',
      'null PARSE_ERROR',
      'python BODY_TOO_LARGE',
      'typescript BODY_TOO_LARGE',
    ]);
    expect(server.count('tools/call')).toBe(1);
  });

  it('twice with one id is refused the second time, and the first call is answered', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    let finish = (): void => undefined;
    server.on['slow'] = ({ result }) => void (finish = () => result({ slow: true }));
    client.send({ id: 'same', method: 'slow' });
    await eventually(() => server.count('slow') === 1);
    client.send({ id: 'same', method: 'slow' });
    await eventually(() => client.messages().some((message) => message.id === 'same'));
    finish();
    await eventually(() => client.messages().filter((message) => message.id === 'same').length === 2);
    const [second, first] = client.messages().filter((message) => message.id === 'same');
    expect(second?.error?.code).toBe(-32600);
    expect(first?.result).toEqual({ slow: true });
    expect(server.count('slow')).toBe(1);
  });

  it('too many requests at once are refused, and answers to the server still get through', async () => {
    const server = await backend();
    const client = to(server.port, { limits: { maxRunning: 3 } });
    await client.open({ roots: {} });
    const waiting: (() => void)[] = [];
    server.on['slow'] = ({ result }) => void waiting.push(() => result({}));
    for (let at = 0; at < 5; at++) client.send({ id: `s${at}`, method: 'slow' });
    await eventually(() => client.messages().filter((message) => message.error).length === 2);
    expect(client.messages().at(-1)?.error?.data?.['code']).toBe('OVERLOADED');
    await eventually(() => {
      server.notify({ jsonrpc: '2.0', id: 'r', method: 'roots/list' });
      return client.heard('roots/list').length > 0;
    });
    client.send({ id: 'r', result: { roots: [] } });
    await eventually(() => server.received.some((message) => message.result !== undefined));
    for (const finish of waiting) finish();
    await eventually(() => client.messages().filter((message) => message.result).length === 4);
  });

  it('waits in the pipe while the server takes nothing', async () => {
    const server = await backend();
    const input = new PassThrough();
    const client = to(server.port, { input, limits: { maxWaitingBytes: 100_000, tellTimeoutMs: 60_000 } });
    const write = (message: object): boolean =>
      input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    write({
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} },
    });
    write({ method: 'notifications/initialized' });
    await eventually(() => server.count('notifications/initialized') === 1);
    let open = false;
    const held: (() => void)[] = [];
    server.on['notifications/progress'] = ({ response }) => {
      const take = (): void => void response.writeHead(202).end();
      if (open) take();
      else held.push(take);
    };
    const params = { progressToken: 1, progress: 1, message: 'x'.repeat(10_000) };
    for (let at = 0; at < 100; at++) write({ method: 'notifications/progress', params });
    await eventually(() => held.length === 1 && input.isPaused());
    expect(input.readableLength + input.writableLength).toBeGreaterThan(500_000);
    open = true;
    for (const take of held) take();
    await eventually(() => server.count('notifications/progress') === 100);
    expect(client.logs.filter((line) => line.level === 'error')).toEqual([]);
  });
});

describe('a batch (2025-03-26)', () => {
  const batch =
    '[ {"jsonrpc":"2.0","id":"a","method":"tools/list"}, {"jsonrpc":"2.0","method":"notifications/x"},\t{"jsonrpc":"2.0","id":"b","method":"ping","params":{"n":1.0}} ]';

  it('goes to the server as it is, and its answer comes back as a batch', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open({}, '2025-03-26');
    server.on['response'] = ({ json }) =>
      json(
        200,
        '[{"jsonrpc":"2.0","id":"b","result":{}},\n{"jsonrpc":"2.0","id":"a","result":{"tools":[]}}]',
      );
    client.send(batch);
    await eventually(() => client.lines.length === 2);
    expect(server.texts.at(-1)).toBe(batch);
    expect(client.lines[1]).toBe(
      '[{"jsonrpc":"2.0","id":"b","result":{}},{"jsonrpc":"2.0","id":"a","result":{"tools":[]}}]',
    );
  });

  it('of the server is taken apart for a client that knows none', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.on['tools/call'] = ({ json, message }) =>
      json(
        200,
        `[{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","id":${message.id},"result":{}}]`,
      );
    await client.ask('tools/call', { name: 'x' });
    expect(client.lines.slice(1)).toEqual([
      '{"jsonrpc":"2.0","method":"notifications/x"}',
      '{"jsonrpc":"2.0","id":2,"result":{}}',
    ]);
  });

  it('that fails is answered once for each request in it', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open({}, '2025-03-26');
    server.on['response'] = ({ json }) =>
      json(400, '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"No batches"}}');
    client.send(batch);
    await eventually(() => client.messages().length === 3);
    expect(client.messages().slice(1)).toEqual(
      ['a', 'b'].map((id) => ({ jsonrpc: '2.0', id, error: { code: -32600, message: 'No batches' } })),
    );
  });
});

describe('cancelling', () => {
  it('is told to the server with the words of the client, the request ends there, and no late answer comes', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    let gone = false;
    let finish = (): void => undefined;
    server.on['slow'] = (exchange) => {
      const stream = exchange.stream();
      stream.send({
        jsonrpc: '2.0',
        method: 'notifications/message',
        params: { level: 'info', data: 'working' },
      });
      finish = () => stream.send({ jsonrpc: '2.0', id: exchange.message.id, result: {} });
      exchange.response.on('close', () => (gone = true));
    };
    server.on['notifications/cancelled'] = ({ response }) => {
      finish();
      response.writeHead(202).end();
    };
    client.send({ id: 'x', method: 'slow' });
    await eventually(() => client.heard('notifications/message').length === 1);
    client.send(
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x","reason":"enough","more":1.0}}',
    );
    await eventually(() => gone);
    expect(server.texts.at(-1)).toBe(
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x","reason":"enough","more":1.0}}',
    );
    await client.ask('ping');
    expect(client.messages().some((message) => message.id === 'x')).toBe(false);
    // Its id is free again, and what is not under way is nothing to cancel.
    client.notify('notifications/cancelled', { requestId: 'x' });
    server.on['slow'] = ({ result }) => result({ again: true });
    client.send({ id: 'x', method: 'slow' });
    await eventually(() => client.messages().some((message) => message.id === 'x'));
    expect(server.count('notifications/cancelled')).toBe(1);
  });
});

describe('the end', () => {
  it('waits for running requests, then the session is deleted', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    let finish = (): void => undefined;
    server.on['slow'] = ({ result }) => void (finish = () => result({ done: true }));
    client.send({ id: 'x', method: 'slow' });
    await eventually(() => server.count('slow') === 1);
    const ended = client.end();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(server.sessions.size).toBe(1);
    finish();
    await ended;
    expect(client.messages().at(-1)).toMatchObject({ id: 'x', result: { done: true } });
    expect(server.sessions.size).toBe(0);
  });

  it('does not wait longer than it may, or when it is asked again; what runs is answered with an error', async () => {
    for (const again of [false, true]) {
      const server = await backend();
      const input = new PassThrough();
      const client = to(server.port, { input, drainTimeoutMs: again ? 60_000 : 100 });
      await client.open();
      server.on['slow'] = () => undefined;
      client.send({ id: 'x', method: 'slow' });
      await eventually(() => server.count('slow') === 1);
      const ended = client.end();
      if (again) {
        await eventually(() => input.readableEnded);
        client.connected.end();
      }
      await ended;
      expect(client.messages().at(-1)).toMatchObject({ id: 'x', error: { data: { code: 'DRAINING' } } });
      expect(server.sessions.size).toBe(0);
    }
  });

  it('does not hang on a server that asks what nobody can answer any more', async () => {
    const server = await backend();
    const client = to(server.port, { drainTimeoutMs: 60_000 });
    await client.open({ roots: {} });
    let finish = (): void => undefined;
    server.on['slow'] = (exchange) => {
      const stream = exchange.stream();
      stream.send({ jsonrpc: '2.0', id: 'before', method: 'roots/list' });
      finish = () => stream.send({ jsonrpc: '2.0', id: 'behind', method: 'roots/list' });
      server.on['response'] = ({ response, message }) => {
        response.writeHead(202).end();
        if (message.id !== 'behind') return;
        stream.send({ jsonrpc: '2.0', id: exchange.message.id, result: message.error });
        stream.end();
      };
    };
    client.send({ id: 'x', method: 'slow' });
    await eventually(() => client.heard('roots/list').length === 1);
    const ended = client.end();
    await eventually(() => server.received.some((message) => message.id === 'before' && message.error));
    finish();
    await ended;
    expect(client.messages().at(-1)?.result).toMatchObject({ message: expect.stringContaining('has ended') });
    expect(client.heard('roots/list')).toHaveLength(1);
  });

  it('comes at once where the client does not read any more', async () => {
    const server = await backend();
    const output = new PassThrough();
    const client = to(server.port, { output, drainTimeoutMs: 60_000 });
    output.resume();
    client.send({
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} },
    });
    await eventually(() => server.sessions.size === 1);
    output.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    await client.connected.ended;
    expect(server.sessions.size).toBe(0);
  });

  it('is not held up by a server that does not answer', async () => {
    const server = await backend();
    const client = to(server.port, { limits: { farewellMs: 100 } });
    await client.open();
    await server.stop();
    await client.end();
    expect(client.messages().at(-1)?.id).toBe(1);
  });
});
