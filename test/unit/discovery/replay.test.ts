import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  blocking,
  healthEntry,
  hold,
  json,
  startStandIn,
  watch,
  type Handler,
  type StandIn,
  type Watched,
} from '../../support/consul-stand-in.ts';
import { eventually } from '../../support/eventually.ts';

let consul: StandIn;
const running: Watched[] = [];

beforeEach(async () => {
  consul = await startStandIn();
});
afterEach(async () => {
  for (const each of running.splice(0)) each.stop();
  await consul.stop();
});

function start(...args: Parameters<typeof watch> | []): Watched {
  const [addresses = [consul.address], more = {}] = args;
  const watched = watch(addresses, more);
  running.push(watched);
  return watched;
}

const NAMES = 'catalog/services';
const HEALTH = 'health/service/s';

/** Answers at once the first time, then blocks: what a quiet Consul does. */
const quiet =
  (body: unknown, index: number): Handler =>
  (query, response) =>
    Number(query.get('index') ?? 0) === index ? hold(response) : json(response, body, index);

/** One service with one instance, believed. */
async function settled(more: Parameters<typeof watch>[1] = {}): Promise<Watched> {
  consul.on.set(NAMES, quiet({ s: ['mcp'] }, 10));
  consul.on.set(HEALTH, quiet([healthEntry('a')], 10));
  const watched = start([consul.address], more);
  await eventually(() => watched.instances()?.join() === 'a');
  return watched;
}

describe('the index of a blocking query', () => {
  it('is sent back as it came, with the wait; the first query has none', async () => {
    await settled({ waitMs: 30_000 });
    await eventually(() => consul.count(HEALTH) === 2);
    const [first, second] = consul.requests.filter((request) => request.path === HEALTH);
    expect(first?.query.has('index')).toBe(false);
    expect(second?.query.get('index')).toBe('10');
    expect(second?.query.get('wait')).toBe('30000ms');
  });

  it('keeps its digits beyond 2^53', async () => {
    const index = '9007199254740993123';
    consul.on.set(NAMES, (query, response) =>
      query.has('index') ? hold(response) : json(response, {}, index),
    );
    start();
    await eventually(() => consul.requests.some((request) => request.query.get('index') === index));
  });

  it('that goes back starts over from the beginning', async () => {
    consul.on.set(NAMES, (query, response) => {
      const index = query.get('index');
      if (index === null) json(response, { s: ['mcp'] }, consul.count(NAMES) === 1 ? 100 : 40);
      else if (index === '100') json(response, { s: ['mcp'] }, 40);
      else return hold(response);
      return undefined;
    });
    consul.on.set(HEALTH, quiet([healthEntry('a')], 10));
    start();
    await eventually(() => consul.count(NAMES) >= 4);
    const sent = consul.requests
      .filter((request) => request.path === NAMES)
      .map((request) => request.query.get('index'));
    expect(sent.slice(0, 4)).toEqual([null, '100', null, '40']);
  });

  it('of 0 is taken as 1: otherwise nothing would ever block', async () => {
    consul.on.set(NAMES, (query, response) =>
      query.get('index') === '1' ? hold(response) : json(response, { s: ['mcp'] }, 0),
    );
    consul.on.set(HEALTH, quiet([healthEntry('a')], 10));
    const watched = start();
    await eventually(() => watched.instances()?.join() === 'a');
    await eventually(() =>
      consul.requests.some((request) => request.path === NAMES && request.query.get('index') === '1'),
    );
  });

  it('is forgotten after an error: one of an earlier life would block through changes', async () => {
    const watched = await settled();
    consul.on.set(
      HEALTH,
      (_, response) =>
        void response.writeHead(500, { 'x-consul-index': '1' }).end('rpc error making call: EOF'),
    );
    consul.requests.length = 0;
    await restartBlocked(watched);
    await eventually(() => consul.count(HEALTH) >= 2);
    expect(
      consul.requests
        .filter((request) => request.path === HEALTH)
        .map((request) => request.query.get('index')),
    ).toContain(null);
    expect(consul.requests.some((request) => request.query.get('index') === '1')).toBe(false);
  });

  it.each([
    ['429', 429, 'text/plain'],
    ['403', 403, 'text/plain'],
    ['a login page', 200, 'text/html'],
  ])('is forgotten after %s, too', async (_, status, type) => {
    const sent: (string | null)[] = [];
    consul.on.set(NAMES, quiet({ s: ['mcp'] }, 10));
    consul.on.set(HEALTH, (query, response) => {
      sent.push(query.get('index'));
      if (sent.length === 1) json(response, [healthEntry('a')], 10);
      else if (sent.length === 2) response.writeHead(status, { 'content-type': type }).end('no');
      else return hold(response);
      return undefined;
    });
    start();
    await eventually(() => sent.length === 3);
    expect(sent).toEqual([null, '10', null]);
  });

  it('is forgotten also by a query that was only pausing while the agent died', async () => {
    // The names change all the time, so that their query pauses; the other one meets the failure.
    let index = 10;
    consul.on.set(NAMES, (_, response) => json(response, { s: ['mcp'] }, ++index));
    consul.on.set(HEALTH, quiet([healthEntry('a')], 10));
    const watched = start();
    await eventually(() => watched.instances()?.join() === 'a');
    await eventually(() => consul.count(NAMES) >= 5);
    consul.on.set(NAMES, (query, response) =>
      query.has('index') ? hold(response) : json(response, { s: ['mcp'], t: ['mcp'] }, 5),
    );
    consul.on.set('health/service/t', quiet([healthEntry('b')], 5));
    await restartBlocked(watched);
    await eventually(() => watched.instances('t')?.join() === 'b');
  });

  it('is missing: a proxy stands between; what was known is kept', async () => {
    const watched = await settled();
    consul.on.set(
      HEALTH,
      (_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('[]'),
    );
    await restartBlocked(watched);
    await eventually(() => watched.errors.includes('garbage'));
    expect(watched.instances()).toEqual(['a']);
  });
});

/** Ends the requests that block now, as an agent does that dies: the loops ask again. */
async function restartBlocked(_watched: Watched): Promise<void> {
  const { on } = consul;
  const address = Number(consul.address.split(':')[1]);
  await consul.stop();
  const again = await startStandInAt(address);
  for (const [path, handler] of on) again.on.set(path, handler);
  consul = again;
}

async function startStandInAt(port: number): Promise<StandIn> {
  return eventually(() => startStandIn(port));
}

describe('an answer that is not to be believed leaves everything as it was', () => {
  const bodies: [string, Handler, string][] = [
    [
      'a login page with status 200',
      (_, response) =>
        void response
          .writeHead(200, { 'content-type': 'text/html', 'x-consul-index': '12' })
          .end('<html>Sign in</html>'),
      'garbage',
    ],
    ['JSON that is cut', (_, response) => json(response, '[{"Node":{"Node":"n1"', 12), 'garbage'],
    ['JSON of another shape', (_, response) => json(response, { message: 'hello' }, 12), 'garbage'],
    ['null', (_, response) => json(response, 'null', 12), 'garbage'],
    [
      'a broken gzip body',
      (_, response) => json(response, 'no gzip', 12, { 'content-encoding': 'gzip' }),
      'garbage',
    ],
    [
      '500 No cluster leader',
      (_, response) => void response.writeHead(500).end('No cluster leader'),
      'server-error',
    ],
    [
      '500 No known Consul servers',
      (_, response) => void response.writeHead(500).end('No known Consul servers'),
      'server-error',
    ],
    [
      '503 without an index',
      (_, response) => void response.writeHead(503).end('error reading from server: EOF'),
      'server-error',
    ],
    [
      '429',
      (_, response) =>
        void response
          .writeHead(429, { 'content-type': 'text/plain', connection: 'close' })
          .end('Your IP is issuing too many concurrent connections, please rate limit your calls\n'),
      'rate-limited',
    ],
    ['403 ACL not found', (_, response) => void response.writeHead(403).end('ACL not found'), 'refused'],
    ['a connection reset', (_, response) => void response.socket?.destroy(), 'unreachable'],
    [
      'a body cut in the middle',
      (_, response) => {
        response.writeHead(200, {
          'content-type': 'application/json',
          'content-length': '1000',
          'x-consul-index': '12',
        });
        response.write('[{"Node"', () => response.socket?.destroy());
      },
      'unreachable',
    ],
    [
      'nothing at index 1: a server without a leader (1.22)',
      (_, response) =>
        json(response, [], 1, { 'x-consul-knownleader': 'false', 'x-consul-query-backend': 'streaming' }),
      'empty-at-start',
    ],
  ];

  it.each(bodies)('%s', async (_, handler, reason) => {
    const watched = await settled();
    consul.on.set(HEALTH, handler);
    await restartBlocked(watched);
    await eventually(() => watched.snapshots.at(-1)?.services.get('s' as never)?.doubt === reason);
    expect(watched.instances()).toEqual(['a']);
    // It is over soon and asked for again, not when a blocking query would time out.
    await eventually(() => consul.count(HEALTH) >= 2, { withinMs: 5000 });
    // And it ends when Consul is well again.
    consul.on.set(HEALTH, quiet([healthEntry('a'), healthEntry('b')], 20));
    await eventually(() => watched.instances()?.join() === 'a,b', { withinMs: 20_000 });
    expect(watched.snapshots.at(-1)?.services.get('s' as never)?.doubt).toBeUndefined();
  });

  it.each(bodies)('as a list of names: %s', async (_, handler, reason) => {
    const watched = await settled();
    // A list of names is an object: nothing at index 1 looks like {}.
    consul.on.set(NAMES, reason === 'empty-at-start' ? (__, response) => json(response, {}, 1) : handler);
    await restartBlocked(watched);
    await eventually(
      () =>
        watched.snapshots.at(-1)?.doubt === reason ||
        (reason === 'garbage' && watched.snapshots.at(-1)?.doubt === 'garbage'),
    );
    expect(watched.instances()).toEqual(['a']);
    expect(watched.registry.status().datacenters[0]?.doubt).toBe(reason);
  });

  it('says in the log what it is and what to do', async () => {
    const watched = await settled();
    consul.on.set(
      HEALTH,
      (_, response) => void response.writeHead(429).end('Your IP is issuing too many concurrent connections'),
    );
    await restartBlocked(watched);
    const line = await eventually(() =>
      watched.logs.find((one) => String(one.fields?.['reason']).includes('429')),
    );
    expect(line.fields?.['reason']).toMatch(/http_max_conns_per_client.*MCP_ROUTER_CONSUL_MAX_QUERIES/);
    expect(line.fields?.['query']).toBe(HEALTH);
  });

  it('an error is logged once, not with every try', async () => {
    const watched = await settled();
    consul.on.set(HEALTH, (_, response) => void response.writeHead(500).end('No cluster leader'));
    await restartBlocked(watched);
    await eventually(() => consul.count(HEALTH) >= 4, { withinMs: 20_000 });
    expect(
      watched.logs.filter((one) => String(one.fields?.['reason']).includes('No cluster leader')),
    ).toHaveLength(1);
  });
});

describe('things that vanish', () => {
  const NONE = { consul: [] };

  it('an empty Consul after a restart (lower index) is held, then filled again', async () => {
    const watched = await settled();
    consul.on.set(NAMES, quiet(NONE, 5));
    consul.on.set(HEALTH, quiet([], 5));
    await restartBlocked(watched);
    await eventually(() => watched.snapshots.at(-1)?.doubt === 'mass-disappearance');
    expect(watched.instances()).toEqual(['a']);
    consul.on.set(NAMES, quiet({ s: ['mcp'] }, 8));
    consul.on.set(HEALTH, quiet([healthEntry('a', { Service: { ModifyIndex: 8 } })], 8));
    await restartBlocked(watched);
    await eventually(
      () =>
        watched.snapshots.at(-1)?.doubt === undefined &&
        watched.registry.status().datacenters[0]?.doubt === undefined,
      { withinMs: 20_000 },
    );
    expect(watched.instances()).toEqual(['a']);
  });

  it('what stays away is believed after the hold', async () => {
    const watched = await settled({ holdMs: 300 });
    consul.on.set(NAMES, quiet(NONE, 5));
    consul.on.set(HEALTH, quiet([], 5));
    await restartBlocked(watched);
    await eventually(() => watched.snapshots.at(-1)?.doubt === 'mass-disappearance');
    await eventually(
      () => watched.instances() === undefined && watched.snapshots.at(-1)?.doubt === undefined,
    );
  });

  it('a narrowed token shows less at the same index, or says that it filtered: held', async () => {
    for (const headers of [{}, { 'x-consul-results-filtered-by-acls': 'true' }]) {
      const watched = await settled();
      const index = 'x-consul-results-filtered-by-acls' in headers ? 30 : 10;
      consul.on.set(NAMES, (query, response) =>
        query.get('index') === String(index) ? hold(response) : json(response, {}, index, headers),
      );
      await restartBlocked(watched);
      await eventually(() => watched.snapshots.at(-1)?.doubt === 'filtered');
      expect(watched.instances()).toEqual(['a']);
      watched.stop();
    }
  });

  it('a token that saw only part from the start is believed: it may be meant so', async () => {
    const headers = { 'x-consul-results-filtered-by-acls': 'true' };
    let names: Record<string, string[]> = { s: ['mcp'], t: ['mcp'] };
    let index = 10;
    consul.on.set(NAMES, async (query, response) => {
      while (query.get('index') === String(index) && !response.destroyed) await delay(10);
      json(response, names, index, headers);
    });
    consul.on.set(HEALTH, quiet([healthEntry('a')], 10));
    consul.on.set('health/service/t', quiet([healthEntry('b')], 10));
    const watched = start();
    await eventually(() => watched.instances('t')?.join() === 'b');
    names = { s: ['mcp'] };
    index = 11;
    await eventually(() => watched.instances('t') === undefined);
    expect(watched.snapshots.at(-1)?.doubt).toBeUndefined();
  });

  it('one service that is deregistered goes at once, and so does one instance of two, or three of four', async () => {
    let names: Record<string, string[]> = { s: ['mcp'], t: ['mcp'], consul: [] };
    let health = ['a', 'b', 'c', 'd'];
    let index = 10;
    const live =
      (body: () => unknown): Handler =>
      async (query, response) => {
        while (query.get('index') === String(index) && !response.destroyed) await delay(10);
        json(response, body(), index);
      };
    consul.on.set(
      NAMES,
      live(() => names),
    );
    consul.on.set(
      HEALTH,
      live(() => health.map((id) => healthEntry(id))),
    );
    consul.on.set(
      'health/service/t',
      live(() => [healthEntry('x')]),
    );
    const watched = start();
    await eventually(() => watched.instances()?.length === 4 && watched.instances('t')?.length === 1);
    health = ['d'];
    index++;
    await eventually(() => watched.instances()?.join() === 'd');
    names = { s: ['mcp'], consul: [] };
    index++;
    await eventually(() => watched.instances('t') === undefined);
    names = { consul: [] };
    health = [];
    index++;
    await eventually(() => watched.instances() === undefined);
    expect(watched.errors).toEqual([]);
  });

  it('all of several instances at once are held while the catalog still has the service', async () => {
    const live = blocking(() => ids.map((id) => healthEntry(id)));
    let ids = ['a', 'b'];
    consul.on.set(NAMES, quiet({ s: ['mcp'] }, 10));
    consul.on.set(HEALTH, live.handler);
    const watched = start();
    await eventually(() => watched.instances()?.length === 2);
    ids = [];
    live.changed();
    await eventually(
      () => watched.snapshots.at(-1)?.services.get('s' as never)?.doubt === 'mass-disappearance',
    );
    expect(watched.instances()).toEqual(['a', 'b']);
    // New ones take their place: then the old ones are gone.
    ids = ['c'];
    live.changed();
    await eventually(() => watched.instances()?.join() === 'c');
    expect(watched.snapshots.at(-1)?.services.get('s' as never)?.doubt).toBeUndefined();
  });

  it('a deployment that replaces all instances at once is believed', async () => {
    const live = blocking(() => ids.map((id) => healthEntry(id)));
    let ids = ['a', 'b'];
    consul.on.set(NAMES, quiet({ s: ['mcp'] }, 10));
    consul.on.set(HEALTH, live.handler);
    const watched = start();
    await eventually(() => watched.instances()?.length === 2);
    ids = ['c', 'd'];
    live.changed();
    await eventually(() => watched.instances()?.join() === 'c,d');
    expect(watched.snapshots.at(-1)?.services.get('s' as never)?.doubt).toBeUndefined();
  });

  it('most services at once are held; what appears meanwhile is served', async () => {
    const service = (name: string) =>
      consul.on.set(`health/service/${name}`, quiet([healthEntry(`${name}-1`)], 10));
    for (const name of ['s', 't', 'u', 'v']) service(name);
    consul.on.set(NAMES, quiet({ s: ['mcp'], t: ['mcp'], u: ['mcp'] }, 10));
    const watched = start();
    await eventually(() => watched.snapshots.at(-1)?.services.size === 3);
    consul.on.set(NAMES, quiet({ v: ['mcp'] }, 20));
    await restartBlocked(watched);
    await eventually(() => watched.instances('v')?.join() === 'v-1', { withinMs: 20_000 });
    expect(watched.snapshots.at(-1)?.services.size).toBe(4);
    expect(watched.snapshots.at(-1)?.doubt).toBe('mass-disappearance');
  });
});

describe('no busy loop', () => {
  it('against a server that answers at once with the same index', async () => {
    consul.on.set(NAMES, (_, response) => json(response, { s: ['mcp'] }, 10));
    consul.on.set(HEALTH, (_, response) => json(response, [healthEntry('a')], 10));
    const watched = start();
    await eventually(() => watched.instances()?.join() === 'a');
    await delay(2500);
    // The package's own watch makes 12 900 requests of this in 2.5 s.
    expect(consul.count(NAMES)).toBeLessThan(10);
    expect(consul.count(HEALTH)).toBeLessThan(10);
    expect(watched.snapshots).toHaveLength(1);
  });

  it('against one whose index rises all the time, though nothing changes', async () => {
    let index = 10;
    consul.on.set(NAMES, (_, response) => json(response, { s: ['mcp'] }, ++index));
    consul.on.set(HEALTH, quiet([healthEntry('a')], 10));
    const watched = start();
    await eventually(() => watched.instances()?.join() === 'a');
    const before = consul.count(NAMES);
    await delay(2500);
    expect(consul.count(NAMES) - before).toBeLessThan(12);
    expect(watched.snapshots).toHaveLength(1);
  });

  it('against one that fails at once: the pauses grow, and all queries share them', async () => {
    const watched = await settled();
    const fail: Handler = (_, response) => void response.writeHead(500).end('No known Consul servers');
    consul.on.set(NAMES, fail);
    consul.on.set(HEALTH, fail);
    await restartBlocked(watched);
    await delay(2500);
    expect(consul.requests.length).toBeLessThan(25);
  });

  it('waits as long as Retry-After says', async () => {
    const watched = await settled();
    consul.on.set(
      HEALTH,
      (_, response) => void response.writeHead(429, { 'retry-after': '2' }).end('slow down'),
    );
    consul.on.set(NAMES, (query, response) =>
      query.has('index') ? hold(response) : json(response, { s: ['mcp'] }, 10),
    );
    await restartBlocked(watched);
    await eventually(() => consul.count(HEALTH) >= 2, { withinMs: 10_000 });
    const times = consul.requests.filter((request) => request.path === HEALTH).map((request) => request.at);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1900);
  });
});

describe('what is quiet stays quiet', () => {
  it('streaming says KnownLeader false and LastContact 0 in a healthy cluster: no alarm', async () => {
    const headers = {
      'x-consul-query-backend': 'streaming',
      'x-consul-knownleader': 'false',
      'x-consul-lastcontact': '0',
    };
    consul.on.set(NAMES, quiet({ s: ['mcp'] }, 10));
    consul.on.set(HEALTH, (query, response) =>
      query.has('index') ? hold(response) : json(response, [healthEntry('a')], 10, headers),
    );
    const watched = start();
    await eventually(() => watched.instances()?.join() === 'a');
    expect(watched.errors).toEqual([]);
    expect(watched.logs.filter((line) => line.level === 'warn')).toEqual([]);
  });

  it('a check whose output changes makes no snapshot; one that flips does', async () => {
    let status = 'passing';
    let index = 10;
    consul.on.set(NAMES, quiet({ s: ['mcp'] }, 10));
    consul.on.set(HEALTH, async (query, response) => {
      while (query.get('index') === String(index) && !response.destroyed) await delay(10);
      json(
        response,
        [
          healthEntry('a', {
            Checks: [{ CheckID: 'c', Name: 'c', Status: status, ServiceID: 'a', Output: `at ${index}` }],
          }),
        ],
        index,
      );
    });
    const watched = start();
    await eventually(() => watched.instances()?.join() === 'a');
    for (let n = 0; n < 3; n++) {
      index++;
      await eventually(() => consul.requests.some((request) => request.query.get('index') === String(index)));
    }
    expect(watched.snapshots).toHaveLength(1);
    status = 'critical';
    index++;
    await eventually(() => watched.snapshots.length === 2);
    expect(watched.snapshots[1]?.services.get('s' as never)?.instances[0]).toMatchObject({
      state: 'critical',
    });
  });

  it('asks for gzip and reads it', async () => {
    consul.on.set(NAMES, (query, response, request) => {
      expect(request.headers['accept-encoding']).toBe('gzip');
      if (query.has('index')) return hold(response);
      response
        .writeHead(200, {
          'content-type': 'application/json',
          'x-consul-index': '10',
          'content-encoding': 'gzip',
        })
        .end(gzipSync('{"s":["mcp"]}'));
      return undefined;
    });
    consul.on.set(HEALTH, quiet([healthEntry('a')], 10));
    const watched = start();
    await eventually(() => watched.instances()?.join() === 'a');
  });
});

describe('credentials and addresses', () => {
  it('a token file that was replaced is read again on 403, and the call is made again at once', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'token-')), 'token');
    writeFileSync(file, 'old\n');
    const guarded =
      (inner: Handler): Handler =>
      (query, response, request) => {
        if (request.headers['x-consul-token'] === 'new') return inner(query, response, request);
        response.writeHead(403).end('ACL not found');
        return undefined;
      };
    consul.on.set(NAMES, guarded(quiet({ s: ['mcp'] }, 10)));
    consul.on.set(HEALTH, guarded(quiet([healthEntry('a')], 10)));
    const watched = start([consul.address], { tokenFile: file, token: 'ignored' });
    await eventually(() => watched.errors.includes('refused'));
    expect(watched.snapshots).toEqual([]);
    writeFileSync(file, 'new\n');
    await eventually(() => watched.instances()?.join() === 'a');
  });

  it('sends token, namespace, partition, datacenter and basic authentication', async () => {
    consul.on.set(NAMES, quiet({ s: ['mcp'] }, 10));
    consul.on.set(HEALTH, quiet([healthEntry('a')], 10));
    const watched = start([consul.address], {
      token: 'tok',
      namespace: 'team',
      partition: 'p1',
      auth: 'user:pa:ss',
      datacenters: ['dc9'],
    });
    await eventually(() => watched.instances()?.join() === 'a');
    for (const { query, headers } of consul.requests) {
      expect([query.get('ns'), query.get('partition'), query.get('dc')]).toEqual(['team', 'p1', 'dc9']);
      expect(headers['x-consul-token']).toBe('tok');
      expect(headers.authorization).toBe(`Basic ${Buffer.from('user:pa:ss').toString('base64')}`);
    }
  });

  it('an address that is dead gives way to the next', async () => {
    consul.on.set(NAMES, quiet({ s: ['mcp'] }, 10));
    consul.on.set(HEALTH, quiet([healthEntry('a')], 10));
    const watched = start(['127.0.0.1:1', consul.address]);
    await eventually(() => watched.instances()?.join() === 'a');
  });

  it('a service name of any characters is asked for as it is', async () => {
    const name = 'a b/é?x=1#y';
    consul.on.set(NAMES, quiet({ [name]: ['mcp'] }, 10));
    consul.on.set(`health/service/${encodeURIComponent(name)}`, quiet([healthEntry('a')], 10));
    const watched = start();
    await eventually(() => watched.instances(name)?.join() === 'a');
  });
});

describe('the first sync', () => {
  it('is complete when every service has answered, be it with an error', async () => {
    consul.on.set(NAMES, quiet({ s: ['mcp'], t: ['mcp'], broken: ['mcp'] }, 10));
    consul.on.set(HEALTH, quiet([healthEntry('a')], 10));
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    consul.on.set('health/service/t', async (query, response) => {
      if (query.has('index')) await hold(response);
      await held;
      json(response, [healthEntry('b')], 10);
    });
    consul.on.set('health/service/broken', (_, response) => void response.writeHead(403).end('no'));
    const watched = start();
    await eventually(() => consul.count(HEALTH) === 2);
    expect(watched.registry.status().synced).toBe(false);
    expect(watched.snapshots).toEqual([]);
    release();
    await eventually(() => watched.registry.status().synced);
    expect([...(watched.snapshots[0]?.services.keys() ?? [])].sort()).toEqual(['broken', 's', 't']);
  });

  it('is complete with no service at all', async () => {
    consul.on.set(NAMES, quiet({ consul: [] }, 10));
    const watched = start();
    await eventually(() => watched.registry.status().synced);
    expect(watched.snapshots[0]?.services.size).toBe(0);
  });

  it('does not take a server without a leader for an empty one', async () => {
    consul.on.set(NAMES, (_, response) => json(response, {}, 1));
    const watched = start();
    await eventually(() => consul.count(NAMES) >= 2);
    expect(watched.registry.status().synced).toBe(false);
    consul.on.set(NAMES, quiet({ consul: [] }, 10));
    await eventually(() => watched.registry.status().synced);
  });
});
