import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newApiKey } from '../../../src/policy/inbound/api-keys.ts';
import { simpleTool, startBackend, type Backend } from '../../support/backend.ts';
import { ask, bearer, inSession, only, openSession, stateless, type Caller } from '../../support/caller.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, type Answer } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startEverything, type RunningServer } from '../../support/servers.ts';

const keys = { ann: newApiKey(), bob: newApiKey() };
const [ann, bob] = [bearer(keys.ann.key), bearer(keys.bob.key)];

const policy = `
rules:
  - { name: ann may all, effect: allow, who: { keys: ann } }
  - name: bob may little
    effect: allow
    who: { keys: bob }
    what:
      - { tools: [every.echo, every.get-resource-links, one.echo] }
      - { prompts: every.simple-prompt }
      - { resources: [demo://resource/static/document/features.md, 'demo://resource/dynamic/text/*'] }
  - name: bob may write what is fine
    effect: allow
    who: { keys: bob }
    what: { tools: one.write }
    when: args.message.startsWith("fine")
`;

let folder: string;
let router: HandRouter;
let every: RunningServer;
let one: Backend;
let hidden: Backend;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'denied-'));
  writeFileSync(
    join(folder, 'keys.yaml'),
    `keys: [{ name: ann, sha256: ${keys.ann.sha256} }, { name: bob, sha256: ${keys.bob.sha256} }]`,
  );
  writeFileSync(join(folder, 'policy.yaml'), policy);
  const app = { _meta: { ui: { resourceUri: 'ui://one/page' } } };
  [every, one, hidden] = await Promise.all([
    startEverything(),
    startBackend({
      tools: [
        simpleTool('echo'),
        simpleTool('write'),
        simpleTool('remove'),
        { ...simpleTool('show'), ...app },
      ],
    }),
    startBackend({ tools: [simpleTool('secret')] }),
  ]);
  router = await startHandRouter({
    keysFile: join(folder, 'keys.yaml'),
    policyFile: join(folder, 'policy.yaml'),
  });
  router.register(
    registered('every', [['e', every.port]]),
    registered('one', [['o', one.port]]),
    registered('hidden', [['h', hidden.port]]),
  );
  await eventually(async () => (await names(ann, 'tools/list')).length > 15);
  await eventually(async () => (await names(ann, 'tools/list')).includes('hidden__secret'));
  await eventually(async () => (await names(ann, 'tools/list')).includes('one__echo'));
});
afterAll(async () => {
  await router.stop();
  await Promise.all([every.stop(), one.stop(), hidden.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

async function names(
  caller: Caller,
  method: 'tools/list' | 'prompts/list' | 'resources/list' | 'resources/templates/list',
  path = '/mcp',
  era: 'legacy' | 'modern' = 'modern',
): Promise<string[]> {
  const result = only(await ask(era, caller, router.url + path, method)).result ?? {};
  const items = Object.values(result).find(Array.isArray) as Record<string, string>[];
  return items.map((item) => item['uri'] ?? item['uriTemplate'] ?? item['name'] ?? '');
}

/** All that a client can see of an answer, without the name that it sent itself. */
function seen({ status, headers, text }: Answer, name: string): unknown {
  const { date: _, 'content-length': _length, ...rest } = headers;
  return { status, headers: rest, text: text.replaceAll(name, '…') };
}

const eras = ['legacy', 'modern'] as const;
const services = ['/mcp', '/services/every/mcp'] as const;
const instanceOf = (service: string, id: string) =>
  `/services/${service}/instances/${encodeURIComponent(`dc1/node/${id}`)}/mcp`;

describe.each(eras)('what is denied, in the %s era,', (era) => {
  it('is in no list', async () => {
    expect(await names(bob, 'tools/list', '/mcp', era)).toEqual([
      'every__echo',
      'every__get-resource-links',
      'one__echo',
      'one__write',
    ]);
    expect(await names(bob, 'prompts/list', '/mcp', era)).toEqual(['every__simple-prompt']);
    expect(await names(bob, 'resources/list', '/mcp', era)).toEqual([
      'demo://resource/static/document/features.md',
    ]);
    expect(await names(bob, 'resources/templates/list', '/mcp', era)).toEqual([
      'demo://resource/dynamic/text/{resourceId}',
    ]);
    for (const path of ['/services/every/mcp', instanceOf('every', 'e')]) {
      expect(await names(bob, 'tools/list', path, era)).toEqual(['echo', 'get-resource-links']);
      expect(await names(bob, 'prompts/list', path, era)).toEqual(['simple-prompt']);
    }
    expect((await names(ann, 'tools/list', '/mcp', era)).length).toBeGreaterThan(15);
  });

  const tools: readonly (readonly [string, string, string])[] = [
    ['/mcp', 'every__get-env', 'every__got-env'],
    ['/mcp', 'every.get-env', 'every.got-env'],
    ['/mcp', 'one__remove', 'one__remise'],
    ['/mcp', 'hidden__secret', 'hidden__sacred'],
    // The bare name of a tool of a service with an app.
    ['/mcp', 'remove', 'remise'],
    ['/services/every/mcp', 'get-env', 'got-env'],
    ['/services/one/mcp', 'remove', 'remise'],
    [instanceOf('every', 'e'), 'get-env', 'got-env'],
    [instanceOf('one', 'o'), 'remove', 'remise'],
  ];
  const prompts: typeof tools = [
    ['/mcp', 'every__args-prompt', 'every__orgs-prompt'],
    ['/services/every/mcp', 'args-prompt', 'orgs-prompt'],
    [instanceOf('every', 'e'), 'args-prompt', 'orgs-prompt'],
  ];
  const uris: typeof tools = [...services, instanceOf('every', 'e')].flatMap((path) => [
    [path, 'demo://resource/static/document/startup.md', 'demo://resource/static/document/starter.md'],
    [path, 'demo://resource/dynamic/blob/1', 'demo://resource/dynamic/blab/1'],
  ]);
  const attempts = [
    ...tools.map((row) => ['tools/call', 'name', ...row] as const),
    ...prompts.map((row) => ['prompts/get', 'name', ...row] as const),
    ...uris.map((row) => ['resources/read', 'uri', ...row] as const),
    ...(era === 'legacy' ? uris : []).map((row) => ['resources/subscribe', 'uri', ...row] as const),
    ...(era === 'legacy' ? uris : []).map((row) => ['resources/unsubscribe', 'uri', ...row] as const),
    // A method that nobody knows, about something that is denied.
    ...[...tools, ...prompts].map((row) => ['made/up', 'name', ...row] as const),
    ...uris.map((row) => ['made/up', 'uri', ...row] as const),
  ];

  it.each(attempts)('%s by %s at %s: %s is answered like %s', async (method, by, path, denied, unknown) => {
    const before = [one.received.length, hidden.received.length];
    const send = (name: string): Promise<Answer> =>
      ask(era, bob, router.url + path, method, { [by]: name, arguments: {} });
    const [first, second] = [await send(denied), await send(unknown)];
    expect(first.text).toContain('"error"');
    expect(withoutSession(seen(first, denied))).toEqual(withoutSession(seen(second, unknown)));
    // No server heard of it, but for sessions that were opened and closed.
    expect(called(one, before[0])).toEqual([]);
    expect(called(hidden, before[1])).toEqual([]);
  });

  it.each([
    ...prompts.map(([path, denied, unknown]) => [path, 'ref/prompt', 'name', denied, unknown] as const),
    ...[...services, instanceOf('every', 'e')].map(
      (path) =>
        [
          path,
          'ref/resource',
          'uri',
          'demo://resource/dynamic/blob/{resourceId}',
          'demo://resource/dynamic/blab/{resourceId}',
        ] as const,
    ),
  ])('completion at %s of a %s: by %s %s is answered like %s', async (path, type, by, denied, unknown) => {
    const send = (name: string): Promise<Answer> =>
      ask(era, bob, router.url + path, 'completion/complete', {
        ref: { type, [by]: name },
        argument: { name: 'resourceId', value: '1' },
      });
    const [first, second] = [await send(denied), await send(unknown)];
    expect(first.text).toContain('"error"');
    expect(withoutSession(seen(first, denied))).toEqual(withoutSession(seen(second, unknown)));
  });

  it.each([
    ['/services/hidden/mcp', '/services/hodden/mcp'],
    [instanceOf('hidden', 'h'), instanceOf('hodden', 'h')],
  ])('%s is not there, like %s', async (denied, unknown) => {
    const [first, second] = await Promise.all(
      [denied, unknown].map((path) =>
        era === 'modern'
          ? stateless(bob, router.url + path, 'tools/list')
          : raw(router.url + path, {
              headers: bob.headers,
              body: JSON.stringify({
                jsonrpc: '2.0',
                id: 1,
                method: 'initialize',
                params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} },
              }),
            }),
      ),
    );
    expect(first!.status).toBe(404);
    expect(seen(first!, denied)).toEqual(seen(second!, unknown));
  });

  it('does not stand in what the router says of itself', async () => {
    const method = era === 'modern' ? 'server/discover' : 'initialize';
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} };
    const said =
      era === 'modern'
        ? await stateless(bob, `${router.url}/mcp`, method)
        : await raw(`${router.url}/mcp`, {
            headers: bob.headers,
            body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
          });
    expect(only(said).result).toBeDefined();
    expect(said.text).not.toMatch(/hidden|secret|get-env/);
  });

  it('cannot be reached by a link to it that an allowed tool hands out', async () => {
    const answer = await ask(era, bob, `${router.url}/mcp`, 'tools/call', {
      name: 'every.get-resource-links',
      arguments: { count: 4 },
    });
    const links = [...answer.text.matchAll(/demo:\/\/resource\/dynamic\/blob\/\d+/g)].map(String);
    expect(links.length).toBeGreaterThan(0);
    for (const uri of links) {
      const read = await ask(era, bob, `${router.url}/mcp`, 'resources/read', { uri });
      expect(only(read).error?.data).toMatchObject({ code: 'UNKNOWN_RESOURCE' });
    }
    const [text] = /demo:\/\/resource\/dynamic\/text\/\d+/.exec(answer.text) ?? [];
    const allowed = await ask(era, bob, `${router.url}/mcp`, 'resources/read', { uri: text });
    expect(only(allowed).result).toBeDefined();
  });
});

describe.each(eras)('what is allowed, in the %s era,', (era) => {
  it('works by every path', async () => {
    for (const [path, name] of [
      ['/mcp', 'every__echo'],
      ['/mcp', 'every.echo'],
      ['/services/every/mcp', 'echo'],
      [instanceOf('every', 'e'), 'echo'],
    ] as const) {
      const called = await ask(era, bob, router.url + path, 'tools/call', {
        name,
        arguments: { message: 'hi' },
      });
      expect(called.text).toContain('Echo: hi');
    }
    const prompt = await ask(era, bob, `${router.url}/mcp`, 'prompts/get', { name: 'every.simple-prompt' });
    expect(only(prompt).result).toBeDefined();
    const completed = await ask(era, bob, `${router.url}/mcp`, 'completion/complete', {
      ref: { type: 'ref/resource', uri: 'demo://resource/dynamic/text/{resourceId}' },
      argument: { name: 'resourceId', value: '1' },
    });
    expect(only(completed).result).toBeDefined();
  });

  it('with some arguments only says so, with the others: it is listed, so it is no secret', async () => {
    const call = (message: string) =>
      ask(era, bob, `${router.url}/mcp`, 'tools/call', { name: 'one.write', arguments: { message } });
    expect(only(await call('fine words')).result).toBeDefined();
    const before = one.received.length;
    const refused = only(await call('bad words'));
    expect(refused.error?.data).toMatchObject({ code: 'NOT_ALLOWED' });
    expect(called(one, before)).toEqual([]);
  });

  it('is not what a server may read it as: keys that stand twice, or are spelled almost alike', async () => {
    const url = `${router.url}/mcp`;
    const tricks = [
      '{"name":"one.write","arguments":{"message":"fine","message":"bad"}}',
      '{"name":"one.write","arguments":{"a":{"b":1,"b":2},"message":"fine"}}',
      '{"name":"one.write","arguments":{"message":"fine"},"Arguments":{"message":"bad"}}',
      '{"name":"one.write","argument\\u017f":{"message":"bad"},"arguments":{"message":"fine"}}',
      '{"name":"one.write","name":"one.remove","arguments":{"message":"fine"}}',
      '{"name":"one.echo","Name":"remove","arguments":{}}',
      '{"name":"one.echo","NAME":"remove","arguments":{}}',
    ];
    const messages = [
      ...tricks.map((params) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`),
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"made/up","params":{"name":"one.echo"}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one.echo"},"Params":{"name":"remove"}}',
    ];
    const session = era === 'legacy' ? await openSession(bob, url) : undefined;
    const before = one.received.length;
    for (const message of messages) {
      const meta =
        '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},';
      const headers: Record<string, string> =
        session === undefined
          ? {
              'mcp-protocol-version': '2026-07-28',
              'mcp-method': 'tools/call',
              'mcp-name': message.includes('one.write') ? 'one.write' : 'one.echo',
            }
          : { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' };
      const body = session === undefined ? message.replace('"params":{', `"params":{${meta}`) : message;
      const answer = await raw(url, { headers: { ...bob.headers, ...headers }, body });
      expect(answer.text).toContain('"error"');
      expect(answer.text).toMatch(/twice|could be taken for/);
    }
    expect(called(one, before)).toEqual([]);
  });
});

it('a notification cannot be a request for those who read keys otherwise', async () => {
  const url = `${router.url}/services/one/mcp`;
  const session = await openSession(bob, url);
  await inSession(bob, url, session, 'tools/call', { name: 'echo' });
  const before = one.received.length;
  const body =
    '{"jsonrpc":"2.0","method":"notifications/x","Method":"tools/call","Id":1,"params":{"name":"remove"}}';
  const answer = await raw(url, { headers: { ...bob.headers, 'mcp-session-id': session }, body });
  expect(answer.text).toContain('could be taken for');
  expect(one.received.length).toBe(before);
});

/** Calls that came to a server since it had received so many messages. */
function called(backend: Backend, before = 0): unknown[] {
  return backend.received.slice(before).filter(({ method }) => /call|get|read|made/.test(method ?? ''));
}

/** Ids of sessions differ from session to session. */
function withoutSession(answer: unknown): unknown {
  const { headers, ...rest } = answer as { headers: Record<string, unknown> };
  const { 'mcp-session-id': _, ...others } = headers;
  return { ...rest, headers: others };
}

describe('a URI that several services have', () => {
  it('is of nobody else where its owner is hidden, and links of the others keep their own name', async () => {
    const resources = ['x', 'y'].map((name) => ({ uri: `doc://${name}`, name }));
    const start = (text: string): Promise<Backend> =>
      startBackend({ capabilities: { tools: {}, resources: {} } }).then((backend) => {
        backend.on['resources/list'] = ({ result }) => result({ resources });
        backend.on['resources/templates/list'] = ({ result }) => result({ resourceTemplates: [] });
        backend.on['resources/read'] = ({ result, message }) =>
          result({ contents: [{ uri: message.params?.['uri'], text }] });
        return backend;
      });
    const [first, second] = await Promise.all([start('of a'), start('of b')]);
    writeFileSync(
      join(folder, 'uris.yaml'),
      `rules:
  - { name: ann may all, effect: allow, who: { keys: ann } }
  - { name: not y of b, effect: deny, what: { resources: 'mcp-router://b/doc://y' } }
  - { name: bob, effect: allow, who: { keys: bob }, what: { services: b } }`,
    );
    const own = await startHandRouter({
      keysFile: join(folder, 'keys.yaml'),
      policyFile: join(folder, 'uris.yaml'),
    });
    own.register(registered('a', [['a', first.port]]), registered('b', [['b', second.port]]));
    try {
      const url = `${own.url}/mcp`;
      await eventually(async () => {
        const { text } = await stateless(ann, url, 'resources/list');
        return text.includes('"doc://x"') && text.includes('mcp-router://b/doc://x');
      });
      const read = async (caller: Caller, uri: string) =>
        (await stateless(caller, url, 'resources/read', { uri })).text;
      expect(await read(ann, 'doc://x')).toContain('of a');
      expect(await read(bob, 'doc://x')).toContain('UNKNOWN_RESOURCE');
      const ofB = await read(bob, 'mcp-router://b/doc://x');
      expect(ofB).toContain('of b');
      expect(ofB).toContain('"uri":"mcp-router://b/doc://x"');
      // On the endpoint of the service it has its own name, and the rules know it by the public one.
      const direct = await stateless(bob, `${own.url}/services/b/mcp`, 'resources/read', { uri: 'doc://x' });
      expect(direct.text).toContain('of b');
      const denied = await stateless(bob, `${own.url}/services/b/mcp`, 'resources/read', { uri: 'doc://y' });
      expect(only(denied).error?.data).toMatchObject({ code: 'UNKNOWN_RESOURCE' });
    } finally {
      await own.stop();
      await Promise.all([first.stop(), second.stop()]);
    }
  });
});
