import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { simpleTool, startBackend, type Backend } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { at, registered, startHandRouter, type HandRouter } from '../../support/router.ts';

let router: HandRouter;
let backend: Backend;
const clients: Client[] = [];

beforeEach(async () => {
  [router, backend] = await Promise.all([startHandRouter(), startBackend()]);
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await router.stop();
  await backend.stop();
});

async function connect(path = '/mcp'): Promise<{ client: Client; changes: () => number }> {
  const client = new Client({ name: 'test', version: '1' });
  clients.push(client);
  let changes = 0;
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changes++);
  await client.connect(new StreamableHTTPClientTransport(new URL(`${router.url}${path}`)));
  return { client, changes: () => changes };
}

const names = async (client: Client): Promise<string[]> =>
  (await client.listTools()).tools.map((tool) => tool.name);

describe('tools/list_changed', () => {
  it('tells every connected client when a server is deployed, and again when it leaves', async () => {
    const both = await Promise.all([connect(), connect()]);
    // The client opens its stream after initialize; the first change must not come before it.
    await eventually(async () => (await openStreams()) === 2);
    router.register(registered('one', [['a', backend.port]]));
    for (const { client, changes } of both) {
      await eventually(() => changes() === 1);
      expect(await names(client)).toEqual(['one__echo', 'one__write']);
    }
    router.register();
    for (const { client, changes } of both) {
      await eventually(() => changes() === 2);
      expect(await names(client)).toEqual([]);
    }
  });

  it('says nothing where nothing changed for the client: checks flip, another instance comes, a list is the same', async () => {
    const { changes } = await connect();
    const other = await startBackend();
    try {
      await eventually(async () => (await openStreams()) === 1);
      router.register(registered('one', [['a', backend.port]]));
      await eventually(() => changes() === 1);
      router.register(registered('one', [at('one', 'a', backend.port, { state: 'warning' })]));
      router.register(
        registered('one', [
          ['a', backend.port],
          ['b', other.port],
        ]),
      );
      backend.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
      await eventually(async () => (await healthy('one')) === 2);
      // The next real change is the second one that the client hears of.
      router.register(registered('one', [['a', backend.port]]), registered('two', [['c', other.port]]));
      await eventually(() => changes() >= 2);
      expect(changes()).toBe(2);
    } finally {
      await other.stop();
    }
  });

  it('coalesces a storm: a service that flaps is told of once, or not at all if it is back', async () => {
    const { changes } = await connect();
    await eventually(async () => (await openStreams()) === 1);
    router.register(registered('one', [['a', backend.port]]));
    await eventually(() => changes() === 1);
    for (let n = 0; n < 10; n++) {
      backend.tools = [simpleTool('echo'), simpleTool(`v${n}`)];
      router.register(registered('one', [at('one', 'a', backend.port, { registration: `r${n}` })]));
    }
    const { client } = await connect();
    await eventually(async () => (await names(client)).includes('one__v9'));
    await eventually(() => changes() >= 2);
    expect(changes()).toBeLessThanOrEqual(3);
  });

  it('at /services/<service>/mcp speaks only of that service', async () => {
    const other = await startBackend();
    try {
      const all = await connect();
      await eventually(async () => (await openStreams()) === 1);
      router.register(registered('one', [['a', backend.port]]));
      await eventually(() => all.changes() === 1);
      const { client, changes } = await connect('/services/one/mcp');
      await eventually(async () => (await openStreams()) === 2);
      router.register(registered('one', [['a', backend.port]]), registered('two', [['b', other.port]]));
      await eventually(() => all.changes() === 2);
      backend.tools = [simpleTool('new')];
      backend.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
      await eventually(() => changes() > 0);
      expect(changes()).toBe(1);
      expect(await names(client)).toEqual(['new']);
    } finally {
      await other.stop();
    }
  });
});

async function healthy(service: string): Promise<number | undefined> {
  const answer = await fetch(`${router.adminUrl}/api/v1/services`);
  const { services } = (await answer.json()) as { services: { name: string; healthy: number }[] };
  return services.find((entry) => entry.name === service)?.healthy;
}

async function openStreams(): Promise<number> {
  const answer = await fetch(`${router.adminUrl}/api/v1/sessions`);
  const { sessions } = (await answer.json()) as { sessions: { stream: boolean }[] };
  return sessions.filter((session) => session.stream).length;
}
