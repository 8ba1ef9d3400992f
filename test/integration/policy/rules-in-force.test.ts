import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newApiKey } from '../../../src/policy/inbound/api-keys.ts';
import { startFixture, type Fixture } from '../../conformance/fixture/start.ts';
import { startAuthorizationServer, type AuthorizationServer } from '../../support/authorization-server.ts';
import { startBackend, type Backend } from '../../support/backend.ts';
import { ask, bearer, inSession, only, openSession, stateless, type Caller } from '../../support/caller.ts';
import { eventually } from '../../support/eventually.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { listenSse, listenStateless, type Listening } from '../../support/sse-listener.ts';

/** Rules that change, run dry, or ask for scopes, as clients meet them. */

const publicUrl = 'https://mcp.example.com';
const keys = { ann: newApiKey(), bob: newApiKey() };
const [ann, bob] = [bearer(keys.ann.key), bearer(keys.bob.key)];
const watched = 'test://watched-resource';

let folder: string;
let router: HandRouter;
let one: Backend;
let two: Backend;
let fixture: Fixture;
let issuing: AuthorizationServer;

const annMay = '{ name: ann may all, effect: allow, who: { keys: ann } }';

/** Puts rules in force and waits until they are. */
async function rules(...lines: string[]): Promise<void> {
  const before = router.logs.length;
  const text = `rules:\n${lines.map((line) => `  - ${line}`).join('\n')}\n# ${Math.random()}\n`;
  writeFileSync(join(folder, 'policy.yaml'), text);
  await eventually(() => router.logs.slice(before).some(({ message }) => message === 'policy in force'));
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rules-'));
  writeFileSync(
    join(folder, 'keys.yaml'),
    `keys: [{ name: ann, sha256: ${keys.ann.sha256} }, { name: bob, sha256: ${keys.bob.sha256} }]`,
  );
  writeFileSync(join(folder, 'policy.yaml'), `rules: [${annMay}]`);
  [one, two, fixture, issuing] = await Promise.all([
    startBackend(),
    startBackend(),
    startFixture(),
    startAuthorizationServer(),
  ]);
  router = await startHandRouter({
    keysFile: join(folder, 'keys.yaml'),
    policyFile: join(folder, 'policy.yaml'),
    issuers: issuing.issuer,
    publicUrl,
  });
  router.register(
    registered('one', [['a', one.port]]),
    registered('two', [['b', two.port]]),
    registered('fixture', [['c', fixture.port]]),
  );
  await eventually(async () => {
    const { text } = await stateless(ann, `${router.url}/mcp`, 'tools/list');
    return ['one__echo', 'two__echo', 'fixture__'].every((name) => text.includes(name));
  });
});
afterAll(async () => {
  await router.stop();
  await Promise.all([one.stop(), two.stop(), fixture.stop(), issuing.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const changed = (kind: string) => `notifications/${kind}/list_changed`;

const listen = (caller: Caller, notifications: Record<string, unknown>): Promise<Listening> =>
  listenStateless(`${router.url}/mcp`, caller, notifications);

describe('rules that change', () => {
  beforeEach(() =>
    rules(annMay, '{ name: bob may one, effect: allow, who: { keys: bob }, what: { services: one } }'),
  );

  it('count at once for sessions that are open', async () => {
    const url = `${router.url}/mcp`;
    const session = await openSession(bob, url);
    const call = () => inSession(bob, url, session, 'tools/call', { name: 'one.echo' });
    expect(only(await call()).result).toBeDefined();
    await rules(annMay);
    expect(only(await call()).error?.message).toBe('Unknown tool: one.echo');
    expect(only(await inSession(bob, url, session, 'tools/list')).result).toMatchObject({ tools: [] });
  });

  it('are told to those whose lists they change, and to nobody else', async () => {
    const url = `${router.url}/mcp`;
    const [ofAnn, ofBob] = [await openSession(ann, url), await openSession(bob, url)];
    const [annHears, bobHears] = [
      await listenSse(url, ofAnn, ann.headers),
      await listenSse(url, ofBob, bob.headers),
    ];
    const [annListens, bobListens] = [
      await listen(ann, { toolsListChanged: true }),
      await listen(bob, { toolsListChanged: true }),
    ];
    const count = ({ messages }: Listening) =>
      messages.filter(({ method }) => method === changed('tools')).length;
    // Whoever began to listen just after the last change may still be told of it.
    await rules(
      annMay,
      '{ name: in other words, effect: allow, who: { keys: bob }, what: { services: [one] } }',
    );
    const before = new Map([annHears, bobHears, annListens, bobListens].map((one) => [one, count(one)]));
    const heard = (stream: Listening): number => count(stream) - (before.get(stream) ?? 0);
    await rules(
      annMay,
      '{ name: bob may more, effect: allow, who: { keys: bob }, what: { services: [one, two] } }',
    );
    await eventually(() => heard(bobHears) === 1 && heard(bobListens) === 1);
    // Other words for the same change nothing.
    await rules(
      annMay,
      '{ name: as before, effect: allow, who: { keys: bob }, what: { services: [two, one] } }',
    );
    await rules(
      annMay,
      '{ name: one tool less, effect: allow, who: { keys: bob }, what: { tools: [one.*, two.echo] } }',
    );
    await eventually(() => heard(bobHears) === 2 && heard(bobListens) === 2);
    expect([heard(annHears), heard(annListens)]).toEqual([0, 0]);
    // A service that bob may not see comes and goes.
    router.register(registered('one', [['a', one.port]]), registered('two', [['b', two.port]]));
    await eventually(() => heard(annHears) === 1 && heard(annListens) === 1);
    router.register(
      registered('one', [['a', one.port]]),
      registered('two', [['b', two.port]]),
      registered('fixture', [['c', fixture.port]]),
    );
    await eventually(() => heard(annHears) === 2 && heard(annListens) === 2);
    expect([heard(bobHears), heard(bobListens)]).toEqual([2, 2]);
    for (const stream of [annHears, bobHears, annListens, bobListens]) stream.close();
  });

  it('take subscriptions back, in both eras', async () => {
    const may = (what: string): string =>
      `{ name: bob may, effect: allow, who: { keys: bob }, what: ${what} }`;
    await rules(annMay, may('{ resources: "test://*" }'));
    const url = `${router.url}/mcp`;
    const [ofAnn, ofBob] = [await openSession(ann, url), await openSession(bob, url)];
    for (const [caller, session] of [
      [ann, ofAnn],
      [bob, ofBob],
    ] as const) {
      const answer = await inSession(caller, url, session, 'resources/subscribe', { uri: watched });
      expect(only(answer).result).toBeDefined();
    }
    const streams = [
      await listenSse(url, ofAnn, ann.headers),
      await listenSse(url, ofBob, bob.headers),
      await listen(ann, { resourceSubscriptions: [watched] }),
      await listen(bob, { resourceSubscriptions: [watched] }),
    ];
    const heard = (): number[] =>
      streams.map(
        ({ messages }) =>
          messages.filter(({ method }) => method === 'notifications/resources/updated').length,
      );
    const update = () => stateless(ann, url, 'tools/call', { name: 'fixture.test_trigger_resource_update' });
    await eventually(async () => {
      await update();
      return heard().every((count) => count > 0);
    });
    // Another resource of the service stays, so its session stays open, too.
    await rules(annMay, may('{ resources: "test://static-*" }'));
    const before = heard();
    await eventually(async () => {
      await update();
      const now = heard();
      return now[0]! > before[0]! && now[2]! > before[2]!;
    });
    const after = heard();
    expect([after[1], after[3]]).toEqual([before[1], before[3]]);
    for (const stream of streams) stream.close();
  });

  it('refuse subscriptions to what is denied as if nobody had it', async () => {
    const stream = await listen(bob, { resourceSubscriptions: [watched, 'test://nobody-has-this'] });
    await eventually(() => stream.messages.length > 0);
    expect(stream.messages[0]?.params).toMatchObject({ notifications: { resourceSubscriptions: [] } });
    stream.close();
  });

  it('that are wrong change nothing, and every error is told with its place', async () => {
    const before = router.logs.length;
    writeFileSync(join(folder, 'policy.yaml'), 'rules:\n  - { name: a, effect: all }\n  - { name: a }\n');
    const told = await eventually(() =>
      router.logs.slice(before).find(({ message }) => message.startsWith('the policy is wrong')),
    );
    expect(told.fields?.['errors']).toMatchObject([/policy.yaml:2:/, /policy.yaml:3:/].map(matching));
    const called = await ask('modern', bob, `${router.url}/mcp`, 'tools/call', { name: 'one.echo' });
    expect(only(called).result).toBeDefined();
  });
});

const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);

describe('a dry run', () => {
  it('refuses nothing, and logs what it would refuse, and by which rule', async () => {
    const before = router.logs.length;
    writeFileSync(
      join(folder, 'policy.yaml'),
      `mode: dry-run\nrules:\n  - ${annMay}\n  - { name: no writing, effect: deny, what: { tools: one.write } }`,
    );
    await eventually(() => router.logs.slice(before).some(({ message }) => message === 'policy in force'));
    const url = `${router.url}/mcp`;
    for (const era of ['legacy', 'modern'] as const) {
      const listed = only(await ask(era, bob, url, 'tools/list')).result?.['tools'] as unknown[];
      expect(listed.length).toBeGreaterThan(4);
      for (const name of ['one.write', 'two.echo']) {
        expect(only(await ask(era, bob, url, 'tools/call', { name })).result).toBeDefined();
      }
    }
    const logged = router.logs.filter(({ message }) => message === 'the rules would have refused this');
    expect(logged.map(({ fields }) => fields)).toEqual(
      [0, 1].flatMap(() => [
        {
          decision: 'deny',
          rule: 'no writing',
          subject: 'bob',
          kind: 'tools',
          name: 'one.write',
          service: 'one',
        },
        {
          decision: 'deny',
          rule: 'no rule matches',
          subject: 'bob',
          kind: 'tools',
          name: 'two.echo',
          service: 'two',
        },
      ]),
    );
    const metrics = await (await fetch(`${router.adminUrl}/metrics`)).text();
    expect(metrics).toContain('mcp_router_refusals_total{decision="deny",mode="dry-run"} 4');
  });
});

describe('a rule that asks for scopes', () => {
  it('is told to a token without them in one challenge with all that the call needs, in both eras', async () => {
    await rules(
      '{ name: writing, effect: allow, what: { tools: one.write }, scopes: ["mcp:write", "mcp:use"] }',
    );
    const url = `${router.url}/mcp`;
    const little = bearer(await issuing.token(url.replace(router.url, publicUrl), 'mcp:use'));
    for (const era of ['legacy', 'modern'] as const) {
      const answer = await ask(era, little, url, 'tools/call', { name: 'one.write' });
      expect(answer.status).toBe(403);
      expect(answer.headers['www-authenticate']).toBe(
        'Bearer error="insufficient_scope", error_description="More scopes are needed for this", ' +
          `resource_metadata="${publicUrl}/.well-known/oauth-protected-resource/mcp", scope="mcp:write mcp:use"`,
      );
      expect(only(answer).error?.data).toMatchObject({ scopes: ['mcp:write', 'mcp:use'] });
      // It is listed: who steps up may call it. What no scope would open stays unknown.
      expect(only(await ask(era, little, url, 'tools/list')).result?.['tools']).toMatchObject([
        { name: 'one__write' },
      ]);
      expect((await ask(era, little, url, 'tools/call', { name: 'one.echo' })).status).toBe(200);
      // Who has no token can't step up.
      const withKey = await ask(era, bob, url, 'tools/call', { name: 'one.write' });
      expect(only(withKey).error?.message).toBe('Unknown tool: one.write');
    }
    const enough = bearer(await issuing.token(`${publicUrl}/mcp`, 'mcp:use mcp:write'));
    const session = await openSession(little, url);
    expect((await inSession(little, url, session, 'tools/call', { name: 'one.write' })).status).toBe(403);
    // The same session with a token that has them.
    const again = await inSession(enough, url, session, 'tools/call', { name: 'one.write' });
    expect(only(again).result).toBeDefined();
  });
});

describe('a service by its meta', () => {
  it('is for those whom a condition on Consul meta lets in, and changes with it', async () => {
    await rules(
      annMay,
      '{ name: public ones, effect: allow, who: { keys: bob }, when: meta.reach == "public" }',
    );
    const url = `${router.url}/mcp`;
    const listed = async (): Promise<string> => (await stateless(bob, url, 'tools/list')).text;
    expect(await listed()).not.toContain('__echo');
    const withMeta = (reach: string) => {
      const service = registered('one', [['a', one.port]]);
      return { ...service, instances: service.instances.map((each) => ({ ...each, meta: { reach } })) };
    };
    router.register(withMeta('public'), registered('two', [['b', two.port]]));
    await eventually(async () => (await listed()).includes('one__echo'));
    expect(await listed()).not.toContain('two__echo');
    router.register(withMeta('internal'), registered('two', [['b', two.port]]));
    await eventually(async () => !(await listed()).includes('one__echo'));
  });
});

describe('a call that waits for its client', () => {
  const question = { method: 'elicitation/create', params: { message: 'Sure?', requestedSchema: {} } };
  const args = { message: 'delete' };

  async function asks(): Promise<string> {
    const url = `${router.url}/mcp`;
    const params = { name: 'one.write', arguments: args };
    const answer = await stateless(bob, url, 'tools/call', params, { elicitation: { form: {} } });
    expect(only(answer).result).toMatchObject({ resultType: 'input_required' });
    return String(only(answer).result?.['requestState']);
  }

  const goesOn = (caller: Caller, requestState: string, more: Record<string, unknown> = {}) =>
    stateless(
      caller,
      `${router.url}/mcp`,
      'tools/call',
      {
        name: 'one.write',
        arguments: args,
        requestState,
        inputResponses: { 'ask-1': { action: 'accept', content: {} } },
        ...more,
      },
      { elicitation: { form: {} } },
    );

  const may = '{ name: bob may write, effect: allow, who: { keys: bob }, what: { services: [one] } }';

  it('goes on for who made it, as it was made, once, and while the rules allow it', async () => {
    await rules(annMay, may);
    const open: (() => void)[] = [];
    one.on['tools/call'] = ({ stream, message }) => {
      const events = stream();
      events.send({ jsonrpc: '2.0', id: 'q', ...question });
      open.push(() => {
        events.send({
          jsonrpc: '2.0',
          id: message.id,
          result: { content: [{ type: 'text', text: 'done' }] },
        });
        events.end();
      });
    };
    one.on['response'] = ({ response }) => {
      response.writeHead(202).end();
      open.pop()?.();
    };
    try {
      const state = await asks();
      const refused = { code: 'INVALID_PARAMS', reason: 'invalid_request_state' };
      expect(only(await goesOn(ann, state)).error?.data).toMatchObject(refused);
      const other = await goesOn(bob, state, { arguments: { message: 'something else' } });
      expect(only(other).error?.data).toMatchObject(refused);
      const bytes = Buffer.from(state, 'base64url');
      for (let at = 0; at < bytes.length; at += 7) {
        const forged = Buffer.from(bytes);
        forged[at] = (forged[at] ?? 0) ^ 1;
        const answer = await goesOn(bob, forged.toString('base64url'));
        expect(only(answer).error?.data).toMatchObject(refused);
      }
      // An id of a session is no state of a request.
      const session = await openSession(bob, `${router.url}/mcp`);
      expect(only(await goesOn(bob, session)).error?.data).toMatchObject(refused);
      await rules(annMay);
      expect(only(await goesOn(bob, state)).error?.message).toBe('Unknown tool: one.write');
      await rules(annMay, may);
      expect(JSON.stringify(only(await goesOn(bob, state)).result)).toContain('done');
      expect(only(await goesOn(bob, state)).error?.data).toMatchObject({ code: 'CONTINUATION_LOST' });
    } finally {
      delete one.on['tools/call'];
      delete one.on['response'];
    }
  });
});
