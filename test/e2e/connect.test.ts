import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client as ModernClient } from '@modelcontextprotocol/client';
import { StdioClientTransport as ModernStdio } from '@modelcontextprotocol/client/stdio';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterEach, describe, expect, it } from 'vitest';
import { startFixture, type Fixture } from '../conformance/fixture/start.ts';
import { startBackend } from '../support/backend.ts';
import { eventually } from '../support/eventually.ts';
import { runProgram, startProgram } from '../support/program.ts';
import { registered, startHandRouter } from '../support/router.ts';
import { freePort, startEverything, startProcess } from '../support/servers.ts';

/** The built program between the clients of both SDKs, over stdio, and real servers. */

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

const answers = {
  roots: { roots: [{ uri: 'file:///home/ann', name: 'home' }] },
  sampling: {
    role: 'assistant' as const,
    content: { type: 'text' as const, text: 'forty-two' },
    model: 'test-model',
  },
  elicitation: {
    action: 'accept' as const,
    content: { name: 'ann', username: 'ann', email: 'ann@example.com' },
  },
};
const capabilities = { sampling: {}, elicitation: { form: {} }, roots: { listChanged: true } };

const server = (url: string, more: readonly string[] = []) => ({
  command: process.execPath,
  args: [cli, 'connect', url, ...more],
  stderr: 'pipe' as const,
});

/** The SDK's client; whatever it cannot read on stdout fails the test. */
async function legacy(url: string, more: readonly string[] = []): Promise<Client> {
  const client = new Client({ name: 'legacy', version: '1' }, { capabilities });
  client.setRequestHandler(ListRootsRequestSchema, () => answers.roots);
  client.setRequestHandler(CreateMessageRequestSchema, () => answers.sampling);
  client.setRequestHandler(ElicitRequestSchema, () => answers.elicitation);
  const transport = new StdioClientTransport(server(url, more));
  const unreadable: Error[] = [];
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK has no other way
  client.onerror = (error) => {
    if (!error.message.includes('progress notification for an unknown token')) unreadable.push(error);
  };
  cleanUp.push(async () => {
    await client.close();
    expect(unreadable).toEqual([]);
  });
  await client.connect(transport);
  return client;
}

async function modern(url: string, mode: 'auto' | { pin: string } | undefined): Promise<ModernClient> {
  const client = new ModernClient(
    { name: 'modern', version: '1' },
    { capabilities, ...(mode !== undefined && { versionNegotiation: { mode } }) },
  );
  client.setRequestHandler('roots/list', () => answers.roots);
  client.setRequestHandler('sampling/createMessage', () => answers.sampling);
  client.setRequestHandler('elicitation/create', () => answers.elicitation);
  cleanUp.push(() => client.close());
  await client.connect(new ModernStdio(server(url)));
  return client;
}

async function everything(): Promise<string> {
  const started = await startEverything();
  cleanUp.push(() => started.stop());
  return `http://127.0.0.1:${started.port}/mcp`;
}

async function fixture(eras?: 'legacy' | 'modern'): Promise<Fixture> {
  const started = await startFixture(eras && { eras });
  cleanUp.push(() => started.stop());
  return started;
}

describe('the SDK 1.x client', () => {
  it('every family of methods, and what a server asks, through connect to server-everything', async () => {
    const client = await legacy(await everything());
    expect((await client.listTools()).tools.length).toBeGreaterThan(13);
    expect((await client.listPrompts()).prompts).toHaveLength(4);
    expect((await client.listResourceTemplates()).resourceTemplates).toHaveLength(2);
    const sampled = await client.callTool({
      name: 'trigger-sampling-request',
      arguments: { prompt: 'what?', maxTokens: 10 },
    });
    expect(JSON.stringify(sampled.content)).toContain('forty-two');
    const elicited = await client.callTool({ name: 'trigger-elicitation-request', arguments: {} });
    expect(JSON.stringify(elicited.content)).toContain('ann');
    const progress: number[] = [];
    await client.callTool(
      { name: 'trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 } },
      undefined,
      { onprogress: (step) => void progress.push(step.progress) },
    );
    // The SDK's client loses the last one where the response comes in the same read.
    expect(progress.slice(0, 3)).toEqual([1, 2, 3]);
  });

  it('cancels, and the session goes on', async () => {
    const client = await legacy(await everything());
    const abort = new AbortController();
    const call = client.callTool(
      { name: 'trigger-long-running-operation', arguments: { duration: 30, steps: 30 } },
      undefined,
      { signal: abort.signal, onprogress: () => abort.abort('enough') },
    );
    await expect(call).rejects.toThrow('enough');
    const echoed = await client.callTool({ name: 'echo', arguments: { message: 'on' } });
    expect(JSON.stringify(echoed.content)).toContain('on');
  });

  it('hears of changed lists, and survives a router that is started anew in the middle', async () => {
    const backend = await startBackend();
    cleanUp.push(() => backend.stop());
    const at = { listen: `127.0.0.1:${await freePort()}` };
    const keys = [new Uint8Array(32).fill(7)];
    const former = await startHandRouter(at, keys);
    former.register(registered('one', [['a', backend.port]]));
    const client = await legacy(`http://${at.listen}/mcp`);
    let changes = 0;
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changes++);
    await eventually(async () => (await client.listTools()).tools.length === 2);
    await former.stop();
    await expect(client.callTool({ name: 'one__echo' })).rejects.toThrow(
      /Cannot reach the MCP server|ended before/,
    );
    const next = await startHandRouter(at, keys);
    cleanUp.push(() => next.stop());
    next.register(registered('one', [['a', backend.port]]), registered('two', [['b', backend.port]]));
    await eventually(() => changes > 0);
    await eventually(async () => (await client.listTools()).tools.length === 4);
  });

  it('10 MB there and back through the router', async () => {
    const backend = await startBackend();
    cleanUp.push(() => backend.stop());
    backend.on['tools/call'] = ({ message, result }) => {
      const { text } = message.params?.['arguments'] as { text: string };
      result({ content: [{ type: 'text', text }] });
    };
    const router = await startHandRouter({ maxBody: '64M' });
    cleanUp.push(() => router.stop());
    router.register(registered('one', [['a', backend.port]]));
    const client = await legacy(`${router.url}/mcp`);
    await eventually(async () => (await client.listTools()).tools.length === 2);
    // The SDK's client takes lines of up to 10 MiB.
    const text = 'ä"\n'.repeat(1_650_000);
    const result = await client.callTool({ name: 'one__echo', arguments: { text } });
    expect((result.content as { text: string }[])[0]?.text === text).toBe(true);
  });
});

describe('the SDK 2.x client', () => {
  it('negotiates the older era where the server has no other', async () => {
    const url = await everything();
    for (const mode of [undefined, 'auto'] as const) {
      const client = await modern(url, mode);
      expect((await client.listTools()).tools.length).toBeGreaterThan(13);
      const elicited = await client.callTool({ name: 'trigger-elicitation-request', arguments: {} });
      expect(JSON.stringify(elicited.content)).toContain('ann');
    }
  });

  it.each(['direct', 'through the router'])(
    'speaks 2026-07-28 to a server of the SDK 2.x, %s',
    async (way) => {
      const { port, url } = await fixture('modern');
      let to = url;
      if (way !== 'direct') {
        const router = await startHandRouter();
        cleanUp.push(() => router.stop());
        router.register(registered('fixture', [['f', port]]));
        to = `${router.url}/services/fixture/mcp`;
        await eventually(async () =>
          (await fetch(`${router.adminUrl}/api/v1/catalog`))
            .text()
            .then((text) => text.includes('test_simple_text')),
        );
      }
      for (const mode of ['auto', { pin: '2026-07-28' }] as const) {
        const client = await modern(to, mode);
        const { tools } = await client.listTools();
        expect(tools.map((tool) => tool.name)).toContain('test_simple_text');
        const called = await client.callTool({ name: 'test_simple_text', arguments: {} });
        expect(called.content).toMatchObject([{ type: 'text' }]);
        const elicited = await client.callTool({
          name: 'test_input_required_result_elicitation',
          arguments: {},
        });
        expect(JSON.stringify(elicited.content)).toMatch(/ann|Hello/);
        const progress: number[] = [];
        await client.callTool(
          { name: 'test_tool_with_progress', arguments: {} },
          { onprogress: (step) => void progress.push(step.progress) },
        );
        expect(progress.length).toBeGreaterThan(1);
        await client.close();
      }
    },
  );

  it('hears of changed lists by a subscription, also after the server was started anew', async () => {
    const main = fileURLToPath(new URL('../conformance/fixture/main.ts', import.meta.url));
    const port = await freePort();
    const start = async () => {
      const started = await startProcess([main, String(port)], {}, port, /http:/);
      cleanUp.push(() => started.stop());
      return started;
    };
    const first = await start();
    const client = await modern(`http://127.0.0.1:${port}/mcp`, { pin: '2026-07-28' });
    let changes = 0;
    client.setNotificationHandler('notifications/tools/list_changed', () => void changes++);
    const subscription = await client.listen({ toolsListChanged: true });
    expect(subscription.honoredFilter).toEqual({ toolsListChanged: true });
    await client.callTool({ name: 'test_trigger_tool_change', arguments: {} });
    await eventually(() => changes === 1);
    await first.stop('SIGKILL');
    await start();
    await eventually(() => changes === 2);
    await client.callTool({ name: 'test_trigger_tool_change', arguments: {} });
    await eventually(() => changes === 3);
    await subscription.close();
  });
});

interface Ended {
  readonly status: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program with its two outputs apart. */
async function run(args: readonly string[], input: string, env: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [cli, 'connect', ...args], { env: { ...process.env, ...env } });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.end(input);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { status: code ?? signal, stdout, stderr };
}

const line = (message: object): string => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`;
const initialize = line({
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'pipe', version: '1' } },
});
const initialized = line({ method: 'notifications/initialized' });

describe('the program', () => {
  it('in a pipe: answers everything, says nothing else on stdout, ends the session and exits with 0', async () => {
    const { url, sessions } = await fixture();
    const input = initialize + initialized + 'nonsense\n' + line({ id: 2, method: 'tools/list' });
    const ended = await run([url, '--log-level', 'debug'], input);
    expect(ended.status).toBe(0);
    const messages = ended.stdout
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as { jsonrpc: string; id?: unknown });
    expect(messages.every((message) => message.jsonrpc === '2.0')).toBe(true);
    expect(messages.map((message) => message.id)).toEqual(expect.arrayContaining([1, 2, null]));
    expect(ended.stderr).toContain('connect is ready');
    expect(sessions()).toBe(0);
  });

  it('without a router: says what to do on stdout and stays, until it is told to end', async () => {
    const port = await freePort();
    const program = startProgram(['connect'], { MCP_ROUTER_LISTEN: `0.0.0.0:${port}` });
    program.process.stdin?.write(initialize);
    await eventually(() => program.output().includes('"UNREACHABLE"'));
    expect(program.output()).toContain(`Cannot reach the MCP server at http://127.0.0.1:${port}/mcp`);
    expect(program.output()).toContain('mcp-consul-router serve');
    expect(program.process.exitCode).toBeNull();
    program.signal('SIGTERM');
    expect(await program.ended).toBe(0);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s: running requests finish, a second one ends it at once',
    async (signal) => {
      const backend = await startBackend();
      cleanUp.push(() => backend.stop());
      const finish: (() => void)[] = [];
      backend.on['slow'] = ({ result }) => void finish.push(() => result({ done: true }));
      for (const twice of [false, true]) {
        const program = startProgram(['connect', `http://127.0.0.1:${backend.port}/mcp`]);
        program.process.stdin?.write(initialize + initialized + line({ id: 'x', method: 'slow' }));
        await eventually(() => finish.length === 1);
        program.signal(signal);
        // Of two equal signals that come together, the system delivers one.
        await eventually(() => program.output().includes('connect is ending'));
        if (twice) program.signal(signal);
        else finish[0]?.();
        expect(await program.ended).toBe(0);
        expect(program.output()).toContain(twice ? '"DRAINING"' : '"done":true');
        expect(backend.sessions.size).toBe(0);
        finish.length = 0;
      }
    },
  );

  it('sends headers and a token that nobody sees, from a variable or a file', async () => {
    const seen: (string | undefined)[] = [];
    const guarded = createServer((request, response) => {
      seen.push(`${request.headers.authorization} ${String(request.headers['x-team'])}`);
      response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":"invalid_token"}');
    });
    guarded.listen(0, '127.0.0.1');
    await once(guarded, 'listening');
    cleanUp.push(async () => void guarded.close());
    const url = `http://127.0.0.1:${(guarded.address() as AddressInfo).port}/mcp`;
    const file = join(mkdtempSync(join(tmpdir(), 'connect-')), 'token');
    writeFileSync(file, 'from-file\n', { mode: 0o600 });
    const header = ['--header', 'X-Team: blue', '--log-level', 'debug'];
    const ended = [
      await run([url, ...header], initialize, { MCP_ROUTER_TOKEN: 'from-variable' }),
      await run([url, ...header, '--token-file', file], initialize),
      await run([url, ...header, '--token-env', 'GITHUB_TOKEN'], initialize, { GITHUB_TOKEN: 'from-other' }),
    ];
    expect(seen).toEqual(['Bearer from-variable blue', 'Bearer from-file blue', 'Bearer from-other blue']);
    for (const { stdout, stderr, status } of ended) {
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 1004, data: { status: 401 } } });
      expect(stdout + stderr).not.toMatch(/from-(?:variable|file|other)/);
    }
  });

  it('wrong usage ends with status 2 and says what to do', async () => {
    const wrong: [string[], RegExp, Record<string, string>?][] = [
      [['ftp://x'], /is no http:\/\/ or https:\/\/ URL\. Write one such as http:\/\/127\.0\.0\.1:8080\/mcp/],
      [['http://me:secret@x/mcp'], /Put a token into a file \(--token-file\)/],
      [['http://x/mcp', 'extra'], /too many arguments/],
      [['--names', 'long'], /Allowed choices are portable, dotted/],
      [['--timeout', 'soon'], /must be a duration/],
      [['--header', 'nonsense'], /Write it as 'Name: value'/],
      [['--header', 'Mcp-Session-Id: x'], /connect sets Mcp-Session-Id itself/],
      [['--token-env', 'NOT_SET_ANYWHERE'], /The variable NOT_SET_ANYWHERE \(--token-env\) holds no token/],
      [['--token-file', '/no/such/file'], /Cannot read \/no\/such\/file/],
      [['--header', 'Authorization: x'], /Leave one of them out/, { MCP_ROUTER_TOKEN: 'x' }],
      [[], /Name the URL: mcp-consul-router connect/, { MCP_ROUTER_LISTEN: '127.0.0.1:0' }],
    ];
    for (const [args, sentence, env] of wrong) {
      const { status, output } = await runProgram(['connect', ...args], env);
      expect([args, status, output]).toEqual([args, 2, expect.stringMatching(sentence)]);
      expect(output).not.toContain('secret');
    }
  }, 60_000);
});
