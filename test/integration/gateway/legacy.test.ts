import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startBackend, type Backend } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { RawSession, type Message } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startEverything, type RunningServer } from '../../support/servers.ts';
import { listenSse } from '../../support/sse-listener.ts';

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

describe('two real servers that have the same prompts, resources and templates', () => {
  let router: HandRouter;
  let servers: RunningServer[];
  beforeAll(async () => {
    router = await startHandRouter();
    servers = await Promise.all([startEverything(), startEverything()]);
    router.register(
      registered('one', [['a', servers[0]!.port]]),
      registered('two', [['b', servers[1]!.port]]),
    );
    const probe = await connect(router);
    await eventually(async () => {
      const names = (await probe.listTools()).tools.map((tool) => tool.name);
      return names.includes('one__echo') && names.includes('two__echo');
    });
  });
  afterAll(async () => {
    await router.stop();
    await Promise.all(servers.map((server) => server.stop()));
  });

  it('says what it can do, with the instructions of both under their names', async () => {
    const client = await connect(router);
    expect(client.getServerCapabilities()).toMatchObject({
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      completions: {},
      logging: {},
      tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } },
    });
    const instructions = client.getInstructions() ?? '';
    expect(instructions.indexOf('## one')).toBe(0);
    expect(instructions.indexOf('## two')).toBeGreaterThan(0);
  });

  it('prompts: listed under namespaced names, got, and completed', async () => {
    const client = await connect(router);
    const names = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
    expect(names).toEqual(expect.arrayContaining(['one__args-prompt', 'two__args-prompt']));
    const got = await client.getPrompt({ name: 'two__args-prompt', arguments: { city: 'Bergen' } });
    expect(JSON.stringify(got.messages)).toContain('Bergen');
    const completed = await client.complete({
      ref: { type: 'ref/prompt', name: 'one__completable-prompt' },
      argument: { name: 'department', value: 'E' },
    });
    expect(completed.completion.values).toContain('Engineering');
    await expect(client.getPrompt({ name: 'args-prompt' })).rejects.toMatchObject({ code: -32602 });
  });

  it('resources: the first keeps its URIs, the second has namespaced ones, and both are read', async () => {
    const client = await connect(router);
    const uris = (await client.listResources()).resources.map((resource) => resource.uri);
    const own = uris.find((uri) => uri.startsWith('demo://'))!;
    const other = `mcp-router://two/${own}`;
    expect(uris).toContain(other);
    for (const uri of [own, other]) {
      const { contents } = await client.readResource({ uri });
      expect(contents[0]?.uri).toBe(uri);
    }
    const templates = (await client.listResourceTemplates()).resourceTemplates.map(
      (template) => template.uriTemplate,
    );
    expect(templates).toEqual(
      expect.arrayContaining([
        'demo://resource/dynamic/text/{resourceId}',
        'mcp-router://two/demo://resource/dynamic/text/{resourceId}',
      ]),
    );
    for (const prefix of ['', 'mcp-router://two/']) {
      const { contents } = await client.readResource({ uri: `${prefix}demo://resource/dynamic/text/3` });
      expect(contents[0]?.uri).toBe(`${prefix}demo://resource/dynamic/text/3`);
    }
    const problems = (await (await fetch(`${router.adminUrl}/api/v1/services/two`)).json()) as {
      problems: { code: string }[];
    };
    expect(problems.problems.map((problem) => problem.code)).toContain('URI_CONFLICT');
  });

  it('links in the results of the second lead to the second', async () => {
    const client = await connect(router);
    for (const [service, prefix] of [
      ['one', ''],
      ['two', 'mcp-router://two/'],
    ] as const) {
      const { content } = await client.callTool({
        name: `${service}__get-resource-links`,
        arguments: { count: 2 },
      });
      const links = (content as { type: string; uri?: string }[]).filter(
        (part) => part.type === 'resource_link',
      );
      expect(links.length).toBeGreaterThan(0);
      for (const link of links) {
        expect(link.uri).toMatch(new RegExp(`^${prefix}demo://`));
        expect((await client.readResource({ uri: link.uri! })).contents[0]?.uri).toBe(link.uri);
      }
      const referenced = await client.callTool({
        name: `${service}__get-resource-reference`,
        arguments: { resourceType: 'Text', resourceId: 1 },
      });
      const embedded = (referenced.content as { type: string; resource?: { uri: string } }[]).find(
        (part) => part.type === 'resource',
      );
      expect(embedded?.resource?.uri).toMatch(new RegExp(`^${prefix}demo://`));
    }
  });

  it('completion of a resource template goes to its owner', async () => {
    const client = await connect(router);
    for (const prefix of ['', 'mcp-router://two/']) {
      const completed = await client.complete({
        ref: { type: 'ref/resource', uri: `${prefix}demo://resource/dynamic/text/{resourceId}` },
        argument: { name: 'resourceId', value: '1' },
      });
      expect(completed.completion).toBeDefined();
    }
  });

  it('a resource that nobody has is not found', async () => {
    const client = await connect(router);
    await expect(client.readResource({ uri: 'nobody://has/this' })).rejects.toMatchObject({
      code: expect.any(Number) as number,
    });
  });

  it('structured content, annotations, images and _meta pass as they are', async () => {
    const client = await connect(router);
    const structured = await client.callTool({
      name: 'one__get-structured-content',
      arguments: { location: 'Chicago' },
    });
    expect(structured.structuredContent).toMatchObject({ temperature: expect.any(Number) as number });
    const image = await client.callTool({ name: 'one__get-tiny-image', arguments: {} });
    expect((image.content as { type: string }[]).some((part) => part.type === 'image')).toBe(true);
    const annotated = await client.callTool({
      name: 'one__get-annotated-message',
      arguments: { messageType: 'error', includeImage: false },
    });
    expect((annotated.content as { annotations?: unknown }[])[0]?.annotations).toBeDefined();
  });

  it('sampling, elicitation and roots come to the client whose call asks for them', async () => {
    const capabilities = { sampling: {}, elicitation: {}, roots: { listChanged: true } };
    const asked: string[] = [];
    const answer = (client: Client, who: string): void => {
      client.setRequestHandler(CreateMessageRequestSchema, () => {
        asked.push(`${who} sampling`);
        return {
          model: 'm',
          role: 'assistant' as const,
          content: { type: 'text' as const, text: `words of ${who}` },
        };
      });
      client.setRequestHandler(ElicitRequestSchema, () => {
        asked.push(`${who} elicitation`);
        return { action: 'accept' as const, content: { name: who } };
      });
      client.setRequestHandler(ListRootsRequestSchema, () => {
        asked.push(`${who} roots`);
        return { roots: [{ uri: `file:///home/${who}` }] };
      });
    };
    const [ada, bob] = await Promise.all([connect(router, capabilities), connect(router, capabilities)]);
    answer(ada, 'ada');
    answer(bob, 'bob');
    const sample = (client: Client, service: string) =>
      client.callTool({
        name: `${service}__trigger-sampling-request`,
        arguments: { prompt: 'p', maxTokens: 5 },
      });
    const [forAda, forBob] = await Promise.all([sample(ada, 'one'), sample(bob, 'one')]);
    expect(JSON.stringify(forAda.content)).toContain('words of ada');
    expect(JSON.stringify(forBob.content)).toContain('words of bob');
    await Promise.all([
      ada.callTool({ name: 'one__trigger-elicitation-request', arguments: {} }),
      ada.callTool({ name: 'two__trigger-elicitation-request', arguments: {} }),
    ]);
    expect(asked.filter((what) => what === 'ada elicitation')).toHaveLength(2);
    expect(asked.filter((what) => what === 'bob elicitation')).toHaveLength(0);
    const roots = await bob.callTool({ name: 'two__get-roots-list', arguments: {} });
    expect(JSON.stringify(roots.content)).toContain('/home/bob');
    await bob.sendRootsListChanged();
    await eventually(() => asked.filter((what) => what === 'bob roots').length >= 2);
  });

  it('log messages say which server speaks, at the level that was set, also for servers used later', async () => {
    const client = await connect(router);
    const loggers: (string | undefined)[] = [];
    client.setNotificationHandler(
      LoggingMessageNotificationSchema,
      ({ params }) => void loggers.push(params.logger),
    );
    await client.setLoggingLevel('debug');
    await client.callTool({ name: 'two__toggle-simulated-logging', arguments: {} });
    await eventually(() => loggers.some((logger) => logger === 'two' || logger?.startsWith('two/')), {
      withinMs: 15_000,
    });
    await expect(
      client.request({ method: 'logging/setLevel', params: { level: 'loud' } }, {} as never),
    ).rejects.toMatchObject({ code: -32602 });
  });

  it('progress of a long operation arrives', async () => {
    const client = await connect(router);
    const progress: number[] = [];
    await client.callTool(
      { name: 'one__trigger-long-running-operation', arguments: { duration: 0.6, steps: 3 } },
      undefined,
      {
        onprogress: (update) => void progress.push(update.progress),
      },
    );
    expect(progress).toEqual([1, 2, 3]);
  });

  it('updates of subscribed resources arrive under the URI that was subscribed', async () => {
    const client = await connect(router);
    const updated: string[] = [];
    client.setNotificationHandler(
      ResourceUpdatedNotificationSchema,
      ({ params }) => void updated.push(params.uri),
    );
    const uri = 'mcp-router://two/demo://resource/dynamic/text/1';
    await client.subscribeResource({ uri });
    await client.callTool({ name: 'two__toggle-subscriber-updates', arguments: {} });
    await eventually(() => updated.includes(uri), { withinMs: 20_000 });
    await client.unsubscribeResource({ uri });
  });
});

describe('on the wire', () => {
  let router: HandRouter;
  let one: Backend;
  let two: Backend;
  beforeAll(async () => {
    const capabilities = {
      tools: {},
      prompts: {},
      resources: { subscribe: true },
      logging: {},
      tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } },
      extensions: { 'com.example/x': { a: 1 } },
    };
    router = await startHandRouter();
    [one, two] = await Promise.all([startBackend({ capabilities }), startBackend({ capabilities })]);
    for (const [name, backend] of [
      ['one', one],
      ['two', two],
    ] as const) {
      backend.on['resources/list'] = ({ result }) =>
        result({ resources: [{ uri: `mem://${name}/fixed`, name: 'fixed' }] });
      backend.on['resources/templates/list'] = ({ result }) =>
        result({ resourceTemplates: [{ uriTemplate: `mem://${name}/{id}`, name: 'any' }] });
      backend.on['prompts/list'] = ({ result }) => result({ prompts: [{ name: 'greet' }] });
    }
    router.register(registered('one', [['a', one.port]]), registered('two', [['b', two.port]]));
    const session = await RawSession.open(`${router.url}/mcp`);
    await eventually(async () => (await session.toolNames()).length === 4);
  });
  afterAll(async () => {
    await router.stop();
    await Promise.all([one.stop(), two.stop()]);
  });
  const open = (capabilities = {}) => RawSession.open(`${router.url}/mcp`, capabilities);

  it('extensions are advertised both ways, and a method of one goes to whose name or URI it names', async () => {
    const session = await open({ extensions: { 'com.example/y': {} } });
    expect(session.initialized.result?.['capabilities']).toMatchObject({
      extensions: { 'com.example/x': { a: 1 } },
    });
    two.on['x/run'] = ({ result, message }) => result({ params: message.params });
    expect((await session.ask('x/run', { name: 'two__echo', extra: 1 })).result).toEqual({
      params: { name: 'echo', extra: 1 },
    });
    expect((await session.ask('x/run', { uri: 'mem://two/fixed' })).result).toEqual({
      params: { uri: 'mem://two/fixed' },
    });
    expect((await session.ask('x/run', { other: 1 })).error?.code).toBe(-32601);
    const introduced = two.received.findLast((message) => message.method === 'initialize');
    expect(introduced?.params?.['capabilities']).toEqual({ extensions: { 'com.example/y': {} } });
  });

  it('a resource is read from who lists it, whose template matches, or who turns out to have it', async () => {
    const session = await open();
    const readBy = async (uri: string): Promise<unknown> =>
      (await session.ask('resources/read', { uri })).result?.['by'];
    one.on['resources/read'] = ({ result }) => result({ by: 'one' });
    two.on['resources/read'] = ({ result }) => result({ by: 'two' });
    expect(await readBy('mem://two/fixed')).toBe('two');
    expect(await readBy('mem://one/anything')).toBe('one');
    one.on['resources/read'] = ({ message, json }) =>
      json(
        200,
        JSON.stringify({
          jsonrpc: '2.0',
          id: message.id,
          error: { code: -32002, message: 'Resource not found' },
        }),
      );
    expect(await readBy('elsewhere://x')).toBe('two');
    two.on['resources/read'] = one.on['resources/read'];
    expect((await session.ask('resources/read', { uri: 'elsewhere://x' })).error).toEqual({
      code: -32002,
      message: 'Resource not found',
    });
  });

  it('log level and subscriptions are set again after a backend lost the session', async () => {
    const session = await open();
    await session.call('one__echo');
    await session.ask('logging/setLevel', { level: 'warning' });
    await session.ask('resources/subscribe', { uri: 'mem://one/fixed' });
    await eventually(() => one.count('logging/setLevel') === 1);
    one.sessions.clear();
    expect((await session.call('one__write')).result).toBeDefined();
    expect(
      one.received
        .filter((message) => message.method === 'logging/setLevel')
        .map((message) => message.params),
    ).toEqual([{ level: 'warning' }, { level: 'warning' }]);
    expect(
      one.received
        .filter((message) => message.method === 'resources/subscribe')
        .map((message) => message.params?.['uri']),
    ).toEqual(['mem://one/fixed', 'mem://one/fixed']);
    await session.ask('resources/unsubscribe', { uri: 'mem://one/fixed' });
    one.sessions.clear();
    await session.call('one__write');
    expect(one.count('resources/subscribe')).toBe(2);
  });

  it('requests and notifications on the stream of its own reach the client, ids apart, answers and progress come back', async () => {
    const session = await open({ sampling: {} });
    await session.call('one__echo');
    await session.call('two__echo');
    const stream = await listenSse(session.url, session.id);
    // Each backend asks with the same id, in its own session.
    await eventually(() => {
      one.notify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } });
      return stream.messages.some((message) => message.params?.['logger'] === 'one');
    });
    for (const backend of [one, two]) {
      backend.notify({
        jsonrpc: '2.0',
        id: 1,
        method: 'sampling/createMessage',
        params: { messages: [], _meta: { progressToken: 'p' } },
      });
    }
    const questions = await eventually(() => {
      const found = stream.messages.filter((message) => message.method === 'sampling/createMessage');
      // The probe's own session is asked as well, and answers for itself.
      return found.length === 2 && found;
    });
    expect(new Set(questions.map((question) => question.id)).size).toBe(2);
    const before = two.received.length;
    for (const { id, params } of questions) {
      const token = (params?.['_meta'] as { progressToken: unknown }).progressToken;
      await session.post({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken: token, progress: 1 },
      });
      await session.post({ jsonrpc: '2.0', id, result: { answered: id } });
    }
    await eventually(() =>
      two.received.slice(before).some((message) => message.id === 1 && message.result !== undefined),
    );
    const heard = two.received.slice(before);
    expect(heard.find((message) => message.method === 'notifications/progress')?.params).toEqual({
      progressToken: 'p',
      progress: 1,
    });
    one.notify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    const taken = await eventually(() =>
      stream.messages.find((message) => message.method === 'notifications/cancelled'),
    );
    expect(questions.map((question) => question.id)).toContain(taken.params?.['requestId']);
    stream.close();
  });

  it('a ping of a backend is answered by the router', async () => {
    const session = await open();
    one.on['tools/call'] = ({ message, stream }) => {
      const events = stream();
      events.send({ jsonrpc: '2.0', id: 'ping-1', method: 'ping' });
      one.on['response'] = ({ message: reply, response }) => {
        response.writeHead(202).end();
        events.send({ jsonrpc: '2.0', id: message.id, result: { content: [], reply } });
        events.end();
      };
    };
    const { result } = await session.call('one__echo');
    expect(result?.['reply']).toEqual({ jsonrpc: '2.0', id: 'ping-1', result: {} });
    delete one.on['tools/call'];
    delete one.on['response'];
  });

  it('an error that asks for a URL elicitation passes untouched', async () => {
    const session = await open();
    const error = {
      code: -32042,
      message: 'Consent needed',
      data: { elicitations: [{ mode: 'url', elicitationId: 'e', url: 'https://x', message: 'm' }] },
    };
    one.on['tools/call'] = ({ message, json }) =>
      json(200, JSON.stringify({ jsonrpc: '2.0', id: message.id, error }));
    expect((await session.call('one__echo')).error).toEqual(error);
    delete one.on['tools/call'];
  });

  it('tasks of two servers with the same id are told apart, and each is asked for its own', async () => {
    const session = await open();
    const get = (backend: Backend, name: string): void => {
      const task = { taskId: 't1', status: 'working', createdAt: 'now', lastUpdatedAt: 'now', ttl: null };
      backend.on['tools/call'] = ({ result }) => result({ task });
      backend.on['tasks/get'] = ({ message, result }) =>
        result({ ...task, by: name, asked: message.params?.['taskId'] });
      backend.on['tasks/result'] = ({ result }) =>
        result({
          content: [{ type: 'text', text: name }],
          _meta: { 'io.modelcontextprotocol/related-task': { taskId: 't1' } },
        });
      backend.on['tasks/cancel'] = ({ result }) => result({ ...task, status: 'cancelled' });
      backend.on['tasks/list'] = ({ result }) => result({ tasks: [task] });
    };
    get(one, 'one');
    get(two, 'two');
    const begin = async (tool: string): Promise<string> => {
      const { result } = await session.ask('tools/call', { name: tool, arguments: {}, task: { ttl: 1000 } });
      return (result?.['task'] as { taskId: string }).taskId;
    };
    const [first, second] = [await begin('one__echo'), await begin('two__echo')];
    expect(first).not.toBe(second);
    for (const [id, by] of [
      [first, 'one'],
      [second, 'two'],
    ] as const) {
      expect((await session.ask('tasks/get', { taskId: id })).result).toMatchObject({
        taskId: id,
        by,
        asked: 't1',
      });
      const finished = await session.ask('tasks/result', { taskId: id });
      expect(finished.result).toMatchObject({
        content: [{ text: by }],
        _meta: { 'io.modelcontextprotocol/related-task': { taskId: id } },
      });
      expect((await session.ask('tasks/cancel', { taskId: id })).result).toMatchObject({
        taskId: id,
        status: 'cancelled',
      });
    }
    const listed = (await session.ask('tasks/list')).result?.['tasks'] as { taskId: string }[];
    expect(listed.map((task) => task.taskId).sort()).toEqual([first, second].sort());
    expect((await session.ask('tasks/get', { taskId: 't1' })).error?.code).toBe(-32602);
    for (const backend of [one, two]) delete backend.on['tools/call'];
  });

  it('resources/list_changed comes when a list of resources has really changed', async () => {
    const client = await connect(router);
    let changes = 0;
    client.setNotificationHandler(ResourceListChangedNotificationSchema, () => void changes++);
    await eventually(async () =>
      (
        (await (await fetch(`${router.adminUrl}/api/v1/sessions`)).json()) as {
          sessions: { client: { name: string }; stream: boolean }[];
        }
      ).sessions.some((session) => session.client.name === 'test' && session.stream),
    );
    one.on['resources/list'] = ({ result }) => result({ resources: [{ uri: 'mem://one/new', name: 'new' }] });
    one.notify({ jsonrpc: '2.0', method: 'notifications/resources/list_changed' });
    await eventually(() => changes === 1);
    expect((await client.listResources()).resources.map((resource) => resource.uri)).toContain(
      'mem://one/new',
    );
  });
});

describe('an app', () => {
  it('opens under its own ui:// address, calls its tools by their bare names, and app-only tools pass', async () => {
    const router = await startHandRouter();
    const ui = (uri: string, visibility?: string[]) => ({
      _meta: { ui: { resourceUri: uri, ...(visibility && { visibility }) }, 'ui/resourceUri': uri },
    });
    const tools = [
      { name: 'show_chart', inputSchema: { type: 'object' }, ...ui('ui://charts/main.html') },
      { name: 'refresh', inputSchema: { type: 'object' }, ...ui('ui://charts/main.html', ['app']) },
    ];
    const [charts, copy, plain] = await Promise.all([
      startBackend({
        tools,
        capabilities: { tools: {}, resources: {}, extensions: { 'io.modelcontextprotocol/ui': {} } },
      }),
      startBackend({ tools, capabilities: { tools: {}, resources: {} } }),
      startBackend(),
    ]);
    for (const backend of [charts, copy]) {
      backend.on['resources/list'] = ({ result }) =>
        result({
          resources: [{ uri: 'ui://charts/main.html', name: 'page', mimeType: 'text/html;profile=mcp-app' }],
        });
      backend.on['resources/read'] = ({ message, result }) =>
        result({
          contents: [
            {
              uri: message.params?.['uri'],
              mimeType: 'text/html;profile=mcp-app',
              text: '<html>',
              _meta: { ui: { csp: { connectDomains: ['https://x'] } } },
            },
          ],
        });
    }
    try {
      router.register(registered('charts', [['a', charts.port]]), registered('plain', [['c', plain.port]]));
      await eventually(async () => {
        const opened = await RawSession.open(`${router.url}/mcp`);
        return (await opened.toolNames()).length === 4;
      });
      // A session opened just before the table changed lists all, and was introduced to less.
      const session = await RawSession.open(`${router.url}/mcp`);
      expect(session.initialized.result?.['capabilities']).toMatchObject({
        extensions: { 'io.modelcontextprotocol/ui': {} },
      });
      const listed = (await session.ask('tools/list')).result?.['tools'] as {
        name: string;
        _meta?: unknown;
      }[];
      expect(listed.find((tool) => tool.name === 'charts__show_chart')?._meta).toEqual(tools[0]?._meta);
      const page = await session.ask('resources/read', { uri: 'ui://charts/main.html' });
      expect((page.result?.['contents'] as { _meta: unknown }[])[0]?._meta).toEqual({
        ui: { csp: { connectDomains: ['https://x'] } },
      });
      expect((await session.call('refresh')).result).toBeDefined();
      // A bare name of a service without an app stays unknown.
      expect((await session.call('echo')).error?.message).toBe('Unknown tool: echo');

      // Another service with the same app: its page gets an address of its own, and bare names are ambiguous.
      router.register(registered('charts', [['a', charts.port]]), registered('copy', [['b', copy.port]]));
      const both = await eventually(async () => {
        const opened = await RawSession.open(`${router.url}/mcp`);
        return (await opened.toolNames()).includes('copy__refresh') && opened;
      });
      const metas = (
        (await both.ask('tools/list')).result?.['tools'] as {
          name: string;
          _meta: { ui: { resourceUri: string }; 'ui/resourceUri': string };
        }[]
      )
        .filter((tool) => tool.name.endsWith('show_chart'))
        .map((tool) => [tool._meta.ui.resourceUri, tool._meta['ui/resourceUri']]);
      expect(metas).toEqual([
        ['ui://charts/main.html', 'ui://charts/main.html'],
        ['ui://copy/charts/main.html', 'ui://copy/charts/main.html'],
      ]);
      const copied = await both.ask('resources/read', { uri: 'ui://copy/charts/main.html' });
      expect((copied.result?.['contents'] as { uri: string }[])[0]?.uri).toBe('ui://copy/charts/main.html');
      expect((await both.call('refresh')).error?.message).toBe('Unknown tool: refresh');
      const alone = await RawSession.open(`${router.url}/services/copy/mcp`);
      expect((await alone.call('refresh')).result).toBeDefined();
      expect(
        (
          (await alone.ask('resources/read', { uri: 'ui://charts/main.html' })).result?.['contents'] as
            Message[] | undefined
        )?.length,
      ).toBe(1);
    } finally {
      await router.stop();
      await Promise.all([charts.stop(), copy.stop(), plain.stop()]);
    }
  });
});
