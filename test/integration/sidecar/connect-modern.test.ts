import { afterEach, describe, expect, it } from 'vitest';
import { startBackend, type Backend, type Exchange } from '../../support/backend.ts';
import { startConnect, stopConnects, type StartOptions, type StdioClient } from '../../support/connected.ts';
import { eventually } from '../../support/eventually.ts';

const backends: Backend[] = [];
afterEach(async () => {
  await stopConnects();
  await Promise.all(backends.splice(0).map((backend) => backend.stop().catch(() => undefined)));
});

async function backend(): Promise<Backend> {
  const started = await startBackend({ sessionless: true });
  backends.push(started);
  return started;
}

const to = (port: number, options?: StartOptions): StdioClient =>
  startConnect(`http://127.0.0.1:${port}/mcp`, options);

const own = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'stdio', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};
const ask = (client: StdioClient, method: string, params: object = {}) =>
  client.ask(method, { ...params, _meta: { ...own } });

const mcpHeaders = ({ headers }: Exchange['request']): Record<string, unknown> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('mcp-')));

/** A server that keeps the headers of what it got, and answers everything. */
async function recording(): Promise<{ server: Backend; headers: Record<string, unknown>[] }> {
  const server = await backend();
  const headers: Record<string, unknown>[] = [];
  for (const method of ['tools/call', 'prompts/get', 'resources/read', 'server/discover', 'tasks/get']) {
    server.on[method] = ({ request, result }) => {
      headers.push(mcpHeaders(request));
      result({ resultType: 'complete', content: [] });
    };
  }
  return { server, headers };
}

const annotated = (name: string, properties: object): object => ({
  name,
  inputSchema: { type: 'object', properties },
});
const region = { region: { type: 'string', 'x-mcp-header': 'Region' } };
const listing = (server: Backend, ...pages: object[][]): void => {
  server.on['tools/list'] = ({ message, result }) => {
    const page = Number(message.params?.['cursor'] ?? 0);
    result({
      resultType: 'complete',
      tools: pages[page],
      ...(page + 1 < pages.length && { nextCursor: String(page + 1) }),
      ttlMs: 0,
      cacheScope: 'private',
    });
  };
};

describe('headers mirror the body', () => {
  it.each<[string, object, object]>([
    ['tools/call', { name: 'echo' }, { 'mcp-name': 'echo' }],
    ['prompts/get', { name: 'größe' }, { 'mcp-name': '=?base64?Z3LDtsOfZQ==?=' }],
    ['resources/read', { uri: 'file:///a b' }, { 'mcp-name': 'file:///a b' }],
    ['tools/call', { name: ' padded ' }, { 'mcp-name': '=?base64?IHBhZGRlZCA=?=' }],
    ['server/discover', {}, {}],
  ])('%s %j', async (method, params, more) => {
    const { server, headers } = await recording();
    const client = to(server.port);
    await ask(client, method, params);
    expect(headers).toEqual([{ 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...more }]);
  });

  it('no session, and no initialize by itself', async () => {
    const { server } = await recording();
    const client = to(server.port);
    await ask(client, 'server/discover');
    await client.end();
    expect(server.received.map((message) => message.method)).toEqual(['server/discover']);
  });

  it('what fits no header is refused here', async () => {
    const { server } = await recording();
    const client = to(server.port);
    const answer = await client.ask('tools/call', {
      name: 'x',
      _meta: { ...own, 'io.modelcontextprotocol/protocolVersion': '2026\r\nx-evil: 1' },
    });
    expect(answer.error?.data?.['code']).toBe('INVALID_REQUEST');
    expect(server.received).toEqual([]);
  });

  it('arguments, as the list of tools says', async () => {
    const { server, headers } = await recording();
    listing(
      server,
      [annotated('plain', { region: { type: 'string' } })],
      [
        annotated('sql', {
          ...region,
          limit: { type: 'integer', 'x-mcp-header': 'Limit' },
          dry: { type: 'boolean', 'x-mcp-header': 'Dry' },
          deep: { type: 'object', properties: { tenant: { type: 'string', 'x-mcp-header': 'Tenant' } } },
        }),
      ],
    );
    const client = to(server.port);
    await ask(client, 'tools/list');
    await ask(client, 'tools/list', { cursor: '1' });
    await ask(client, 'tools/call', {
      name: 'sql',
      arguments: { region: 'Zürich', limit: 42, dry: false, deep: { tenant: 't1' } },
    });
    await ask(client, 'tools/call', { name: 'sql', arguments: { region: null, deep: 1 } });
    await ask(client, 'tools/call', { name: 'plain', arguments: { region: 'x' } });
    const base = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call' };
    expect(headers).toEqual([
      {
        ...base,
        'mcp-name': 'sql',
        'mcp-param-region': '=?base64?WsO8cmljaA==?=',
        'mcp-param-limit': '42',
        'mcp-param-dry': 'false',
        'mcp-param-tenant': 't1',
      },
      { ...base, 'mcp-name': 'sql' },
      { ...base, 'mcp-name': 'plain' },
    ]);
  });

  it('a tool that the client never listed here: the list is read when the server misses the headers', async () => {
    const { server, headers } = await recording();
    listing(server, [annotated('other', {})], [annotated('sql', region)]);
    const accept = server.on['tools/call']!;
    server.on['tools/call'] = (exchange) => {
      if (exchange.request.headers['mcp-param-region'] === 'eu') void accept(exchange);
      else
        exchange.json(400, '{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"Header mismatch"}}');
    };
    const client = to(server.port);
    const answer = await ask(client, 'tools/call', { name: 'sql', arguments: { region: 'eu' } });
    expect(answer.result).toBeDefined();
    expect(headers).toHaveLength(1);
    expect(server.received.map((message) => message.method)).toEqual([
      'tools/call',
      'tools/list',
      'tools/list',
      'tools/call',
    ]);
    expect(server.received[1]?.params?.['_meta']).toEqual(own);
    // Where the list does not help, the refusal goes to the client; nothing loops.
    const refused = await ask(client, 'tools/call', { name: 'other', arguments: { region: 'us' } });
    expect(refused.error).toMatchObject({ code: -32020 });
    expect(server.count('tools/call')).toBe(3);
  });

  it('a tool whose annotations break the rules is left out of the list; all others stay as they are', async () => {
    const { server } = await recording();
    const tools = [
      '{"name":"good","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}},"x":1.0}}',
      '{"name":"bad","inputSchema":{"type":"object","properties":{"a":{"type":"number","x-mcp-header":"A"}}}}',
      '{"name":"plain","inputSchema":{"type":"object"},"n":12345678901234567890}',
    ];
    server.on['tools/list'] = ({ json, message }) =>
      json(
        200,
        `{"jsonrpc":"2.0","id":${message.id},"result":{"tools":[${tools.join(' , ')}],"resultType":"complete"}}`,
      );
    const client = to(server.port);
    await ask(client, 'tools/list');
    expect(client.lines[0]).toBe(
      `{"jsonrpc":"2.0","id":1,"result":{"tools":[${tools[0]},${tools[2]}],"resultType":"complete"}}`,
    );
    expect(client.logs.find((line) => line.level === 'warn')?.fields).toMatchObject({ tool: 'bad' });
  });
});

describe('what comes back', () => {
  it.each([
    [404, '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found","x":1.0}}'],
    [
      400,
      '{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"Unsupported","data":{"supported":["2026-07-28"]}}}',
    ],
    [
      200,
      '{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"a\\u00e4==","inputRequests":{}}}',
    ],
  ])('HTTP %i is passed on to the byte', async (status, body) => {
    const server = await backend();
    server.on['tools/call'] = ({ json }) => json(status, body);
    const client = to(server.port);
    await ask(client, 'tools/call', { name: 'x' });
    expect(JSON.parse(client.lines[0] ?? '')).toEqual(JSON.parse(body));
    expect(client.lines[0]).toContain(status === 200 ? body : body.slice(body.indexOf('"error"')));
  });

  it('requests of a server, which this era does not know, do not reach the client', async () => {
    const server = await backend();
    server.on['tools/call'] = (exchange) => {
      const stream = exchange.stream();
      stream.send({ jsonrpc: '2.0', id: 1, method: 'roots/list' });
      stream.send({ jsonrpc: '2.0', id: exchange.message.id, result: { resultType: 'complete' } });
      stream.end();
    };
    const client = to(server.port);
    await ask(client, 'tools/call', { name: 'x' });
    expect(client.lines).toHaveLength(1);
  });

  it('cancelling breaks the request off, and nothing is posted', async () => {
    const server = await backend();
    let gone = false;
    server.on['tools/call'] = ({ response }) => void response.on('close', () => (gone = true));
    const client = to(server.port);
    client.send({ id: 'x', method: 'tools/call', params: { name: 'x', _meta: own } });
    await eventually(() => server.count('tools/call') === 1);
    client.notify('notifications/cancelled', { requestId: 'x' });
    await eventually(() => gone);
    expect(server.received).toHaveLength(1);
    expect(client.lines).toEqual([]);
  });
});

describe('subscriptions/listen', () => {
  const id = 'listen:0';
  const stamp = { 'io.modelcontextprotocol/subscriptionId': id };
  const filter = { toolsListChanged: true, resourceSubscriptions: ['test://a'] };
  const acknowledge = (exchange: Exchange): ReturnType<Exchange['stream']> => {
    const stream = exchange.stream();
    stream.send({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: filter, _meta: stamp },
    });
    return stream;
  };
  const subscribe = (client: StdioClient): void =>
    client.send({ id, method: 'subscriptions/listen', params: { notifications: filter, _meta: own } });

  it('streams, outlives the timeout of calls, and does not hold up the end', async () => {
    const server = await backend();
    let stream: ReturnType<Exchange['stream']> | undefined;
    server.on['subscriptions/listen'] = (exchange) => void (stream = acknowledge(exchange));
    const client = to(server.port, { timeoutMs: 1000, drainTimeoutMs: 60_000 });
    subscribe(client);
    await eventually(() => client.heard('notifications/subscriptions/acknowledged').length === 1);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    stream?.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta: stamp } });
    await eventually(() => client.heard('notifications/tools/list_changed').length === 1);
    await client.end();
    expect(client.messages().at(-1)).toEqual({
      jsonrpc: '2.0',
      id,
      result: { resultType: 'complete', _meta: stamp },
    });
    expect(server.count('subscriptions/listen')).toBe(1);
  });

  it('that breaks is opened again, and what may have changed is reported as changed', async () => {
    const server = await backend();
    let opened = 0;
    server.on['subscriptions/listen'] = (exchange) => {
      opened++;
      if (opened === 2) exchange.json(503, 'starting');
      else {
        acknowledge(exchange);
        if (opened === 1) setTimeout(() => exchange.request.socket.destroy(), 20);
      }
    };
    const client = to(server.port);
    subscribe(client);
    await eventually(() => client.heard('notifications/resources/updated').length === 1);
    expect(opened).toBe(3);
    expect(server.texts[2]).toBe(server.texts[0]);
    expect(client.messages()).toEqual([
      {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: filter, _meta: stamp },
      },
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta: stamp } },
      {
        jsonrpc: '2.0',
        method: 'notifications/resources/updated',
        params: { uri: 'test://a', _meta: stamp },
      },
    ]);
  });

  it('ended by the server is over, and so is one that it refuses to open again', async () => {
    const server = await backend();
    let opened = 0;
    server.on['subscriptions/listen'] = (exchange) => {
      if (++opened === 2) {
        exchange.json(400, '{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"No"}}');
        return;
      }
      const stream = acknowledge(exchange);
      if (opened === 3) stream.send({ jsonrpc: '2.0', id, result: { resultType: 'complete', _meta: stamp } });
      stream.end();
    };
    const client = to(server.port);
    subscribe(client);
    await eventually(() => client.messages().some((message) => message.error?.code === -32602));
    subscribe(client);
    await eventually(() => client.messages().some((message) => message.result !== undefined));
    expect(opened).toBe(3);
  });

  it('ends when the client cancels it', async () => {
    const server = await backend();
    let gone = false;
    server.on['subscriptions/listen'] = (exchange) => {
      acknowledge(exchange);
      exchange.response.on('close', () => (gone = true));
    };
    const client = to(server.port);
    subscribe(client);
    await eventually(() => client.lines.length === 1);
    client.notify('notifications/cancelled', { requestId: id });
    await eventually(() => gone);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(server.received).toHaveLength(1);
    expect(client.lines).toHaveLength(1);
  });
});

it('both eras at once, each in its own manner', async () => {
  const server = await startBackend();
  backends.push(server);
  const modes: unknown[] = [];
  server.on['tools/call'] = ({ request, result }) => {
    modes.push([request.headers['mcp-protocol-version'], request.headers['mcp-session-id'] !== undefined]);
    result({});
  };
  const client = to(server.port);
  await client.open();
  await client.ask('tools/call', { name: 'x' });
  await ask(client, 'tools/call', { name: 'x' });
  expect(modes).toEqual([
    ['2025-11-25', true],
    ['2026-07-28', false],
  ]);
});
