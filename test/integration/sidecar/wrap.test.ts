import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterEach, describe, expect, it } from 'vitest';
import type { Log, LogFields } from '../../../src/model.ts';
import { wrap, type WrapOptions, type Wrapped } from '../../../src/sidecar/run.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession } from '../../support/mcp-client.ts';
import { listenSse } from '../../support/sse-listener.ts';

const noisy = fileURLToPath(new URL('../../fixtures/noisy-server.mjs', import.meta.url));
const everything = fileURLToPath(
  import.meta.resolve('@modelcontextprotocol/server-everything/dist/index.js'),
);
const memory = fileURLToPath(import.meta.resolve('@modelcontextprotocol/server-memory/dist/index.js'));

const wrapped: Wrapped[] = [];
const clients: Client[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close().catch(() => undefined)));
  await Promise.all(wrapped.splice(0).map((each) => each.stop()));
});

interface Started {
  readonly url: string;
  readonly logs: { message: string; fields: LogFields | undefined }[];
  readonly server: Wrapped;
}

async function start(script: string, more: Partial<WrapOptions> = {}): Promise<Started> {
  const logs: Started['logs'] = [];
  const write = (message: string, fields?: LogFields): void => void logs.push({ message, fields });
  const log: Log = { error: write, warn: write, info: write, debug: write };
  const server = await wrap({
    command: process.execPath,
    args: [script, 'stdio'],
    env: process.env,
    perSession: false,
    listen: { host: '127.0.0.1', port: 0 },
    path: '/mcp',
    origins: { loopback: true, allowedHosts: [], allowedOrigins: [] },
    initializeTimeoutMs: 5000,
    drainTimeoutMs: 2000,
    sessionIdleMs: 60_000,
    maxSessions: 100,
    maxBodyBytes: 1 << 20,
    clientInfo: { name: 'test', version: '1' },
    onHopeless: (reason) => write(`hopeless: ${reason}`),
    log,
    now: () => performance.now(),
    limits: { lingerMs: 0 },
    ...more,
  });
  wrapped.push(server);
  const url = `http://127.0.0.1:${server.port}/mcp`;
  if (!more.perSession) await eventually(() => healthy(url));
  return { url, logs, server };
}

async function healthy(url: string): Promise<boolean> {
  return (await fetch(url.replace('/mcp', '/healthz'))).status === 200;
}

async function connect(url: string, capabilities = {}): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' }, { capabilities });
  clients.push(client);
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return client;
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('one child for all sessions', () => {
  it('serves a real server: memory', async () => {
    const { url } = await start(memory);
    const client = await connect(url);
    expect((await client.listTools()).tools.map((tool) => tool.name)).toContain('create_entities');
    const result = await client.callTool({ name: 'read_graph', arguments: {} });
    expect(result.isError).toBeFalsy();
  });

  it('initializes the child once, whoever comes', async () => {
    const { url } = await start(noisy);
    const sessions = await Promise.all(Array.from({ length: 5 }, () => RawSession.open(url)));
    for (const session of sessions) {
      const { result } = await session.call('say', { message: 'x' });
      expect(result?.['initializes']).toBe(1);
      expect(session.initialized.result?.['serverInfo']).toMatchObject({ name: 'noisy' });
    }
  });

  it("speaks each client's revision, but none newer than the child's", async () => {
    const { url } = await start(noisy);
    const version = async (asked: string) =>
      (await RawSession.open(url, {}, asked)).initialized.result?.['protocolVersion'];
    expect(await version('2025-11-25')).toBe('2025-06-18');
    expect(await version('2025-03-26')).toBe('2025-03-26');
  });

  it('keeps twenty clients that use the same ids apart', async () => {
    const { url } = await start(noisy);
    const sessions = await Promise.all(Array.from({ length: 20 }, () => RawSession.open(url)));
    const answers = await Promise.all(
      sessions.map((session, at) =>
        session.post({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name: 'say', arguments: { message: `m${at}` } },
        }),
      ),
    );
    expect(answers.map((answer) => answer.messages[0]?.id)).toEqual(Array(20).fill(1));
    expect(answers.map((answer) => JSON.stringify(answer.messages[0]?.result).includes('m'))).toEqual(
      Array(20).fill(true),
    );
    answers.forEach((answer, at) => expect(answer.text).toContain(`"m${at}"`));
  });

  it('passes numbers beyond 2^53 and unknown fields on as they are, both ways', async () => {
    const { url } = await start(noisy);
    const session = await RawSession.open(url);
    const request =
      '{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"seen","arguments":{"n":98765432109876543210,"f":1.0},"x":null}}';
    const answer = await session.post(request);
    expect(answer.text).toContain('"big":12345678901234567890');
    expect(answer.text).toContain('98765432109876543210');
    expect(answer.text).toContain('f\\\\\\":1.0');
  });

  it('restores progress tokens in value and type', async () => {
    const { url } = await start(noisy);
    const session = await RawSession.open(url);
    for (const token of ['a', 5, '5']) {
      const answer = await session.post({
        jsonrpc: '2.0',
        id: 3,
        method: 'tools/call',
        params: { name: 'progress', _meta: { progressToken: token } },
      });
      expect(answer.messages.map((message) => message.params?.['progressToken'] ?? message.id)).toEqual([
        token,
        token,
        3,
      ]);
    }
  });

  it('logs what the child prints and ignores it', async () => {
    const { url, logs } = await start(noisy);
    const session = await RawSession.open(url);
    await session.call('say');
    expect(
      logs.filter((line) => line.message.includes('no MCP message')).map((line) => line.fields?.['line']),
    ).toEqual(expect.arrayContaining(['Starting up… this line is no JSON', 'some debugging output']));
  });

  it('cannot ask the many clients anything, and tells the child so', async () => {
    const { url } = await start(noisy);
    const session = await RawSession.open(url, { roots: {} });
    await session.call('ask');
    const seen = JSON.stringify((await session.call('seen')).result);
    expect(seen).toContain('-32601');
    expect(seen).toContain('--per-session');
  });

  it('a cancelled call gets nothing more, and only that one', async () => {
    const { url } = await start(noisy);
    const [one, two] = await Promise.all([RawSession.open(url), RawSession.open(url)]);
    const hang = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hang' } };
    const cancelled = one.post(hang);
    let other: unknown;
    void two.post(hang).then(
      (answer) => (other = answer),
      () => undefined,
    );
    await eventually(async () => JSON.stringify((await one.call('seen')).result).split('hang').length >= 3);
    await one.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    expect((await cancelled).messages).toEqual([]);
    expect(other).toBeUndefined();
    expect(JSON.stringify((await one.call('seen')).result)).toContain('notifications/cancelled');
  });

  it('tells everybody what is for everybody, and updates only to those who subscribed', async () => {
    const { url } = await start(noisy);
    const [one, two] = await Promise.all([RawSession.open(url), RawSession.open(url)]);
    const [streamOne, streamTwo] = await Promise.all([listenSse(url, one.id), listenSse(url, two.id)]);
    await one.ask('notify');
    await eventually(() => streamOne.messages.length === 1 && streamTwo.messages.length === 1);
    await one.ask('resources/subscribe', { uri: 'test://a' });
    await eventually(() => streamOne.messages.length === 2);
    expect(streamTwo.messages).toHaveLength(1);
    // A second subscriber costs the child nothing, and the first one's leaving takes nothing from the second.
    await two.ask('resources/subscribe', { uri: 'test://a' });
    await one.ask('resources/unsubscribe', { uri: 'test://a' });
    const seen = String(((await one.call('seen')).result?.['content'] as { text: string }[])[0]?.text);
    expect(seen.split('resources/subscribe').length - 1).toBe(1);
    expect(seen).not.toContain('resources/unsubscribe');
    streamOne.close();
    streamTwo.close();
  });

  it('starts a crashed child again; the call in flight fails clearly, sessions go on', async () => {
    const { url, logs } = await start(noisy);
    const session = await RawSession.open(url);
    await session.ask('logging/setLevel', { level: 'debug' });
    await session.ask('resources/subscribe', { uri: 'test://a' });
    const stream = await listenSse(url, session.id);
    const crashed = await session.call('crash');
    expect(crashed.error?.data?.['code']).toBe('BACKEND_FAILED');
    expect(crashed.error?.message).toContain('was ended by SIGKILL');
    expect((await session.call('say')).error?.data?.['code']).toBe('NO_HEALTHY_INSTANCE');
    await eventually(() => healthy(url));
    expect((await session.call('say', { message: 'again' })).result).toBeDefined();
    const seen = JSON.stringify((await session.call('seen')).result);
    expect(seen).toContain('logging/setLevel');
    expect(seen).toContain('resources/subscribe');
    await eventually(() =>
      stream.messages.some((message) => message.method === 'notifications/tools/list_changed'),
    );
    expect(logs.some((line) => line.message.includes('started again'))).toBe(true);
    stream.close();
  });

  it('a command that does not exist is hopeless, and says so', async () => {
    const logs: string[] = [];
    const server = await wrap({
      command: '/no/such/command',
      args: [],
      env: process.env,
      perSession: false,
      listen: { host: '127.0.0.1', port: 0 },
      path: '/mcp',
      origins: { loopback: true, allowedHosts: [], allowedOrigins: [] },
      initializeTimeoutMs: 1000,
      drainTimeoutMs: 100,
      sessionIdleMs: 1000,
      maxSessions: 1,
      maxBodyBytes: 1000,
      clientInfo: { name: 't', version: '1' },
      onHopeless: (reason) => void logs.push(reason),
      log: { error: () => undefined, warn: () => undefined, info: () => undefined, debug: () => undefined },
      now: () => performance.now(),
      limits: { lingerMs: 0 },
    });
    wrapped.push(server);
    await eventually(() => logs.length === 1);
    expect(logs[0]).toMatch(/could not be started.*ENOENT/);
  });

  it('a child that never answers initialize is ended and tried again', async () => {
    const logs: string[] = [];
    const { server } = await startRaw(['-e', 'setInterval(() => {}, 1000)'], {
      initializeTimeoutMs: 200,
      log: collect(logs),
    });
    await eventually(() => logs.filter((line) => line === 'server started').length >= 2);
    expect(await healthy(`http://127.0.0.1:${server.port}/mcp`)).toBe(false);
  });

  it('leaves no process behind', async () => {
    const { url, server } = await start(noisy);
    const session = await RawSession.open(url);
    const pid = Number((await session.call('say')).result?.['pid']);
    expect(alive(pid)).toBe(true);
    await server.stop();
    expect(alive(pid)).toBe(false);
  });
});

function collect(into: string[]): Log {
  const write = (message: string): void => void into.push(message);
  return { error: write, warn: write, info: write, debug: write };
}

async function startRaw(args: string[], more: Partial<WrapOptions>): Promise<{ server: Wrapped }> {
  const server = await wrap({
    command: process.execPath,
    args,
    env: process.env,
    perSession: false,
    listen: { host: '127.0.0.1', port: 0 },
    path: '/mcp',
    origins: { loopback: true, allowedHosts: [], allowedOrigins: [] },
    initializeTimeoutMs: 5000,
    drainTimeoutMs: 100,
    sessionIdleMs: 60_000,
    maxSessions: 100,
    maxBodyBytes: 1 << 20,
    clientInfo: { name: 'test', version: '1' },
    onHopeless: () => undefined,
    log: collect([]),
    now: () => performance.now(),
    limits: { lingerMs: 0 },
    ...more,
  });
  wrapped.push(server);
  return { server };
}

describe('a child for each session', () => {
  it('carries sampling, elicitation and roots of server-everything to the client whose session it is', async () => {
    const { url } = await start(everything, { perSession: true });
    const client = await connect(url, { sampling: {}, elicitation: {}, roots: { listChanged: true } });
    const asked: string[] = [];
    client.setRequestHandler(CreateMessageRequestSchema, () => {
      asked.push('sampling');
      return {
        model: 'm',
        role: 'assistant' as const,
        content: { type: 'text' as const, text: 'sampled words' },
      };
    });
    client.setRequestHandler(ElicitRequestSchema, () => {
      asked.push('elicitation');
      return { action: 'accept' as const, content: { name: 'Ada' } };
    });
    client.setRequestHandler(ListRootsRequestSchema, () => {
      asked.push('roots');
      return { roots: [{ uri: 'file:///tmp/root-of-this-client', name: 'root' }] };
    });
    const tools = (await client.listTools()).tools.map((tool) => tool.name);
    expect(tools).toContain('trigger-sampling-request');
    const sampled = await client.callTool({
      name: 'trigger-sampling-request',
      arguments: { prompt: 'p', maxTokens: 10 },
    });
    expect(JSON.stringify(sampled.content)).toContain('sampled words');
    await client.callTool({ name: 'trigger-elicitation-request', arguments: {} });
    const roots = await client.callTool({ name: 'get-roots-list', arguments: {} });
    expect(JSON.stringify(roots.content)).toContain('root-of-this-client');
    expect(asked).toEqual(expect.arrayContaining(['sampling', 'elicitation']));
  });

  it('ends the child with DELETE, with idleness and with the wrapper', async () => {
    const { url, server } = await start(noisy, { perSession: true, sessionIdleMs: 500 });
    const pidOf = async (session: RawSession): Promise<number> =>
      Number((await session.call('say')).result?.['pid']);
    const [deleted, idle, last] = await Promise.all([
      RawSession.open(url),
      RawSession.open(url),
      RawSession.open(url),
    ]);
    const pids = await Promise.all([deleted, idle, last].map(pidOf));
    expect(new Set(pids).size).toBe(3);
    await deleted.end();
    await eventually(() => !alive(pids[0]!));
    expect((await deleted.post('{"jsonrpc":"2.0","id":1,"method":"ping"}')).status).toBe(404);
    await eventually(async () => {
      await last.ask('ping');
      return !alive(pids[1]!);
    });
    await server.stop();
    expect(alive(pids[2]!)).toBe(false);
  });

  it('a crash ends that session alone, and the client is told to initialize again', async () => {
    const { url } = await start(noisy, { perSession: true });
    const [one, two] = await Promise.all([RawSession.open(url), RawSession.open(url)]);
    expect((await one.call('crash')).error?.data?.['code']).toBe('BACKEND_FAILED');
    expect((await one.post('{"jsonrpc":"2.0","id":1,"method":"tools/list"}')).status).toBe(404);
    expect((await two.call('say')).result).toBeDefined();
  });

  it('refuses more sessions than allowed, and a server that does not come up, clearly', async () => {
    const { url } = await start(noisy, { perSession: true, maxSessions: 1 });
    await RawSession.open(url);
    const refused = await raw(url, { body: '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}' });
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '5']);
    const { server } = await startRaw(['-e', 'process.exit(3)'], { perSession: true });
    const dead = await raw(`http://127.0.0.1:${server.port}/mcp`, {
      body: '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}',
    });
    expect(dead.messages[0]?.error?.message).toContain('ended with status 3');
    expect((await fetch(`http://127.0.0.1:${server.port}/healthz`)).status).toBe(503);
  });
});
