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
import { listenSse } from '../../support/sse-listener.ts';

const keys = { ann: newApiKey(), bob: newApiKey(), eve: newApiKey() };
const [ann, bob, eve] = [bearer(keys.ann.key), bearer(keys.bob.key), bearer(keys.eve.key)];

let folder: string;
let router: HandRouter;
let every: RunningServer;
let one: Backend;
let two: Backend;

const profiles = (more = ''): string => `
${more}
rules:
  - { name: eve may one, effect: allow, who: { keys: eve }, what: { services: one, profiles: bare } }
  - { name: others may all, effect: allow, who: { keys: [ann, bob] } }
profiles:
  small:
    instructions: For small things.
    include: [{ services: one, tools: ['one.echo', 'one.write'] }, { prompts: every.simple-prompt }]
    rename: { one.write: put_down, every.simple-prompt: hello }
  bare: { include: { services: [one, two] }, exclude: { tools: '*.remove' }, names: bare }
  dotted: { include: { services: one }, names: dotted }
  searched: { include: { services: one }, tools: search }
  tagged: { include: { tags: crm } }
  docs: { include: { services: every, resources: 'demo://resource/dynamic/text/*' } }
  ruled:
    include: { services: one }
    rules:
      - { name: writing, effect: allow, who: { keys: ann }, what: { tools: one.write } }
      - { name: reading, effect: allow, what: { annotations: { readOnlyHint: true } } }
  nobody: { rules: [] }
workspaces:
  team: { who: { keys: bob }, include: { services: [one, every] }, file: FOLDER/team.yaml }
`;

async function inForce(text: string): Promise<void> {
  const before = router.logs.length;
  writeFileSync(join(folder, 'policy.yaml'), text.replace('FOLDER', folder));
  await eventually(() => router.logs.slice(before).some(({ message }) => message === 'policy in force'));
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'profiles-'));
  const entries = Object.entries(keys).map(([name, { sha256 }]) => `{ name: ${name}, sha256: ${sha256} }`);
  writeFileSync(join(folder, 'keys.yaml'), `keys: [${entries.join(', ')}]`);
  writeFileSync(join(folder, 'policy.yaml'), profiles().replace('FOLDER', folder));
  writeFileSync(
    join(folder, 'team.yaml'),
    `profiles:
  own: { include: { tools: ['*.echo', '*.remove', two.echo] } }
rules: [{ name: no removing, effect: deny, what: { tools: '*.remove' } }, { name: rest, effect: allow }]`,
  );
  const tools = [simpleTool('echo', { readOnlyHint: true }), simpleTool('write'), simpleTool('remove')];
  [every, one, two] = await Promise.all([
    startEverything(),
    startBackend({ tools }),
    startBackend({ tools }),
  ]);
  router = await startHandRouter({
    keysFile: join(folder, 'keys.yaml'),
    policyFile: join(folder, 'policy.yaml'),
  });
  register(['mcp']);
  await eventually(async () => {
    const { text } = await stateless(ann, `${router.url}/mcp`, 'tools/list');
    return ['one__echo', 'two__echo', 'every__echo'].every((name) => text.includes(name));
  });
});
afterAll(async () => {
  await router.stop();
  await Promise.all([every.stop(), one.stop(), two.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** @param tags of service two */
function register(tags: readonly string[]): void {
  const tagged = registered('two', [['b', two.port]]);
  router.register(
    registered('one', [['a', one.port]]),
    { ...tagged, instances: tagged.instances.map((instance) => ({ ...instance, tags })) },
    registered('every', [['e', every.port]]),
  );
}

const at = (profile: string): string => `${router.url}/profiles/${profile}/mcp`;
const eras = ['legacy', 'modern'] as const;
type Era = (typeof eras)[number];

async function tools(profile: string, caller: Caller, era: Era = 'modern', query = ''): Promise<string[]> {
  const result = only(await ask(era, caller, at(profile) + query, 'tools/list')).result;
  return (result?.['tools'] as { name: string }[]).map(({ name }) => name);
}

const call = (profile: string, caller: Caller, name: string, era: Era = 'modern'): Promise<Answer> =>
  ask(era, caller, at(profile), 'tools/call', { name, arguments: {} });

describe.each(eras)('a profile, in the %s era,', (era) => {
  it('is what it is made of, under its own names, and takes all names', async () => {
    expect(await tools('small', ann, era)).toEqual(['one__echo', 'put_down']);
    const prompts = only(await ask(era, ann, at('small'), 'prompts/list')).result;
    expect(prompts).toMatchObject({ prompts: [{ name: 'hello' }] });
    for (const name of ['put_down', 'one.write', 'one__write']) {
      expect((await call('small', ann, name, era)).text).toContain(`write by ${one.port}`);
    }
    for (const name of ['hello', 'every.simple-prompt']) {
      expect(only(await ask(era, ann, at('small'), 'prompts/get', { name })).result).toBeDefined();
    }
  });

  it('does not have the rest: it is unknown there', async () => {
    for (const name of ['one.remove', 'two.echo', 'every.echo', 'made.up']) {
      const answer = only(await call('small', ann, name, era));
      expect(answer.error).toMatchObject({ code: -32602, message: `Unknown tool: ${name}` });
    }
    // The names of a profile are its own.
    expect(
      only(await ask(era, ann, `${router.url}/mcp`, 'tools/call', { name: 'put_down' })).error,
    ).toBeDefined();
    const uri = 'demo://resource/static/document/features.md';
    expect(only(await ask(era, ann, at('small'), 'resources/read', { uri })).error?.data).toMatchObject({
      code: 'UNKNOWN_RESOURCE',
    });
    const ref = { type: 'ref/prompt', name: 'every.completable-prompt' };
    const completion = { ref, argument: { name: 'department', value: 'E' } };
    expect(only(await ask(era, ann, at('small'), 'completion/complete', completion)).error).toBeDefined();
  });

  it('can have resources by their URIs', async () => {
    const read = (uri: string) => ask(era, ann, at('docs'), 'resources/read', { uri });
    expect(only(await read('demo://resource/dynamic/text/7')).result).toBeDefined();
    expect(only(await read('demo://resource/dynamic/blob/7')).error).toBeDefined();
    expect(await tools('docs', ann, era)).toEqual([]);
  });

  it('can list names as services spell them; of two equal ones the first service has it', async () => {
    expect(await tools('bare', ann, era)).toEqual(['echo', 'write', 'two__echo', 'two__write']);
    expect((await call('bare', ann, 'echo', era)).text).toContain(`echo by ${one.port}`);
    expect((await call('bare', ann, 'two.echo', era)).text).toContain(`echo by ${two.port}`);
    expect(await tools('dotted', ann, era)).toEqual(['one.echo', 'one.remove', 'one.write']);
    expect(await tools('dotted', ann, era, '?names=portable')).toEqual([
      'one__echo',
      'one__remove',
      'one__write',
    ]);
  });

  it('has rules of its own, which narrow those for all', async () => {
    expect(await tools('ruled', ann, era)).toEqual(['one__echo', 'one__write']);
    expect(await tools('ruled', bob, era)).toEqual(['one__echo']);
    expect(only(await call('ruled', bob, 'one.write', era)).error?.message).toBe('Unknown tool: one.write');
    expect(only(await call('ruled', ann, 'one.write', era)).result).toBeDefined();
  });

  it('can be allowed by itself: what is allowed through it is not allowed elsewhere', async () => {
    expect(await tools('bare', eve, era)).toEqual(['echo', 'write']);
    expect(only(await ask(era, eve, `${router.url}/mcp`, 'tools/list')).result?.['tools']).toEqual([]);
    expect(
      only(await ask(era, eve, `${router.url}/mcp`, 'tools/call', { name: 'one.echo' })).error,
    ).toBeDefined();
  });

  it('that is not for a caller is not there, like one that is none', async () => {
    const open = (profile: string, caller: Caller): Promise<Answer> =>
      era === 'modern'
        ? stateless(caller, at(profile), 'tools/list')
        : raw(at(profile), {
            headers: caller.headers,
            body: JSON.stringify({
              jsonrpc: '2.0',
              id: 1,
              method: 'initialize',
              params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} },
            }),
          });
    const none = await open('made-up', eve);
    expect(none.status).toBe(404);
    for (const [profile, caller] of [
      ['small', eve],
      ['nobody', ann],
      ['team.own', ann],
      ['team.other', bob],
      ['constructor', ann],
      ['__proto__', ann],
    ] as const) {
      const answer = await open(profile, caller);
      expect([answer.status, answer.text]).toEqual([404, none.text]);
    }
  });

  it('of a workspace is what the team says within what the operator grants', async () => {
    // two.echo is not granted, *.remove the team itself denies.
    expect(await tools('team.own', bob, era)).toEqual(['every__echo', 'one__echo']);
    expect(only(await call('team.own', bob, 'one.echo', era)).result).toBeDefined();
    for (const name of ['two.echo', 'one.remove', 'one.write']) {
      expect(only(await call('team.own', bob, name, era)).error?.message).toBe(`Unknown tool: ${name}`);
    }
  });

  it('says what it is for', async () => {
    const method = era === 'modern' ? 'server/discover' : 'initialize';
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} };
    const answer =
      era === 'modern'
        ? await stateless(ann, at('small'), method)
        : await raw(at('small'), {
            headers: ann.headers,
            body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
          });
    expect(only(answer).result?.['instructions']).toMatch(/^For small things\./);
  });
});

describe('profiles', () => {
  it('follow Consul tags, and tell their clients', async () => {
    const session = await openSession(ann, at('tagged'));
    const stream = await listenSse(at('tagged'), session, ann.headers);
    const elsewhere = await listenSse(at('small'), await openSession(ann, at('small')), ann.headers);
    expect(await tools('tagged', ann)).toEqual([]);
    register(['mcp', 'crm']);
    await eventually(async () => (await tools('tagged', ann)).length === 3);
    await eventually(() =>
      stream.messages.some(({ method }) => method === 'notifications/tools/list_changed'),
    );
    register(['mcp']);
    await eventually(async () => (await tools('tagged', ann)).length === 0);
    expect(elsewhere.messages).toEqual([]);
    stream.close();
    elsewhere.close();
  });

  it('have sessions of their own', async () => {
    const session = await openSession(ann, at('small'));
    expect((await inSession(ann, at('small'), session, 'ping')).status).toBe(200);
    for (const other of [at('bare'), `${router.url}/mcp`]) {
      expect((await inSession(ann, other, session, 'ping')).status).toBe(404);
    }
  });

  it('that change are told to their clients only, and what is gone is gone for open sessions', async () => {
    const [small, bare] = [await openSession(ann, at('small')), await openSession(ann, at('bare'))];
    const streams = [
      await listenSse(at('small'), small, ann.headers),
      await listenSse(at('bare'), bare, ann.headers),
    ];
    const heard = (): number[] =>
      streams.map(({ messages }) => messages.filter(({ method }) => method?.includes('tools')).length);
    await inForce(profiles().replace('one.write: put_down', 'one.write: note'));
    await eventually(() => heard()[0] === 1);
    const listed = only(await inSession(ann, at('small'), small, 'tools/list'));
    expect(listed.result).toMatchObject({ tools: [{ name: 'one__echo' }, { name: 'note' }] });
    expect(heard()[1]).toBe(0);
    await inForce(profiles().replace(/ {2}small:[^]*? {2}bare:/, '  bare:'));
    const gone = only(await inSession(ann, at('small'), small, 'tools/call', { name: 'one.echo' }));
    expect(gone.error?.message).toBe('Unknown tool: one.echo');
    expect((await stateless(ann, at('small'), 'tools/list')).status).toBe(404);
    expect(heard()[1]).toBe(0);
    await inForce(profiles());
    for (const stream of streams) stream.close();
  });

  it('stay what they are in a dry run: they are no rules', async () => {
    await inForce(profiles('mode: dry-run'));
    expect(await tools('ruled', bob)).toEqual(['one__echo', 'one__remove', 'one__write']);
    expect(only(await call('ruled', bob, 'one.write')).result).toBeDefined();
    expect(only(await call('small', ann, 'two.echo')).error).toBeDefined();
    const uri = 'demo://resource/dynamic/blob/7';
    expect(only(await ask('modern', ann, at('docs'), 'resources/read', { uri })).error).toBeDefined();
    await inForce(profiles());
  });

  it('of a workspace follow the document of its team; a wrong one changes nothing', async () => {
    const write = (text: string) => writeFileSync(join(folder, 'team.yaml'), text);
    write('profiles: { own: { include: { tools: "*.write" } } }');
    await eventually(async () => (await tools('team.own', bob)).join() === 'one__write');
    const before = router.logs.length;
    write('profiles: { own: { include: { tool: x } } }');
    const told = await eventually(() =>
      router.logs.slice(before).find(({ message }) => message.startsWith('a workspace is wrong')),
    );
    expect(JSON.stringify(told.fields)).toMatch(
      /team.yaml:1:\d+ profiles.own.include.tool: is not known here/,
    );
    expect(await tools('team.own', bob)).toEqual(['one__write']);
    // A workspace that is not granted any more is none, whatever its team says.
    await inForce(profiles().replace(/\nworkspaces:[^]*$/, '\n'));
    expect((await stateless(bob, at('team.own'), 'tools/list')).status).toBe(404);
    await inForce(profiles());
    await eventually(async () => (await stateless(bob, at('team.own'), 'tools/list')).status === 404);
    write('profiles: { own: { include: { tools: "*.write" } } }');
    await eventually(async () => (await tools('team.own', bob)).join() === 'one__write');
  });
});

describe("a profile's own tool mode", () => {
  const listed = async (path: string): Promise<string[]> => {
    const { messages } = await stateless(ann, `${router.url}${path}`, 'tools/list');
    return (messages[0]?.result?.['tools'] as { name: string }[]).map(({ name }) => name);
  };

  it('holds for both eras, unless the client asks for another one', async () => {
    expect(await listed('/profiles/searched/mcp')).toContain('find_tools');
    expect(await listed('/profiles/searched/mcp')).not.toContain('one__echo');
    expect(await listed('/profiles/searched/mcp?tools=full')).toContain('one__echo');
    expect(await listed('/profiles/dotted/mcp')).not.toContain('find_tools');
    const url = `${router.url}/profiles/searched/mcp`;
    const { text } = await inSession(ann, url, await openSession(ann, url), 'tools/list');
    expect(text).toContain('find_tools');
    expect(text).not.toContain('one__echo');
  });
});
