import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Explained, Explanation } from '../../../src/explain/explain.ts';
import { reasonTable, type Finding } from '../../../src/explain/reasons.ts';
import type { ExplainedSession } from '../../../src/explain/session.ts';
import type { Outlook } from '../../../src/explain/outlook.ts';
import { simpleTool, startBackend, type Backend, type BackendOptions } from '../../support/backend.ts';
import {
  consulApi,
  registerService,
  setCheck,
  setMaintenance,
  startConsul,
  type ConsulAgent,
  type TestService,
} from '../../support/consul.ts';
import { startConsulRouter } from '../../support/consul-router.ts';
import { startDatacenters } from '../../support/datacenters.ts';
import { eventually } from '../../support/eventually.ts';
import { RawSession } from '../../support/mcp-client.ts';
import { freePort, startEverythingSse } from '../../support/servers.ts';

/**
 * Every reason for which something is not there: each is brought about by breaking the real thing, and its sentence
 * is read as a user gets it. The last test holds that none was forgotten.
 */
const seen = new Set<string>();

type Running = Awaited<ReturnType<typeof startConsulRouter>>;
const key = randomBytes(32);
let consul: ConsulAgent;
let router: Running;
beforeAll(async () => {
  consul = await startConsul();
  router = await startConsulRouter(consul.httpAddr, { probeTimeout: 2000, maxListBytes: '256k' }, [key]);
});
afterAll(async () => {
  await router.stop();
  await consul.stop();
});

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

async function explain(name: string, at = router): Promise<Explanation> {
  const response = await fetch(`${at.adminUrl}/api/v1/explain?name=${encodeURIComponent(name)}`);
  expect(response.status).toBe(200);
  const explanation = (await response.json()) as Explanation;
  for (const { code } of allFindings(explanation)) seen.add(code);
  return explanation;
}

function allFindings({ findings, subjects }: Explanation): readonly Finding[] {
  return [...findings, ...subjects.flatMap((subject) => subject.findings)];
}

/** Waits until the first thing of this name is explained by a reason; gives that and the whole. */
async function because(
  name: string,
  code: keyof typeof reasonTable,
  at = router,
  withinMs = 15_000,
): Promise<{ found: Finding; subject: Explained; explanation: Explanation }> {
  return eventually(
    async () => {
      const explanation = await explain(name, at);
      const found = allFindings(explanation).find((one) => one.code === code);
      if (!found) throw new Error(JSON.stringify(explanation));
      return { found, subject: explanation.subjects[0]!, explanation };
    },
    { withinMs },
  );
}

async function available(name: string): Promise<Explained> {
  return eventually(async () => {
    const [subject] = (await explain(name)).subjects;
    return subject?.verdict === 'available' && subject;
  });
}

/** A small server, registered. */
async function serve(
  service: TestService,
  options: BackendOptions & { on?: Backend['on'] } = {},
): Promise<Backend> {
  const backend = await startBackend(options);
  Object.assign(backend.on, options.on);
  await register({ port: backend.port, ...service });
  cleanUp.push(() => backend.stop().catch(() => undefined));
  return backend;
}

async function register(service: TestService, agent = consul): Promise<void> {
  await registerService(agent, service);
  const id = encodeURIComponent(service.id ?? service.name);
  if (agent === consul) cleanUp.push(() => consulApi(consul, 'PUT', `agent/service/deregister/${id}`));
}

describe('what is there', () => {
  it('a tool by each of its names, with where a call would go', async () => {
    await serve({ name: 'plain', id: 'plain-1' });
    await serve({ name: 'plain', id: 'plain-2' });
    await eventually(async () => (await available('plain.echo')).call?.candidates[1]?.share === 0.5);
    for (const name of ['plain.echo', 'plain__echo', 'echo', 'plain/echo']) {
      const subject = await available(name);
      expect(subject).toMatchObject({
        kind: 'tool',
        name: 'echo',
        service: 'plain',
        listedAs: ['plain__echo', 'plain.echo'],
        findings: [],
        call: { outcome: 'goes' },
      });
      expect(subject.call?.sentence).toContain('rendezvous');
      expect(subject.call?.candidates.map(({ serviceId }) => serviceId)).toEqual(['plain-1', 'plain-2']);
    }
  });

  it('a service, also by the id of an instance', async () => {
    await serve({ name: 'known', id: 'known-1' });
    const subject = await available('known');
    expect(subject).toMatchObject({ kind: 'service', name: 'known', listedAs: ['2 tools'] });
    expect((await available('known-1')).name).toBe('known');
    expect(subject.call?.sentence).toBe('Each call goes to the one instance that may take it.');
  });

  it('where calls are spread by load', async () => {
    await serve({ name: 'loose', id: 'loose-1', meta: { 'mcp-session': 'stateless' } });
    await serve({ name: 'loose', id: 'loose-2', meta: { 'mcp-session': 'stateless' } });
    await eventually(async () =>
      (await available('loose')).call?.sentence.includes('the one of two, drawn by weight'),
    );
  });
});

describe('the registry', () => {
  it('nothing of that name: what may have been meant', async () => {
    await serve({ name: 'weather' });
    await available('weather');
    const { found, explanation } = await because('wether', 'NOT_REGISTERED');
    expect(found.sentence).toContain('Consul has no service wether');
    expect(found.mend).toContain('mcp-consul-router run');
    expect(explanation.similar).toContain('weather');
  });

  it('registered without the tag, or with it in other letters', async () => {
    await register({ name: 'untagged', tags: ['web', 'MCP'] });
    const { found } = await because('untagged.search', 'NO_TAG');
    expect(found.sentence).toMatch(/without the tag "mcp"\. It has "MCP", and case counts\./);
    await register({ name: 'bare', tags: [] });
    expect((await because('bare', 'NO_TAG')).found.sentence).toContain('It has none');
  });

  it('one instance of several lacks the tag', async () => {
    await serve({ name: 'halftagged', id: 'with' });
    await register({ name: 'halftagged', id: 'without', tags: ['web'] });
    const { found } = await because('halftagged', 'NO_TAG');
    expect(found).toMatchObject({ instance: 'without', effect: 'partly' });
    await eventually(async () => (await explain('halftagged')).subjects[0]?.verdict === 'partly');
  });

  it('a sidecar that has inherited the tag', async () => {
    await consulApi(consul, 'PUT', 'agent/service/register', {
      ID: 'lonely-proxy',
      Name: 'lonely-proxy',
      Kind: 'connect-proxy',
      Port: 20000,
      Tags: ['mcp'],
      Proxy: { DestinationServiceName: 'lonely' },
    });
    cleanUp.push(() => consulApi(consul, 'PUT', 'agent/service/deregister/lonely-proxy'));
    const { found } = await because('lonely-proxy', 'KIND');
    expect(found.sentence).toContain('connect-proxy');
  });

  it('no port, and an address that is none', async () => {
    await register({ name: 'portless', port: 0 });
    const { found, subject } = await because('portless', 'NO_PORT');
    expect(found.sentence).toContain('port 0');
    expect(subject.verdict).toBe('unavailable');
    await register({ name: 'lost', address: 'no such/host' });
    expect((await because('lost', 'BAD_ADDRESS')).found.sentence).toContain('no such/host');
  });

  it('meta that is wrong, unknown, or given twice, and instances that differ', async () => {
    await serve({
      name: 'meta',
      id: 'meta-1',
      meta: { 'mcp-timeout-ms': 'soon', 'mcp-colour': 'red', 'mcp-path': '/mcp', mcp_path: '/other' },
    });
    expect((await because('meta', 'META_INVALID')).found.sentence).toContain('60000 is used instead');
    expect((await because('meta', 'META_UNKNOWN')).found.sentence).toContain('mcp-colour');
    await because('meta', 'META_TWICE');
    await available('meta');
    await serve({ name: 'meta', id: 'meta-2', meta: { 'mcp-timeout-ms': '5' } });
    expect((await because('meta', 'SETTINGS_DIFFER')).found.sentence).toContain('timeoutMs');
  });

  it('canary weights that cannot be read, or name versions that nobody has', async () => {
    await serve({ name: 'canary', id: 'canary-1', meta: { 'mcp-version': '1' } });
    cleanUp.push(() => consulApi(consul, 'DELETE', 'kv/mcp-router/services/canary'));
    await consulApi(consul, 'PUT', 'kv/mcp-router/services/canary', 'nonsense');
    expect((await because('canary', 'KV_INVALID')).found.sentence).toContain('not JSON');
    await consulApi(consul, 'PUT', 'kv/mcp-router/services/canary', { versions: { '2': 1 } });
    expect((await because('canary', 'VERSION_MISSING')).found.sentence).toContain('mcp-version 2');
    expect((await because('canary', 'VERSION_UNNAMED')).found.sentence).toContain(
      'without one take the calls',
    );
  });

  it('another datacenter that the router does not ask', async () => {
    const agents = await startDatacenters(2);
    const near = await startConsulRouter(agents[0]!.httpAddr, {});
    cleanUp.push(async () => {
      await near.stop();
      await Promise.all(agents.map((agent) => agent.stop()));
    });
    await register({ name: 'faraway' }, agents[1]);
    const { found } = await because('faraway__tool', 'OTHER_DATACENTER', near, 30_000);
    expect(found.sentence).toContain('registered in dc2, which the router does not ask');
    expect(found.mend).toContain('MCP_ROUTER_DATACENTERS');
  });

  it('Consul that never answered, and one that has gone', async () => {
    const nobody = await startConsulRouter(`127.0.0.1:${await freePort()}`);
    cleanUp.push(() => nobody.stop());
    expect((await because('anything', 'NOT_SYNCED', nobody)).found.mend).toContain('doctor');

    const agent = await startConsul();
    const alone = await startConsulRouter(agent.httpAddr);
    cleanUp.push(() => alone.stop());
    await register({ name: 'keeps', check: 'critical' }, agent);
    await because('keeps', 'CRITICAL', alone);
    await agent.stop();
    const { found } = await because('keeps', 'STALE', alone);
    expect(found.sentence).toBe('The last good state is served: Consul does not answer.');
    expect((await because('other', 'LOOK_UP_FAILED', alone)).found.sentence).toContain('could not be asked');
  });

  it('the anonymous token, which may see nothing', async () => {
    const agent = await startConsul(
      {
        acl: { enabled: true, default_policy: 'deny', tokens: { master: 'root', agent: 'root' } },
      },
      'root',
    );
    const blind = await startConsulRouter(agent.httpAddr);
    cleanUp.push(async () => {
      await blind.stop();
      await agent.stop();
    });
    await registerService(agent, { name: 'secret' }, 'root');
    const { found } = await because('secret', 'TOKEN_SEES_LESS', blind);
    expect(found.mend).toContain('router-policy.hcl');
  });

  it('Consul has it, and the router has it not yet', async () => {
    await register({ name: 'fresh' });
    const { explain: pure } = await import('../../../src/explain/explain.ts');
    const { lookUp } = await import('../../../src/discovery/look-up.ts');
    const { ConsulClient } = await import('../../../src/discovery/consul-client.ts');
    const client = new ConsulClient({ addresses: [consul.httpAddr], ssl: false, sslVerify: true });
    const explanation = await pure('fresh', emptyOutlook(), (name) => lookUp(client, [], name));
    for (const { code } of explanation.findings) seen.add(code);
    expect(explanation.findings.map(({ code }) => code)).toEqual(['NOT_YET']);
  });
});

function emptyOutlook(): Outlook {
  return {
    table: {
      version: 0,
      services: new Map(),
      catalog: {
        services: [],
        byName: new Map(),
        claims: [],
        tools: new Map(),
        prompts: new Map(),
        resources: new Map(),
        problems: new Map(),
      },
    },
    snapshot: { version: 1, services: new Map(), skipped: [] },
    learned: () => ({ kind: 'pending' }),
    kvProblems: () => [],
    chances: () => new Map(),
    settings: { tag: 'mcp', unhealthyGraceMs: 0, pageSize: 1 },
  };
}

describe('instances', () => {
  it('a critical check, with what it printed; nobody is left', async () => {
    await serve({ name: 'sick' });
    await available('sick.echo');
    await consulApi(consul, 'PUT', 'agent/check/update/check:sick', {
      Status: 'critical',
      Output: 'disk is full',
    });
    const { found, subject } = await because('sick.echo', 'CRITICAL');
    expect(found.sentence).toContain('disk is full');
    expect(subject).toMatchObject({ verdict: 'unavailable', call: { outcome: 'refused' } });
    const { found: nobody } = await because('sick.echo', 'NOBODY_SERVES');
    expect(nobody.sentence).toContain('stays listed for 30 s');
  });

  it('after the grace time nothing is listed', async () => {
    const strict = await startConsulRouter(consul.httpAddr, { unhealthyGrace: 0 });
    cleanUp.push(() => strict.stop());
    await serve({ name: 'gone' });
    await eventually(async () => (await explain('gone.echo', strict)).subjects[0]?.verdict === 'available');
    await setCheck(consul, 'gone', 'fail');
    const { found, subject } = await because('gone.echo', 'NOBODY_SERVES', strict);
    expect(found.sentence).toContain('So nothing of it is listed');
    expect(subject.verdict).toBe('unavailable');
  });

  it('maintenance of a service and of a node', async () => {
    await serve({ name: 'resting' });
    await available('resting');
    await setMaintenance(consul, 'resting', true);
    const { found } = await because('resting', 'MAINTENANCE');
    expect(found.sentence).toBe('resting takes no new calls: it is in maintenance: test');
    expect(found.mend).toContain('consul maint -disable');
    await setMaintenance(consul, 'resting', false);
    await available('resting');
    await consulApi(consul, 'PUT', 'agent/maintenance?enable=true&reason=kernel');
    cleanUp.push(() => consulApi(consul, 'PUT', 'agent/maintenance?enable=false'));
    await eventually(async () =>
      (await because('resting', 'MAINTENANCE')).found.sentence.includes('is in maintenance: kernel'),
    );
  });

  it('warning with no weight for it', async () => {
    await serve({ name: 'weak', check: 'warning', weights: { Passing: 1, Warning: 0 } });
    expect((await because('weak', 'NO_WEIGHT')).found.sentence).toContain('its weight is then 0');
  });

  it('a server that does not answer the question, and then answers wrongly', async () => {
    const backend = await serve({ name: 'slow' }, { on: { initialize: () => undefined } });
    expect((await because('slow', 'NOT_ASKED_YET')).found.sentence).toContain('not yet asked');
    backend.on['initialize'] = ({ json }) => json(403, '{"error":"who are you"}');
    const { found } = await because('slow.echo', 'PROBE_FAILED', router, 25_000);
    expect(found.sentence).toContain('slow at http://127.0.0.1');
    await eventually(
      async () =>
        (await because('slow', 'PROBE_FAILED')).found.sentence.includes('HTTP 403: {"error":"who are you"}'),
      { withinMs: 25_000 },
    );
  });

  it('neither Consul nor the server answers', async () => {
    const agent = await startConsul();
    const alone = await startConsulRouter(agent.httpAddr);
    cleanUp.push(() => alone.stop());
    const backend = await startBackend();
    await register({ name: 'both', port: backend.port }, agent);
    await eventually(async () => (await explain('both.echo', alone)).subjects[0]?.verdict === 'available');
    await agent.stop();
    await backend.stop();
    const { found } = await because('both.echo', 'UNREACHABLE', alone, 25_000);
    expect(found.sentence).toContain('did not answer pings');
  }, 60_000);

  it('the router keeps calls away: weights of versions, and failures', async () => {
    await serve({ name: 'old', id: 'old-1', meta: { 'mcp-version': '1' } });
    await serve({ name: 'old', id: 'old-2', meta: { 'mcp-version': '2' } });
    cleanUp.push(() => consulApi(consul, 'DELETE', 'kv/mcp-router/services/old'));
    await consulApi(consul, 'PUT', 'kv/mcp-router/services/old', { versions: { '1': 0, '2': 1 } });
    const { found } = await because('old.echo', 'ROUTER_SAYS_NO');
    expect(found.sentence).toContain('old-1: Its version (1) has the weight 0');

    const bad = await serve({ name: 'flaky', id: 'flaky-1', meta: { 'mcp-session': 'stateless' } });
    await serve({ name: 'flaky', id: 'flaky-2', meta: { 'mcp-session': 'stateless' } });
    await eventually(async () => (await available('flaky')).call?.candidates[1]?.share !== 0);
    bad.on['tools/call'] = ({ response }) => void response.destroy();
    const session = await RawSession.open(`${router.url}/mcp`);
    await eventually(
      async () => {
        await session.call('flaky__echo');
        const { subjects } = await explain('flaky.echo');
        return subjects[0]?.findings.some(({ sentence }) =>
          sentence.includes('flaky-1: Its last calls failed'),
        );
      },
      { everyMs: 5 },
    );
  });

  it('HTTP+SSE that was not registered as such', async () => {
    const server = await startEverythingSse();
    cleanUp.push(() => server.stop());
    await register({ name: 'older', port: server.port, meta: { 'mcp-path': '/sse' } });
    expect((await because('older', 'TRANSPORT_FOUND')).found.sentence).toContain('mcp-transport=sse');
  });
});

describe('what a server lists', () => {
  const everyList = { tools: {}, prompts: {}, resources: {} };

  it('an item that clients would refuse, and one that is there twice', async () => {
    await serve({ name: 'odd' }, { tools: [{ name: 'broken' }, simpleTool('twin'), simpleTool('twin')] });
    const { found, subject } = await because('odd.broken', 'INVALID_ITEM');
    expect(found.sentence).toContain('inputSchema');
    expect(subject.verdict).toBe('unavailable');
    await because('odd.twin', 'DUPLICATE_ITEM');
    await available('odd.twin');
    expect((await explain('odd')).subjects[0]?.verdict).toBe('partly');
  });

  it('no such item in a service that is there', async () => {
    await serve({ name: 'small' });
    await available('small');
    const { found, subject } = await because('small__ecko', 'NO_SUCH_ITEM');
    expect(found.sentence).toContain(
      'No instance of small lists a tool, prompt or resource ecko. It has echo.',
    );
    expect(subject).toMatchObject({ kind: 'unknown item', verdict: 'unavailable' });
  });

  it('a list that fails, goes in circles, or does not end', async () => {
    await serve(
      { name: 'lists' },
      {
        capabilities: everyList,
        on: {
          'prompts/list': ({ json }) => json(500, 'database is locked'),
          'resources/list': ({ result }) =>
            result({ resources: [{ uri: 'a:1', name: 'a' }], nextCursor: 'again' }),
        },
      },
    );
    expect((await because('lists.missing', 'LIST_FAILED', router, 25_000)).found.sentence).toContain(
      'database is locked',
    );
    expect((await because('lists.missing', 'CYCLIC_PAGES')).found.sentence).toContain('leads back');
    let page = 0;
    await serve(
      { name: 'endless' },
      {
        on: {
          'tools/list': ({ result }) => result({ tools: [simpleTool(`t${page}`)], nextCursor: `c${++page}` }),
        },
      },
    );
    expect((await because('endless.x', 'TOO_MANY_PAGES', router, 25_000)).found.sentence).toContain('pages');
  });

  it('a deploy under way: what only the minority has, and what instances have otherwise', async () => {
    const common = simpleTool('common');
    await serve({ name: 'rolling', id: 'r1' }, { tools: [common, simpleTool('changed')] });
    await serve({ name: 'rolling', id: 'r2' }, { tools: [common, simpleTool('changed')] });
    const third = [common, { ...simpleTool('changed'), description: 'other' }, simpleTool('brand-new')];
    await serve({ name: 'rolling', id: 'r3' }, { tools: third });
    const { found, subject } = await because('rolling.brand-new', 'NOT_ADVERTISED');
    expect(found.sentence).toContain('Only r3 of 3 instances has it');
    expect(subject.versions).toHaveLength(2);
    const { found: some, subject: changed } = await because('rolling.changed', 'SOME_INSTANCES');
    expect(some.sentence).toBe('r3 has it otherwise or not at all, and gets no calls of it.');
    expect(changed.call?.candidates.find(({ serviceId }) => serviceId === 'r3')).toMatchObject({
      share: 0,
      why: 'It has this otherwise than it is listed, or not at all.',
    });
  });

  it('what clients of one era would refuse', async () => {
    const modern = { ...simpleTool('rows'), outputSchema: { type: 'array', items: { type: 'string' } } };
    await serve({ name: 'eras' }, { tools: [modern, simpleTool('both')] });
    const { found, subject } = await because('eras.rows', 'ONE_ERA');
    expect(found.sentence).toContain('Clients of revisions up to 2025-11-25 would refuse it');
    expect(subject.verdict).toBe('partly');
  });
});

describe('names and views', () => {
  it('mcp-tools-deny and mcp-tools-allow, with the glob', async () => {
    await serve({ name: 'denied', meta: { 'mcp-tools-deny': 'nothing, wri*' } });
    const { found, subject } = await because('denied.write', 'TOOLS_DENY');
    expect(found.sentence).toBe('mcp-tools-deny of denied hides write by "wri*".');
    expect(subject.verdict).toBe('unavailable');
    await serve({ name: 'allowed', meta: { 'mcp-tools-allow': 'e*' } });
    expect((await because('allowed.write', 'TOOLS_ALLOW')).found.sentence).toContain('matches none of it');
    await available('allowed.echo');
  });

  it('two services claim a name, and a URI', async () => {
    const options: BackendOptions & { on: Backend['on'] } = {
      capabilities: { tools: {}, resources: {} },
      on: { 'resources/list': ({ result }) => result({ resources: [{ uri: 'doc://one', name: 'one' }] }) },
    };
    await serve({ name: 'first', meta: { 'mcp-namespace': 'shared' } }, options);
    await serve({ name: 'second', meta: { 'mcp-namespace': 'shared' } }, options);
    const { found, explanation } = await because('shared.echo', 'NAME_CONFLICT');
    expect(found.mend ?? found.sentence).toContain('mcp-namespace');
    expect(explanation.subjects.map(({ service }) => service)).toContain('first');
    expect((await because('doc://one', 'URI_CONFLICT')).found.sentence).toContain('second');
  });

  it('a name that clients would not take', async () => {
    const long = 'a'.repeat(70);
    await serve({ name: 'named' }, { tools: [simpleTool(long)] });
    const { found, subject } = await because(long, 'NAME_CHANGED');
    expect(found.sentence).toContain(subject.listedAs[0]);
  });

  it('an item that is not on the first page', async () => {
    const paged = await startConsulRouter(consul.httpAddr, { pageSize: 1 });
    cleanUp.push(() => paged.stop());
    await serve({ name: 'pages' });
    const { found } = await because('pages.write', 'LATER_PAGE', paged);
    expect(found.sentence).toMatch(/number \d+ of the list at \/mcp, and a page has 1/);
  });
});

describe('client sessions', () => {
  async function inspect(id: string, at = router): Promise<ExplainedSession> {
    const response = await fetch(`${at.adminUrl}/api/v1/explain`, { headers: { 'mcp-session-id': id } });
    const explained = (await response.json()) as ExplainedSession;
    for (const { code } of explained.findings) seen.add(code);
    return explained;
  }

  it('one that works, with where it is; the id does not come back', async () => {
    await serve({ name: 'host' });
    await available('host');
    const session = await RawSession.open(`${router.url}/mcp`);
    await session.call('host__echo');
    const explained = await inspect(session.id);
    expect(explained).toMatchObject({
      verdict: 'available',
      session: { path: '/mcp', backends: { host: /host/ } },
    });
    expect(JSON.stringify(explained)).not.toContain(session.id);
  });

  it('at another replica, ended, too old, and sealed by nobody here', async () => {
    const session = await RawSession.open(`${router.url}/mcp`);
    const other = await startConsulRouter(consul.httpAddr, {}, [key]);
    cleanUp.push(() => other.stop());
    expect((await inspect(session.id, other)).findings[0]?.code).toBe('SESSION_ELSEWHERE');
    await fetch(`${router.url}/mcp`, { method: 'DELETE', headers: { 'mcp-session-id': session.id } });
    expect((await inspect(session.id)).findings[0]?.sentence).toBe('The client ended this session.');
    const stranger = await startConsulRouter(consul.httpAddr);
    cleanUp.push(() => stranger.stop());
    expect((await inspect(session.id, stranger)).findings[0]?.mend).toContain('MCP_ROUTER_SECRET');
  });

  it('one that is too old', async () => {
    const { ClientSessions } = await import('../../../src/gateway/client-sessions.ts');
    const { Sealer } = await import('../../../src/gateway/sealed-id.ts');
    const { explainSession } = await import('../../../src/explain/session.ts');
    const session = await RawSession.open(`${router.url}/mcp`);
    const later = new ClientSessions({
      sealer: new Sealer([key]),
      maxAgeMs: 3_600_000,
      maxSessions: 1,
      wallClock: () => Date.now() + 7_200_000,
      now: () => 0,
    } as unknown as ConstructorParameters<typeof ClientSessions>[0]);
    const [found] = explainSession(later.inspect(session.id)).findings;
    seen.add(found!.code);
    expect(found).toMatchObject({
      code: 'SESSION_TOO_OLD',
      sentence: 'This session was opened 2.0 hours ago.',
    });
  });
});

it('asked for nothing, says what to ask', async () => {
  for (const query of ['', '?name=', `?name=${'x'.repeat(5000)}`]) {
    const response = await fetch(`${router.adminUrl}/api/v1/explain${query}`);
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('?name=TOOL');
  }
});

it('every reason in the table was brought about by a test above', () => {
  expect(Object.keys(reasonTable).filter((code) => !seen.has(code))).toEqual([]);
});
