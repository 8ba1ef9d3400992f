import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { startFixture } from '../../conformance/fixture/start.ts';
import { startBackend } from '../../support/backend.ts';
import { startConnect, stopConnects, type StdioClient } from '../../support/connected.ts';
import { eventually } from '../../support/eventually.ts';
import type { Message } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { freePort, startEverything } from '../../support/servers.ts';

/** `connect` before the router, and before servers of the SDKs. */

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await stopConnects();
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

async function everything(port?: number): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const server = await startEverything(port);
  cleanUp.push(() => server.stop());
  return server;
}

async function router(
  flags: Record<string, unknown> = {},
  keys?: readonly Uint8Array[],
): Promise<HandRouter> {
  const started = await startHandRouter(flags, keys);
  cleanUp.push(() => started.stop());
  return started;
}

const textOf = (message: Message | undefined): string =>
  (message?.result?.['content'] as { text: string }[] | undefined)?.[0]?.text ?? '';
const namesOf = (message: Message): string[] =>
  (message.result?.['tools'] as { name: string }[]).map((tool) => tool.name);

/** Opens until the catalog is there. */
async function opened(url: string, capabilities: Record<string, unknown> = {}): Promise<StdioClient> {
  const client = startConnect(url);
  await client.open(capabilities);
  await eventually(async () => namesOf(await client.ask('tools/list')).length > 0);
  return client;
}

describe('before the router', () => {
  it('lists and calls, with the spelling of names that was asked for', async () => {
    const front = await router();
    const server = await everything();
    front.register(registered('every', [['a', server.port]]));
    const client = await opened(`${front.url}/mcp`);
    expect(
      textOf(await client.ask('tools/call', { name: 'every__echo', arguments: { message: 'hi' } })),
    ).toBe('Echo: hi');
    const dotted = await opened(`${front.url}/mcp?names=dotted`);
    expect(namesOf(await dotted.ask('tools/list'))).toContain('every.echo');
    const one = await opened(`${front.url}/services/every/mcp`);
    expect(namesOf(await one.ask('tools/list'))).toContain('echo');
  });

  it('hears when the catalog changes', async () => {
    const front = await router();
    const [first, second] = [await startBackend(), await startBackend()];
    cleanUp.push(
      () => first.stop(),
      () => second.stop(),
    );
    front.register(registered('one', [['a', first.port]]));
    const client = await opened(`${front.url}/mcp`);
    let heard = client.heard('notifications/tools/list_changed').length;
    front.register(registered('one', [['a', first.port]]), registered('two', [['b', second.port]]));
    // As clients do: the list is asked for only when it is said to have changed.
    await eventually(async () => {
      const now = client.heard('notifications/tools/list_changed').length;
      if (now === heard) return false;
      heard = now;
      return namesOf(await client.ask('tools/list')).includes('two__echo');
    });
  });

  it.each([true, false])('goes on when the router is started anew (same keys: %s)', async (sameKeys) => {
    const server = await startBackend();
    cleanUp.push(() => server.stop());
    const port = await freePort();
    const keys = [randomBytes(32)];
    const at = { listen: `127.0.0.1:${port}` };
    const former = await startHandRouter(at, keys);
    former.register(registered('one', [['a', server.port]]));
    const client = await opened(`http://127.0.0.1:${port}/mcp`);
    await client.ask('logging/setLevel', { level: 'debug' });
    await former.stop();
    const refused = await client.ask('tools/call', { name: 'one__echo' });
    expect(refused.error?.data?.['code']).toMatch(/UNREACHABLE|BACKEND_FAILED/);
    const next = await router(at, sameKeys ? keys : [randomBytes(32)]);
    next.register(registered('one', [['a', server.port]]));
    await eventually(async () => textOf(await client.ask('tools/call', { name: 'one__echo' })) !== '');
    // What changed meanwhile is unknown, so the client is told to look.
    await eventually(() => client.heard('notifications/tools/list_changed').length > 0);
    const sessions = (await (await fetch(`${next.adminUrl}/api/v1/sessions`)).json()) as {
      sessions: { stream: boolean; client: unknown }[];
    };
    expect(sessions.sessions).toMatchObject([{ stream: true, client: { name: 'stdio' } }]);
    await client.end();
  });
});

describe('before server-everything over its own HTTP', () => {
  it('carries what the server asks, and the answers', async () => {
    const server = await everything();
    const client = startConnect(`http://127.0.0.1:${server.port}/mcp`);
    await client.open({ sampling: {}, elicitation: {}, roots: { listChanged: true } });
    const answer = async (method: string, result: object): Promise<void> => {
      const asked = await eventually(() => client.heard(method).at(-1));
      client.send({ id: asked.id, result });
    };
    await answer('roots/list', { roots: [{ uri: 'file:///home/ann', name: 'home' }] });
    const sampled = client.ask('tools/call', {
      name: 'trigger-sampling-request',
      arguments: { prompt: 'what?', maxTokens: 10 },
    });
    await answer('sampling/createMessage', {
      role: 'assistant',
      content: { type: 'text', text: 'forty-two' },
      model: 'm',
    });
    expect(textOf(await sampled)).toContain('forty-two');
    const elicited = client.ask('tools/call', { name: 'trigger-elicitation-request', arguments: {} });
    await answer('elicitation/create', { action: 'decline' });
    expect(JSON.stringify((await elicited).result)).toMatch(/decline/i);
    await eventually(async () =>
      textOf(await client.ask('tools/call', { name: 'get-roots-list', arguments: {} })).includes(
        'file:///home/ann',
      ),
    );
  });

  it('carries progress, log messages and updates of resources', async () => {
    const server = await everything();
    const client = startConnect(`http://127.0.0.1:${server.port}/mcp`);
    await client.open();
    await client.ask('tools/call', {
      name: 'trigger-long-running-operation',
      arguments: { duration: 0.4, steps: 4 },
      _meta: { progressToken: 'p' },
    });
    expect(client.heard('notifications/progress').map((message) => message.params?.['progress'])).toEqual([
      1, 2, 3, 4,
    ]);
    await client.ask('logging/setLevel', { level: 'debug' });
    const uri = 'demo://resource/dynamic/text/1';
    await client.ask('resources/subscribe', { uri });
    await client.ask('tools/call', { name: 'toggle-simulated-logging', arguments: {} });
    await client.ask('tools/call', { name: 'toggle-subscriber-updates', arguments: {} });
    await eventually(
      () =>
        client.heard('notifications/message').length > 0 &&
        client.heard('notifications/resources/updated').length > 0,
      { withinMs: 20_000 },
    );
  });

  it('goes on when the server is started anew, which forgets everything', async () => {
    const server = await everything();
    const client = startConnect(`http://127.0.0.1:${server.port}/mcp`);
    await client.open();
    await client.ask('resources/subscribe', { uri: 'demo://resource/dynamic/text/1' });
    await server.stop();
    await everything(server.port);
    await eventually(
      async () =>
        textOf(await client.ask('tools/call', { name: 'echo', arguments: { message: 'on' } })) !== '',
    );
    await client.ask('tools/call', { name: 'toggle-subscriber-updates', arguments: {} });
    await eventually(() => client.heard('notifications/resources/updated').length > 1, { withinMs: 20_000 });
  });

  it('a batch of revision 2025-03-26', async () => {
    const server = await everything();
    const client = startConnect(`http://127.0.0.1:${server.port}/mcp`);
    await client.open({}, '2025-03-26');
    client.send(
      '[{"jsonrpc":"2.0","id":"a","method":"ping"},{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}]',
    );
    await eventually(() => {
      const answers = client.messages().flat();
      return answers.some((one) => one.id === 'a') && answers.some((one) => one.id === 'b');
    });
  });

  it('10 MB in both directions', async () => {
    const server = await startBackend();
    cleanUp.push(() => server.stop());
    server.on['tools/call'] = ({ message, result }) =>
      result({
        content: [{ type: 'text', text: (message.params?.['arguments'] as { message: string }).message }],
      });
    const client = startConnect(`http://127.0.0.1:${server.port}/mcp`);
    await client.open();
    const big = 'ä\n"'.repeat(2_500_000);
    expect(textOf(await client.ask('tools/call', { name: 'x', arguments: { message: big } }))).toBe(big);
  });
});

describe('before a server of both eras on the newer SDK', () => {
  const own = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'stdio', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
  };

  it('the stateless era, its refusals included', async () => {
    const fixture = await startFixture();
    cleanUp.push(() => fixture.stop());
    const front = await router();
    front.register(registered('fixture', [['f', fixture.port]]));
    for (const url of [fixture.url, `${front.url}/services/fixture/mcp`]) {
      const client = startConnect(url);
      const discovered = await eventually(
        async () => (await client.ask('server/discover', { _meta: own })).result,
      );
      expect(discovered['supportedVersions']).toContain('2026-07-28');
      const listed = await client.ask('tools/list', { _meta: own });
      expect(namesOf(listed)).toContain('test_simple_text');
      expect(
        textOf(await client.ask('tools/call', { name: 'test_simple_text', arguments: {}, _meta: own })),
      ).not.toBe('');
      const unknown = await client.ask('no/such/method', { _meta: own });
      expect(unknown.error?.code).toBe(-32601);
      const version = { ...own, 'io.modelcontextprotocol/protocolVersion': '1900-01-01' };
      expect((await client.ask('tools/list', { _meta: version })).error?.code).toBe(-32022);
    }
  });
});
