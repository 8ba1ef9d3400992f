import { afterEach, describe, expect, it } from 'vitest';
import { startBackend, type Backend, type BackendOptions } from '../../support/backend.ts';
import { startConnect, stopConnects, type StartOptions, type StdioClient } from '../../support/connected.ts';
import { eventually } from '../../support/eventually.ts';
import { freePort } from '../../support/servers.ts';

/** `connect` before servers that misbehave in ways that a well-made server can't be made to. */

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
  startConnect(`http://127.0.0.1:${port}/mcp`, options);

const textOf = (message: unknown): string | undefined =>
  (message as { result?: { content?: { text: string }[] } }).result?.content?.[0]?.text;

const capabilities = {
  tools: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  logging: {},
};

describe('a session', () => {
  it('keeps its id and the negotiated revision in every request, and ends with DELETE', async () => {
    const server = await backend();
    const seen: Record<string, unknown>[] = [];
    server.on['tools/call'] = ({ request, result }) => {
      seen.push(request.headers);
      result({ content: [] });
    };
    const client = to(server.port);
    await client.open({}, '2025-06-18');
    await client.ask('tools/call', { name: 'echo' });
    expect(seen[0]).toMatchObject({
      'mcp-protocol-version': '2025-06-18',
      'mcp-session-id': [...server.sessions][0],
    });
    await client.end();
    expect(server.sessions.size).toBe(0);
  });

  it('passes numbers beyond 2^53 and unknown fields on as they are, both ways', async () => {
    const server = await backend();
    server.on['tools/call'] = ({ json, message }) =>
      json(200, `{"jsonrpc":"2.0","id":${message.id},\n  "result":{"big":12345678901234567890,"x":1.0}}`);
    const client = to(server.port);
    await client.open();
    client.send(
      '{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"n":98765432109876543210,"e":1e2}}',
    );
    await eventually(() => client.heard(77).length === 1);
    expect(client.lines.at(-1)).toBe(
      '{"jsonrpc":"2.0","id":77,   "result":{"big":12345678901234567890,"x":1.0}}',
    );
    expect(server.texts.at(-1)).toContain('"n":98765432109876543210,"e":1e2');
  });

  it('that the server forgot is opened again with the words of the client, set as before, and the call repeated', async () => {
    const server = await backend({ capabilities });
    const client = to(server.port);
    await client.open({ roots: {} });
    await client.ask('logging/setLevel', { level: 'debug' });
    await client.ask('resources/subscribe', { uri: 'test://a' });
    await client.ask('resources/subscribe', { uri: 'test://b' });
    await client.ask('resources/unsubscribe', { uri: 'test://b' });
    const before = server.texts.slice(0, 2);
    server.sessions.clear();
    server.received.length = 0;
    server.texts.length = 0;

    const answer = await client.ask('tools/call', { name: 'echo', arguments: { message: 'x' } });
    expect(textOf(answer)).toContain('echo by');
    expect(server.received.map((message) => message.method)).toEqual([
      'tools/call',
      'initialize',
      'notifications/initialized',
      'logging/setLevel',
      'resources/subscribe',
      'tools/call',
    ]);
    expect(server.texts.slice(1, 3)).toEqual(before);
    expect(server.received.slice(3, 5).map((message) => message.params)).toEqual([
      { level: 'debug' },
      { uri: 'test://a' },
    ]);
    // Nothing of it is the client's business, but that what it knows may be old.
    expect(client.heard(1)).toHaveLength(1);
    expect(client.heard('notifications/tools/list_changed')).toHaveLength(1);
    expect(client.heard('notifications/resources/list_changed')).toHaveLength(1);
    expect(client.heard('notifications/prompts/list_changed')).toHaveLength(0);
    expect(client.heard('notifications/resources/updated').map((message) => message.params?.['uri'])).toEqual(
      ['test://a'],
    );
    expect(
      client.messages().every((message) => message.id === undefined || typeof message.id === 'number'),
    ).toBe(true);
  });

  it('forgotten while many calls run is opened once', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.sessions.clear();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => client.ask('tools/call', { name: `t${at}` })),
    );
    expect(answers.every((answer) => textOf(answer) !== undefined)).toBe(true);
    expect(server.count('initialize')).toBe(2);
    expect(server.sessions.size).toBe(1);
  });

  it('refused with 400, as servers of the SDK do, is opened again, too', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    let refusals = 0;
    server.on['tools/call'] = ({ json, result }) => {
      if (refusals++ > 0) result({ content: [{ type: 'text', text: 'executed' }] });
      else
        json(
          400,
          '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}',
        );
    };
    expect(textOf(await client.ask('tools/call', { name: 'x' }))).toBe('executed');
    expect(server.count('initialize')).toBe(2);
  });

  it('that is forgotten again and again ends in one clear error, and not in a loop', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.on['tools/call'] = ({ json }) =>
      json(404, '{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}');
    const answer = await client.ask('tools/call', { name: 'x' });
    expect(answer.error).toMatchObject({ code: -32001, message: 'Session not found' });
    expect(server.count('tools/call')).toBe(3);
  });

  it('that can not be opened again is an error that says that nothing was executed, and the next call tries anew', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.sessions.clear();
    server.on['initialize'] = ({ json }) => json(503, 'starting');
    const answer = await client.ask('tools/call', { name: 'x' });
    expect(answer.error?.data?.['code']).toBe('BACKEND_SESSION_LOST');
    expect(answer.error?.message).toMatch(/did not open another one \(HTTP 503\)\. Nothing was executed/);
    delete server.on['initialize'];
    expect(textOf(await client.ask('tools/call', { name: 'x' }))).toBeDefined();
  });

  it('a second initialize opens a new one, and the former is ended', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    const [first] = server.sessions;
    client.send({
      id: 'again',
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
    });
    await eventually(
      () => client.heard('again').length === 1 || client.messages().some((m) => m.id === 'again'),
    );
    await eventually(() => server.sessions.size === 1 && ![...server.sessions].includes(first!));
    expect(textOf(await client.ask('tools/call', { name: 'x' }))).toBeDefined();
  });

  it('of a server that keeps none goes without an id', async () => {
    const server = await backend({ sessionless: true });
    const client = to(server.port);
    await client.open();
    expect(textOf(await client.ask('tools/call', { name: 'x' }))).toBeDefined();
    await client.end();
  });
});

describe('what the server asks the client', () => {
  it('is answered in the session that it was asked in, even where a new session uses the same id', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open({ elicitation: {} });
    await eventually(() => client.logs.length >= 0 && server.count('notifications/initialized') === 1);
    const question = (text: string) => ({
      jsonrpc: '2.0',
      id: 0,
      method: 'elicitation/create',
      params: { text },
    });
    await eventually(() => {
      if (client.heard('elicitation/create').length > 0) return true;
      server.notify(question('delete the old things?'));
      return false;
    });
    const asked = client.heard('elicitation/create').length;

    server.sessions.clear();
    await client.ask('tools/call', { name: 'x' });
    // The client can close its dialogue: nobody waits for the answer.
    expect(client.heard('notifications/cancelled').map((message) => message.params?.['requestId'])).toEqual([
      0,
    ]);
    await eventually(() => {
      if (client.heard('elicitation/create').length > asked) return true;
      server.notify(question('delete the new things?'));
      return false;
    });
    const second = client.heard('elicitation/create').at(-1)!;
    expect(second.params).toEqual({ text: 'delete the new things?' });
    expect(second.id).not.toBe(0);

    // A person answers the first question, too late; then the second one.
    client.send({ id: 0, result: { action: 'accept' } });
    client.send({ id: second.id, result: { action: 'decline' } });
    await eventually(() => server.received.some((message) => message.result !== undefined));
    const answers = server.received.filter((message) => message.result !== undefined);
    expect(answers).toEqual([{ jsonrpc: '2.0', id: 0, result: { action: 'decline' } }]);
  });

  it('is taken back when the server cancels it', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open({ roots: {} });
    await eventually(() => {
      server.notify({ jsonrpc: '2.0', id: 'r', method: 'roots/list' });
      return client.heard('roots/list').length > 0;
    });
    server.notify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'r' } });
    await eventually(() => client.heard('notifications/cancelled').length === 1);
    client.send({ id: 'r', result: { roots: [] } });
    await client.ask('ping');
    expect(server.received.some((message) => message.result !== undefined)).toBe(false);
  });
});

describe('a server that can not be reached', () => {
  it('at the beginning: initialize says what to do, and when the server is there everything works', async () => {
    const port = await freePort();
    const client = to(port);
    const refused = await client.open();
    expect(refused.error?.data?.['code']).toBe('UNREACHABLE');
    expect(refused.error?.message).toMatch(
      /Cannot reach the MCP server at http:\/\/127\.0\.0\.1:\d+\/mcp \(.*ECONNREFUSED.*\)\. Nothing was executed\. Start it/,
    );
    await backend({ port });
    expect((await client.open()).result).toBeDefined();
    expect(textOf(await client.ask('tools/call', { name: 'x' }))).toBeDefined();
  });

  it('in the middle: one clear error for each request, and it works again by itself', async () => {
    const server = await backend({ capabilities });
    const client = to(server.port);
    await client.open();
    await eventually(() => {
      server.notify({ jsonrpc: '2.0', method: 'notifications/message', params: {} });
      return client.heard('notifications/message').length > 0;
    });
    await server.stop();
    const refused = await client.ask('tools/call', { name: 'x' });
    expect(refused.error?.data?.['code']).toBe('UNREACHABLE');
    const again = await backend({ port: server.port, capabilities });
    again.on['GET'] = ({ request, json, stream }) => {
      if (again.sessions.has(String(request.headers['mcp-session-id']))) stream().send(': hello');
      else json(404, '{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}');
    };
    // Without any request of the client: the stream is opened again, in a new session.
    await eventually(() => again.sessions.size === 1 && again.count('notifications/initialized') === 1);
    expect(textOf(await client.ask('tools/call', { name: 'x' }))).toBeDefined();
    await eventually(() => client.heard('notifications/tools/list_changed').length > 0);
  });

  it('that breaks off in the middle of a call: the error says that it may have been executed', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.on['tools/call'] = ({ request }) => void request.socket.destroy();
    const answer = await client.ask('tools/call', { name: 'x' });
    expect(answer.error?.data?.['code']).toBe('BACKEND_FAILED');
    expect(answer.error?.message).toContain('may have been executed');
    expect(server.count('tools/call')).toBe(1);
  });
});
