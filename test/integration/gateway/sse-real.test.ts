import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { overSse, registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startSdkSseServer, type SdkSseServer } from '../../support/sdk-sse-server.ts';
import { startEverything, startEverythingSse, type RunningServer } from '../../support/servers.ts';

const clients: Client[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

async function connect(router: HandRouter, capabilities = {}): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' }, { capabilities });
  clients.push(client);
  await client.connect(new StreamableHTTPClientTransport(new URL(`${router.url}/mcp`)));
  return client;
}

async function listed(client: Client, prefix: string): Promise<string[]> {
  const { tools } = await client.listTools();
  return tools.map(({ name }) => name).filter((name) => name.startsWith(prefix));
}

const everythingSse = (id: string, server: RunningServer, service = 'old') =>
  overSse(service, id, server.port);

describe('server-everything over HTTP+SSE', () => {
  let router: HandRouter;
  let old: RunningServer;
  let modern: RunningServer;
  beforeAll(async () => {
    [router, old, modern] = await Promise.all([startHandRouter(), startEverythingSse(), startEverything()]);
    router.register(registered('old', [everythingSse('a', old)]), registered('modern', [['b', modern.port]]));
    const probe = await connect(router);
    await eventually(async () => {
      const [a, b] = [await listed(probe, 'old__'), await listed(probe, 'modern__')];
      return a.length > 0 && b.length > 0;
    });
  });
  afterAll(async () => {
    await router.stop();
    await Promise.all([old.stop(), modern.stop()]);
  });

  it('offers what it offers over Streamable HTTP', async () => {
    const client = await connect(router);
    const names = async (prefix: string): Promise<string[]> =>
      (await listed(client, prefix)).map((name) => name.slice(prefix.length));
    expect(await names('old__')).toEqual(await names('modern__'));
    const prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
    expect(prompts).toContain('old__args-prompt');
    expect((await client.listResources()).resources.length).toBeGreaterThan(0);
  });

  it('calls, prompts, resources and completion', async () => {
    const client = await connect(router);
    const echo = await client.callTool({ name: 'old__echo', arguments: { message: 'hi' } });
    expect(echo.content).toEqual([{ type: 'text', text: 'Echo: hi' }]);
    const prompt = await client.getPrompt({ name: 'old__args-prompt', arguments: { city: 'Bergen' } });
    expect(JSON.stringify(prompt.messages)).toContain('Bergen');
    const uri = 'mcp-router://old/demo://resource/dynamic/text/3';
    const uris = (await client.listResourceTemplates()).resourceTemplates.map(
      (template) => template.uriTemplate,
    );
    const prefix = uris.some((each) => each.startsWith('mcp-router://old/')) ? 'mcp-router://old/' : '';
    const read = await client.readResource({ uri: `${prefix}demo://resource/dynamic/text/3` });
    expect(read.contents[0]?.uri).toBe(prefix === '' ? uri.slice('mcp-router://old/'.length) : uri);
    const completed = await client.complete({
      ref: { type: 'ref/prompt', name: 'old__completable-prompt' },
      argument: { name: 'department', value: 'E' },
    });
    expect(completed.completion.values).toContain('Engineering');
    const structured = await client.callTool({
      name: 'old__get-structured-content',
      arguments: { location: 'Chicago' },
    });
    expect(structured.structuredContent).toMatchObject({ temperature: expect.any(Number) as number });
  });

  it('progress comes to the call that wants it, also while another one runs', async () => {
    const client = await connect(router);
    const run = async (duration: number, steps: number): Promise<number[]> => {
      const seen: number[] = [];
      await client.callTool(
        { name: 'old__trigger-long-running-operation', arguments: { duration, steps } },
        undefined,
        { onprogress: ({ progress }) => void seen.push(progress) },
      );
      return seen;
    };
    expect(await Promise.all([run(0.6, 3), run(0.8, 2)])).toEqual([
      [1, 2, 3],
      [1, 2],
    ]);
  });

  it('sampling, elicitation and roots come to the client whose call asks for them', async () => {
    const asked: string[] = [];
    const open = async (who: string): Promise<Client> => {
      const client = await connect(router, {
        sampling: {},
        elicitation: {},
        roots: { listChanged: true },
      });
      client.setRequestHandler(CreateMessageRequestSchema, () => {
        asked.push(`${who} sampling`);
        const content = { type: 'text' as const, text: `words of ${who}` };
        return { model: 'm', role: 'assistant' as const, content };
      });
      client.setRequestHandler(ElicitRequestSchema, () => {
        asked.push(`${who} elicitation`);
        return { action: 'accept' as const, content: { name: who } };
      });
      client.setRequestHandler(ListRootsRequestSchema, () => {
        asked.push(`${who} roots`);
        return { roots: [{ uri: `file:///home/${who}` }] };
      });
      return client;
    };
    const [ada, bob] = await Promise.all([open('ada'), open('bob')]);
    const sample = (client: Client) =>
      client.callTool({ name: 'old__trigger-sampling-request', arguments: { prompt: 'p', maxTokens: 5 } });
    const [forAda, forBob] = await Promise.all([sample(ada), sample(bob)]);
    expect(JSON.stringify(forAda.content)).toContain('words of ada');
    expect(JSON.stringify(forBob.content)).toContain('words of bob');
    await ada.callTool({ name: 'old__trigger-elicitation-request', arguments: {} });
    expect(asked.filter((what) => what.endsWith('elicitation'))).toEqual(['ada elicitation']);
    const roots = await bob.callTool({ name: 'old__get-roots-list', arguments: {} });
    expect(JSON.stringify(roots.content)).toContain('/home/bob');
    const before = asked.filter((what) => what === 'bob roots').length;
    await bob.sendRootsListChanged();
    await eventually(() => asked.filter((what) => what === 'bob roots').length > before);
  });

  it('log messages and resource updates reach the client between its calls', async () => {
    const client = await connect(router);
    const loggers: (string | undefined)[] = [];
    const updated: string[] = [];
    client.setNotificationHandler(
      LoggingMessageNotificationSchema,
      ({ params }) => void loggers.push(params.logger),
    );
    client.setNotificationHandler(
      ResourceUpdatedNotificationSchema,
      ({ params }) => void updated.push(params.uri),
    );
    await client.setLoggingLevel('debug');
    const { resourceTemplates } = await client.listResourceTemplates();
    const renamed = resourceTemplates.some((each) => each.uriTemplate.startsWith('mcp-router://old/'));
    const uri = `${renamed ? 'mcp-router://old/' : ''}demo://resource/dynamic/text/1`;
    await client.subscribeResource({ uri });
    await client.callTool({ name: 'old__toggle-simulated-logging', arguments: {} });
    await client.callTool({ name: 'old__toggle-subscriber-updates', arguments: {} });
    await eventually(() => loggers.some((logger) => logger === 'old' || logger?.startsWith('old/')), {
      withinMs: 20_000,
    });
    await eventually(() => updated.includes(uri), { withinMs: 20_000 });
  });
});

describe('a server-everything that is killed', () => {
  let router: HandRouter;
  const servers: RunningServer[] = [];
  beforeAll(async () => {
    router = await startHandRouter({ connectTimeout: 500 });
  });
  afterAll(async () => {
    await router.stop();
    await Promise.all(servers.map((server) => server.stop()));
  });
  const start = async (port?: number): Promise<RunningServer> => {
    const server = await startEverythingSse(port);
    servers.push(server);
    return server;
  };

  it('and started again is used again in a new session, with log level and subscriptions as before', async () => {
    const first = await start();
    router.register(registered('solo', [everythingSse('a', first, 'solo')]));
    const client = await connect(router);
    await eventually(async () => (await listed(client, 'solo__')).length > 0);
    const updated: string[] = [];
    const levels: string[] = [];
    client.setNotificationHandler(
      ResourceUpdatedNotificationSchema,
      ({ params }) => void updated.push(params.uri),
    );
    client.setNotificationHandler(
      LoggingMessageNotificationSchema,
      ({ params }) => void levels.push(params.level),
    );
    await client.setLoggingLevel('debug');
    const uri = 'demo://resource/dynamic/text/1';
    await client.subscribeResource({ uri });
    await first.stop('SIGKILL');
    await start(first.port);
    // The router may have found out in between that nobody listens.
    await eventually(async () => {
      const echo = await client.callTool({ name: 'solo__echo', arguments: { message: 'again' } });
      expect(echo.content).toEqual([{ type: 'text', text: 'Echo: again' }]);
      return true;
    });
    await client.callTool({ name: 'solo__toggle-subscriber-updates', arguments: {} });
    await client.callTool({ name: 'solo__toggle-simulated-logging', arguments: {} });
    await eventually(() => updated.includes(uri), { withinMs: 20_000 });
    await eventually(() => levels.length > 0, { withinMs: 20_000 });
  });

  it('while the other of two lives: no call fails', async () => {
    const [one, two] = await Promise.all([start(), start()]);
    router.register(registered('pair', [everythingSse('a', one, 'pair'), everythingSse('b', two, 'pair')]));
    const callers = await Promise.all(Array.from({ length: 8 }, () => connect(router)));
    await eventually(async () => (await listed(callers[0]!, 'pair__')).length > 0);
    const echo = async (client: Client, message: string): Promise<unknown> =>
      (await client.callTool({ name: 'pair__echo', arguments: { message } })).content;
    const round = (n: number): Promise<unknown[]> =>
      Promise.all(callers.map((client, at) => echo(client, `${n}-${at}`)));
    const said = (n: number): unknown[] =>
      callers.map((_, at) => [{ type: 'text', text: `Echo: ${n}-${at}` }]);
    // Listed as soon as one of them is known; the other must be, too, to take over.
    await eventually(async () => {
      const { services } = (await (await fetch(`${router.adminUrl}/api/v1/services`)).json()) as {
        services: { healthy: number }[];
      };
      return services[0]?.healthy === 2;
    });
    expect(await round(1)).toEqual(said(1));
    await one.stop('SIGKILL');
    for (let n = 2; n < 6; n++) expect(await round(n)).toEqual(said(n));
  });
});

describe("a server on the official SDK's SSEServerTransport", () => {
  let router: HandRouter;
  let server: SdkSseServer;
  beforeAll(async () => {
    [router, server] = await Promise.all([startHandRouter(), startSdkSseServer()]);
    router.register(registered('sdk', [overSse('sdk', 'a', server.port, { path: '/events' })]));
    const probe = await connect(router);
    await eventually(async () => (await listed(probe, 'sdk__')).length > 0);
  });
  afterAll(async () => {
    await router.stop();
    await server.stop();
  });

  it('answers 32 calls at once over one stream, each its own', async () => {
    const client = await connect(router);
    const call = (n: number) =>
      client.callTool({ name: 'sdk__after', arguments: { ms: (n * 37) % 100, text: `text ${n}` } });
    await call(0);
    const before = server.opened;
    const answers = await Promise.all(Array.from({ length: 32 }, (_, n) => call(n)));
    expect(answers.map(({ content }) => content)).toEqual(
      answers.map((_, n) => [{ type: 'text', text: `text ${n}` }]),
    );
    expect(server.opened).toBe(before);
  });

  it('hears of a cancellation, and the session goes on', async () => {
    const client = await connect(router);
    const controller = new AbortController();
    const waiting = client.callTool({ name: 'sdk__wait', arguments: {} }, undefined, {
      signal: controller.signal,
    });
    await client.callTool({ name: 'sdk__after', arguments: { ms: 0, text: 'beside it' } });
    controller.abort('enough');
    await expect(waiting).rejects.toThrow('enough');
    await eventually(() => server.cancelled === 1);
    const after = await client.callTool({ name: 'sdk__after', arguments: { ms: 0, text: 'after it' } });
    expect(after.content).toEqual([{ type: 'text', text: 'after it' }]);
  });

  it('is listed anew when it announces a change', async () => {
    const client = await connect(router);
    server.addTool('extra');
    await eventually(async () => (await listed(client, 'sdk__')).includes('sdk__extra'));
  });

  it('has one session for the probe and one for each client, and none after they have gone', async () => {
    const before = server.sessions.size;
    const client = new Client({ name: 'test', version: '1' });
    const transport = new StreamableHTTPClientTransport(new URL(`${router.url}/mcp`));
    await client.connect(transport);
    await client.callTool({ name: 'sdk__after', arguments: { ms: 0, text: 'x' } });
    expect(server.sessions.size).toBe(before + 1);
    await transport.terminateSession();
    await client.close();
    await eventually(() => server.sessions.size === before);
    router.register();
    await eventually(() => server.sessions.size === 0);
  });
});
