import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientSessions } from '../../../src/gateway/client-sessions.ts';
import type { ClientSession } from '../../../src/gateway/client-session.ts';
import { EventLogs } from '../../../src/gateway/event-logs.ts';
import { Sealer } from '../../../src/gateway/sealed-id.ts';
import type { RawJson, RoutingTable } from '../../../src/model.ts';
import { Connections } from '../../../src/upstream/connections.ts';
import { startBackend, type Backend } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession, type Message } from '../../support/mcp-client.ts';
import { anonymous } from '../../support/model.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import { at, registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startEverything } from '../../support/servers.ts';
import { allSights } from '../../support/sights.ts';
import { redisStore } from '../../support/stores.ts';

/** Routers with one key ring and one real store, in front of the same servers. */
let redis: RedisServer;
const ring = [randomBytes(32)];
const cleanUp: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  redis = await startRedis();
  cleanUp.push(() => redis.stop());
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

type Services = Parameters<HandRouter['register']>;

async function router(services: Services, flags: Record<string, unknown> = {}): Promise<HandRouter> {
  const started = await startHandRouter({ store: redis.url, ...flags }, ring);
  cleanUp.push(() => started.stop());
  started.register(...services);
  const probe = await RawSession.open(`${started.url}/mcp`);
  await eventually(async () => {
    const names = await probe.toolNames();
    return services.every(({ name }) => names.some((tool) => tool.startsWith(`${name}__`)));
  });
  await probe.end();
  return started;
}

/** A server that says in which session it was called. */
async function telling(): Promise<Backend> {
  const backend = await startBackend();
  cleanUp.push(() => backend.stop().catch(() => undefined));
  backend.on['tools/call'] = ({ request, result, json, message }) => {
    const session = String(request.headers['mcp-session-id']);
    if (backend.sessions.has(session)) result({ content: [{ type: 'text', text: session }] });
    else {
      const error = { code: -32_001, message: 'Session not found' };
      json(404, JSON.stringify({ jsonrpc: '2.0', id: message.id, error }));
    }
  };
  return backend;
}

/** The same client at another replica: all that it has is its session id. */
const elsewhere = (session: RawSession, other: HandRouter): RawSession =>
  RawSession.resume(`${other.url}${new URL(session.url).pathname}`, session.id);
const text = (message: Message): string =>
  (message.result?.['content'] as { text: string }[] | undefined)?.[0]?.text ?? JSON.stringify(message.error);
const call = async (session: RawSession, name = 'one__echo'): Promise<string> =>
  text(await session.call(name));
const warnings = ({ logs }: HandRouter) => logs.filter(({ level }) => level === 'warn');

describe('another replica', () => {
  it('goes on in the same session at a real server, and so does a router after a restart', async () => {
    const server = await startEverything();
    cleanUp.push(() => server.stop());
    const services: Services = [registered('everything', [['a', server.port]])];
    const [first, second] = [await router(services), await router(services)];
    const session = await RawSession.open(`${first.url}/mcp`);
    // What this tool does depends on what was done in the same session before.
    const toggle = (at: RawSession) => call(at, 'everything__toggle-simulated-logging');
    expect(await toggle(session)).toMatch(/^Started/);
    expect(await toggle(elsewhere(session, second))).toMatch(/^Stopped/);
    expect(await toggle(session)).toMatch(/^Started/);
    await first.stop();
    await second.stop();
    const third = await router(services);
    expect(await toggle(elsewhere(session, third))).toMatch(/^Stopped/);
  });

  it('learns nothing where nothing is shared: a stop ends sessions at backends, and the next opens others', async () => {
    const backend = await telling();
    const services: Services = [registered('one', [['a', backend.port]])];
    const first = await router(services, { store: 'memory' });
    const session = await RawSession.open(`${first.url}/mcp`);
    const inFirst = await call(session);
    const second = await router(services, { store: 'memory' });
    expect(await call(elsewhere(session, second))).not.toBe(inFirst);
    await first.stop();
    expect(backend.sessions.has(inFirst)).toBe(false);
  });

  it('a stop leaves sessions to the others, and only those', async () => {
    const backend = await telling();
    const services: Services = [registered('one', [['a', backend.port]])];
    const first = await router(services);
    const session = await RawSession.open(`${first.url}/mcp`);
    const used = await call(session);
    await first.stop();
    expect([...backend.sessions]).toEqual([used]);
    const second = await router(services);
    expect(await call(elsewhere(session, second))).toBe(used);
  });

  it('goes to the instance where the client was, not where it would have begun', async () => {
    const [one, two] = [await telling(), await telling()];
    const first = await router([registered('one', [['a', one.port]])]);
    const sessions = await Promise.all(Array.from({ length: 8 }, () => RawSession.open(`${first.url}/mcp`)));
    const used = await Promise.all(sessions.map((session) => call(session)));
    const both: Services = [
      registered('one', [
        ['a', one.port],
        ['b', two.port],
      ]),
    ];
    const second = await router(both);
    await eventually(
      async () => (await raw(`${second.adminUrl}/metrics`, { method: 'GET' })).text.length > 0,
    );
    await eventually(async () => {
      const answer = await raw(`${second.adminUrl}/api/v1/services`, { method: 'GET' });
      return (JSON.parse(answer.text) as { services: { healthy: number }[] }).services[0]?.healthy === 2;
    });
    expect(await Promise.all(sessions.map((session) => call(elsewhere(session, second))))).toEqual(used);
  });

  it('opening at the same time: one session is left, and both use it', async () => {
    const backend = await telling();
    const services: Services = [registered('one', [['a', backend.port]])];
    const [first, second] = [await router(services), await router(services)];
    const session = await RawSession.open(`${first.url}/mcp`);
    const before = backend.sessions.size;
    // Nobody is answered before both have come.
    const waiting: (() => void)[] = [];
    backend.on['notifications/initialized'] = ({ response }) => {
      waiting.push(() => response.writeHead(202).end());
      if (waiting.length === 2) for (const answer of waiting) answer();
    };
    const used = await Promise.all([call(session), call(elsewhere(session, second))]);
    expect(waiting).toHaveLength(2);
    expect(used[0]).toBe(used[1]);
    expect(await call(elsewhere(session, second))).toBe(used[0]);
    expect(await call(session)).toBe(used[0]);
    await eventually(() => backend.sessions.size === before + 1);
  });

  it('DELETE at any replica ends the session at backends and at all replicas', async () => {
    const backend = await telling();
    const services: Services = [registered('one', [['a', backend.port]])];
    const [first, second, third] = [await router(services), await router(services), await router(services)];
    const session = await RawSession.open(`${first.url}/mcp`);
    const used = await call(session);
    expect((await elsewhere(session, second).end()).status).toBe(200);
    await eventually(() => !backend.sessions.has(used));
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    // One that worked for it is told; one that never saw it asks.
    await eventually(async () => (await session.post(ping)).status === 404);
    expect((await elsewhere(session, third).post(ping)).status).toBe(404);
    expect(await redis.dump()).not.toContain(used);
  });

  it('a session that the backend forgot is opened anew once, for all', async () => {
    const backend = await telling();
    const services: Services = [registered('one', [['a', backend.port]])];
    const [first, second] = [await router(services), await router(services)];
    const session = await RawSession.open(`${first.url}/mcp`);
    const there = elsewhere(session, second);
    const used = await call(session);
    expect(await call(there)).toBe(used);
    backend.sessions.delete(used);
    const renewed = await call(there);
    expect(renewed).not.toBe(used);
    expect(await call(session)).toBe(renewed);
    // And one that comes later does not meet the dead one either.
    expect(await call(elsewhere(session, await router(services)))).toBe(renewed);
  });

  it('hears what a backend says by itself in a session that another replica opened', async () => {
    const backend = await telling();
    const services: Services = [registered('one', [['a', backend.port]])];
    const [first, second] = [await router(services), await router(services)];
    const session = await RawSession.open(`${first.url}/mcp`);
    const stream = await fetch(session.url, {
      headers: { accept: 'text/event-stream', 'mcp-session-id': session.id },
    });
    let heard = '';
    void stream.body
      ?.pipeTo(
        new WritableStream({ write: (chunk: Uint8Array) => void (heard += Buffer.from(chunk).toString()) }),
      )
      .catch(() => undefined);
    await call(elsewhere(session, second));
    await eventually(() => {
      backend.notify({
        jsonrpc: '2.0',
        method: 'notifications/message',
        params: { level: 'info', data: 'hello' },
      });
      return heard.includes('hello');
    });
  });

  it('a client session that begins here asks the store nothing before its first call', async () => {
    const backend = await telling();
    const first = await router([registered('one', [['a', backend.port]])]);
    await redis.command('CONFIG', 'RESETSTAT');
    const session = await RawSession.open(`${first.url}/mcp`);
    await call(session);
    await call(session);
    const stats = String(await redis.command('INFO', 'commandstats'));
    const calls = (command: string) => new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1];
    // The one reading is the script's own, which says what stands.
    expect([calls('eval'), calls('hget'), calls('hgetall')]).toEqual(['1', '1', undefined]);
  });
});

describe('the loss of the store', () => {
  async function storeUp(of: HandRouter): Promise<string | undefined> {
    const { text: page } = await raw(`${of.adminUrl}/metrics`, { method: 'GET' });
    return /mcp_router_store_up\{store="redis"\} (\d)/.exec(page)?.[1];
  }

  it.each([
    ['it dies and comes back empty', () => redis.kill(), () => redis.restart()],
    ['it stops answering', () => Promise.resolve(redis.freeze()), () => Promise.resolve(redis.thaw())],
  ])('%s: no client sees an error, and there is one warning', async (_, lose, bringBack) => {
    const backend = await telling();
    const services: Services = [registered('one', [['a', backend.port]])];
    const first = await router(services);
    expect(await storeUp(first)).toBe('1');
    const old = await RawSession.open(`${first.url}/mcp`);
    const used = await call(old);
    const over = new AbortController();
    const errors: string[] = [];
    const work = Array.from({ length: 4 }, async () => {
      while (!over.signal.aborted) {
        const session = await RawSession.open(`${first.url}/mcp`);
        for (let turn = 0; turn < 3; turn++) {
          const answer = await session.call('one__echo');
          if (answer.error) errors.push(JSON.stringify(answer.error));
        }
        await session.end();
        if ((await call(old)) !== used) errors.push('the session at the backend changed');
      }
    });
    await lose();
    await eventually(async () => (await storeUp(first)) === '0');
    const during = await RawSession.open(`${first.url}/mcp`);
    const usedDuring = await call(during);
    await bringBack();
    await eventually(async () => (await storeUp(first)) === '1');
    over.abort();
    await Promise.all(work);
    expect(errors).toEqual([]);
    expect(warnings(first)).toHaveLength(1);
    expect(first.logs.filter(({ message }) => message.includes('is back'))).toHaveLength(1);
    // What was before the outage and what came during it is known to another replica now.
    const second = await router(services);
    await eventually(async () => {
      const kept = (await redis.dump()).match(/^mcp-router:session:\S+ hash .*"@"/gm) ?? [];
      return kept.length >= 2;
    });
    expect(await call(elsewhere(old, second))).toBe(used);
    expect(await call(elsewhere(during, second))).toBe(usedDuring);
  });

  it('is counted, and a stop meanwhile ends sessions at backends', async () => {
    const backend = await telling();
    const first = await router([registered('one', [['a', backend.port]])]);
    const session = await RawSession.open(`${first.url}/mcp`);
    const used = await call(session);
    redis.freeze();
    const fresh = await RawSession.open(`${first.url}/mcp`);
    expect(await call(fresh)).toBeTruthy();
    const page = await raw(`${first.adminUrl}/metrics`, { method: 'GET' });
    expect(page.text).toMatch(/mcp_router_store_failures_total\{operation="remember"\} 1/);
    await eventually(() => warnings(first).length === 1);
    await first.stop();
    expect(backend.sessions.has(used)).toBe(false);
    redis.thaw();
  });

  it.each([
    ['a wrong password', () => redis.url.replace('redis://', 'redis://:wrong@')],
    ['nobody there', () => 'redis://127.0.0.1:1'],
  ])('%s at the start is one warning, and everything works', async (_, store) => {
    await redis.command('CONFIG', 'SET', 'requirepass', 'right');
    const backend = await telling();
    const first = await router([registered('one', [['a', backend.port]])], { store: store() });
    const session = await RawSession.open(`${first.url}/mcp`);
    expect(await call(session)).toBe(await call(session));
    expect(warnings(first)).toHaveLength(1);
    expect(await storeUp(first)).toBe('0');
    expect(JSON.stringify(first.logs)).not.toContain('wrong@');
  });
});

describe('a client that has gone quiet', () => {
  /** The sessions of one replica, its clock moved by hand, with its own connection to the store. */
  async function replica(backend: Backend) {
    let now = 0;
    const { store } = redisStore(redis.port);
    await store.start();
    const connections = new Connections({ connectTimeoutMs: 1000 });
    const instance = at('one', 'a', backend.port);
    const table = {
      services: new Map([[instance.service, { instances: new Map([[instance.id, instance]]) }]]),
    } as unknown as RoutingTable;
    const clock = (): number => now;
    const sessions = new ClientSessions({
      sealer: new Sealer(ring),
      table: () => table,
      place: () => undefined,
      sights: allSights(() => table),
      store,
      events: new EventLogs(),
      backends: {
        connections,
        handshakeTimeoutMs: 5000,
        now: clock,
        random: Math.random,
        wallClock: () => now,
      },
      maxSessions: 100,
      idleMs: 1000,
      maxAgeMs: 1_000_000,
      wallClock: () => now,
      now: clock,
    });
    cleanUp.push(async () => {
      await sessions.close();
      await store.stop();
      await connections.destroy();
    });
    const open = (session: ClientSession) =>
      session.backends.open({ instance } as unknown as Parameters<ClientSession['backends']['open']>[0]);
    return {
      sessions,
      open,
      pass(ms: number) {
        now += ms;
        sessions.sweep();
      },
    };
  }
  const seal = {
    identity: anonymous.digest,
    path: '/mcp',
    names: 'portable',
    tools: 'full',
    protocolVersion: '2025-11-25',
    clientInfo: '{"name":"c","version":"1"}' as RawJson,
    capabilities: '{}' as RawJson,
  } as const;
  const scope = { kind: 'all' } as const;

  it('at one replica keeps its sessions at backends while it is busy at another, and loses them when it is not', async () => {
    const backend = await telling();
    const [one, two] = [await replica(backend), await replica(backend)];
    const created = one.sessions.create(seal, anonymous, scope);
    const { id } = await one.open(created);
    const found = two.sessions.find(created.sealed, anonymous, '/mcp', scope);
    await two.sessions.restoring(found);
    expect((await two.open(found)).id).toBe(id);
    const touches = async () =>
      /cmdstat_eval:calls=(\d+)/.exec(String(await redis.command('INFO', 'commandstats')))?.[1];
    const before = await touches();
    // The second replica took it over when it found it; from then on the first has no say.
    one.pass(2000);
    expect(one.sessions.size).toBe(0);
    await eventually(async () => (await touches()) !== before);
    expect(backend.sessions.has(String(id))).toBe(true);
    two.pass(2000);
    await eventually(() => !backend.sessions.has(String(id)));
    await eventually(async () => !(await redis.dump()).includes('"@"'));
  });
});
