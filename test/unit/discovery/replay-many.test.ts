import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConsulClient } from '../../../src/discovery/consul-client.ts';
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

// As in replay.test.ts a stand-in answers, with what several agents, many services or several datacenters say.

const standIns: StandIn[] = [];
const running: Watched[] = [];
let consul: StandIn;

const another = async (): Promise<StandIn> => {
  const standIn = await startStandIn();
  standIns.push(standIn);
  return standIn;
};
beforeEach(async () => {
  consul = await another();
});
afterEach(async () => {
  for (const each of running.splice(0)) each.stop();
  for (const each of standIns.splice(0)) await each.stop();
});

function start(...args: Parameters<typeof watch>): Watched {
  const watched = watch(...args);
  running.push(watched);
  return watched;
}

const NAMES = 'catalog/services';
const STATE = 'health/state/any';
const health = (name: string): string => `health/service/${name}`;

describe('several addresses', () => {
  const useless: [string, Handler][] = [
    [
      'an agent that lost its servers',
      (_, response) => void response.writeHead(500).end('No known Consul servers'),
    ],
    ['something that is not Consul', (_, response) => void response.writeHead(404).end('404 page not found')],
    [
      'a login page',
      (_, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
    ],
    [
      'a redirect to a login page',
      (_, response) => void response.writeHead(302, { location: '/login' }).end(),
    ],
  ];
  it.each(useless)('%s gives way to the next address', async (_, handler) => {
    consul.on.set(NAMES, handler);
    const good = await another();
    good.on.set(NAMES, blocking(() => ({ s: ['mcp'] })).handler);
    good.on.set(health('s'), blocking(() => [healthEntry('a')]).handler);
    const watched = start([consul.address, good.address]);
    await eventually(() => watched.instances()?.join() === 'a');
    expect(consul.requests).toHaveLength(1);
  });

  it('a refused token is the same everywhere: the address is kept', async () => {
    const other = await another();
    for (const each of [consul, other]) {
      each.on.set(NAMES, (_, response) => void response.writeHead(403).end('ACL not found'));
    }
    start([consul.address, other.address]);
    await eventually(() => consul.requests.length >= 2);
    expect(other.requests).toEqual([]);
  });
});

describe('a server that closes the connection after every answer', () => {
  it('is an ordinary one', async () => {
    let index = 10;
    // Not at once, so that the next request is under way when the old connection has gone.
    const closing =
      (body: unknown): Handler =>
      async (_, response) => {
        await delay(20);
        json(response, body, ++index, { connection: 'close' });
      };
    consul.on.set(NAMES, closing({ s: ['mcp'] }));
    consul.on.set(health('s'), closing([healthEntry('a')]));
    const watched = start([consul.address]);
    await eventually(() => consul.count(NAMES) >= 4 && consul.count(health('s')) >= 4);
    expect(watched.errors).toEqual([]);
  });
});

describe('a call that is never answered', () => {
  it('ends with its timeout and says so', async () => {
    consul.on.set(NAMES, (_, response) => hold(response));
    const line = new ConsulClient({ addresses: [consul.address], ssl: false, sslVerify: true }).query();
    const call = line.call((client, options) => client.catalog.service.list(options), { timeoutMs: 100 });
    await expect(call).rejects.toMatchObject({
      reason: 'unreachable',
      message: expect.stringMatching(/gave no answer.*timed out \(100ms\)/),
    });
  });
});

describe('many queries that fail together', () => {
  const names = Array.from({ length: 40 }, (_, n) => `m${n}`);
  let answer: Handler | undefined;
  const catalog = blocking(() => Object.fromEntries(names.map((name) => [name, ['mcp']])));
  /** Fails as the test says, whoever has no new token. */
  const failing =
    (inner: Handler): Handler =>
    (query, response, request) =>
      request.headers['x-consul-token'] === 'new' || !answer
        ? inner(query, response, request)
        : answer(query, response, request);
  /** All are answered, and their waits end soon, so that they meet what comes. */
  async function settledMany(more: Parameters<typeof watch>[1] = {}): Promise<Watched> {
    answer = undefined;
    consul.on.set(NAMES, failing(catalog.handler));
    for (const name of names)
      consul.on.set(health(name), failing(blocking(() => [healthEntry(name)]).handler));
    const watched = start([consul.address], more);
    await eventually(() => watched.snapshots.at(-1)?.services.size === names.length);
    return watched;
  }
  /** Ends what blocks: the agent went away for a moment. */
  async function interrupted(): Promise<void> {
    const { on, address } = consul;
    await consul.stop();
    standIns.splice(standIns.indexOf(consul), 1);
    consul = await eventually(() => startStandIn(Number(address.split(':')[1])));
    standIns.push(consul);
    for (const [path, handler] of on) consul.on.set(path, handler);
  }

  it('try one at a time, are one line in the log and one snapshot', async () => {
    const watched = await settledMany();
    const before = watched.snapshots.length;
    answer = (_, response) => void response.writeHead(500).end('No cluster leader');
    await interrupted();
    await eventually(() => watched.errors.includes('server-error'));
    await eventually(() =>
      [...(watched.snapshots.at(-1)?.services.values() ?? [])].every((one) => one.doubt !== undefined),
    );
    await delay(1000);
    expect(consul.requests.length).toBeLessThan(15);
    expect(
      watched.logs.filter((line) => line.message === 'Consul could not be asked').length,
    ).toBeLessThanOrEqual(2);
    // Sockets break in one moment or a few; never is it one snapshot for each.
    expect(watched.snapshots.length - before).toBeLessThan(10);
    answer = undefined;
    await eventually(() =>
      [...(watched.snapshots.at(-1)?.services.values() ?? [])].every((one) => one.doubt === undefined),
    );
  });

  it('a new token in the file helps all of them at once', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'token-')), 'token');
    writeFileSync(file, 'old');
    const watched = await settledMany({ tokenFile: file });
    answer = (_, response) => void response.writeHead(403).end('ACL not found');
    await interrupted();
    await eventually(() => watched.errors.filter((reason) => reason === 'refused').length >= 3);
    expect(consul.requests.length).toBeLessThan(names.length + 10);
    writeFileSync(file, 'new');
    await eventually(
      () => [...(watched.snapshots.at(-1)?.services.values() ?? [])].every((one) => one.doubt === undefined),
      { withinMs: 5000 },
    );
  });
});

describe('a query that fails alone', () => {
  it('pauses longer and longer, though the others succeed all the time', async () => {
    let index = 10;
    consul.on.set(NAMES, async (_, response) => {
      await delay(60);
      json(response, { s: ['mcp'] }, ++index);
    });
    consul.on.set(health('s'), (_, response) => void response.writeHead(403).end('no'));
    // Without luck: every pause is as long as it may be.
    start([consul.address], { random: () => 1 });
    await eventually(() => consul.count(health('s')) >= 4);
    const times = consul.requests.filter(({ path }) => path === health('s')).map(({ at }) => at);
    const pauses = times.slice(1).map((at, n) => at - (times[n] ?? 0));
    // Each success ends the shared pause: without one of its own it would try with every answer of the others.
    expect(pauses[0]).toBeGreaterThan(190);
    expect(pauses[1]).toBeGreaterThan(390);
    expect(pauses[2]).toBeGreaterThan(790);
  });
});

describe('the token file', () => {
  it('that is replaced counts for the next call, also while the old token still works', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'token-')), 'token');
    writeFileSync(file, 'old');
    const catalog = blocking(() => ({}));
    consul.on.set(NAMES, catalog.handler);
    start([consul.address], { tokenFile: file });
    await eventually(() => consul.count(NAMES) === 2);
    writeFileSync(file, 'new');
    catalog.changed();
    await eventually(() => consul.requests.at(-1)?.headers['x-consul-token'] === 'new');
  });

  it('that is missing at the start is an error: without a token Consul would look empty', () => {
    expect(() => watch([consul.address], { tokenFile: '/nowhere/token' })).toThrow(/ENOENT.*nowhere/);
  });
});

describe('several datacenters', () => {
  const entry = (dc: string, id: string, more: object = {}) => ({
    ...(healthEntry(id, { Service: more }) as object),
    Node: { Node: 'n1', Address: '127.0.0.1', Datacenter: dc },
  });
  const perDc =
    (handlers: Record<string, Handler>): Handler =>
    (query, response, request) =>
      handlers[query.get('dc') ?? '']?.(query, response, request);

  it('make one service; the first one that has it decides its settings; a lost one keeps its instances', async () => {
    consul.on.set(
      NAMES,
      perDc({
        dc1: blocking(() => ({ s: ['mcp'] })).handler,
        dc2: blocking(() => ({ s: ['mcp'], t: ['mcp'] })).handler,
      }),
    );
    const second = blocking(() => [entry('dc2', 'b', { Meta: { 'mcp-namespace': 'two' }, ModifyIndex: 99 })]);
    let lost = false;
    consul.on.set(
      health('s'),
      perDc({
        dc1: blocking(() => [entry('dc1', 'a', { Meta: { 'mcp-namespace': 'one' }, ModifyIndex: 5 })])
          .handler,
        dc2: (query, response, request) =>
          lost
            ? void response.writeHead(500).end('No path to datacenter')
            : second.handler(query, response, request),
      }),
    );
    consul.on.set(health('t'), perDc({ dc2: blocking(() => [entry('dc2', 'c')]).handler }));
    // Failover order is not the order of names.
    const watched = start([consul.address], { datacenters: ['dc1', 'dc2'] });
    await eventually(() => watched.instances()?.join() === 'a,b' && watched.instances('t')?.join() === 'c');
    const service = watched.snapshots.at(-1)?.services.get('s' as never);
    expect(service?.settings.namespace).toBe('one');
    expect(service?.instances.map((one) => one.datacenter)).toEqual(['dc1', 'dc2']);
    lost = true;
    second.changed();
    await eventually(() => watched.snapshots.at(-1)?.services.get('s' as never)?.doubt === 'server-error');
    expect(watched.instances()).toEqual(['a', 'b']);
    const [one, two] = watched.registry.status().datacenters;
    expect([one?.doubt, two?.doubt]).toEqual([undefined, 'server-error']);
    expect(two?.errors.get('server-error')).toBeGreaterThan(0);
    expect([one?.index, two?.index]).toEqual([10n, 10n]);
  });

  it('a remote one that is lost does not make the router leave a good agent', async () => {
    const other = await another();
    consul.on.set(
      NAMES,
      perDc({
        dc1: blocking(() => ({ s: ['mcp'] })).handler,
        dc2: (_, response) => void response.writeHead(500).end('rpc error making call: EOF'),
      }),
    );
    consul.on.set(health('s'), blocking(() => [entry('dc1', 'a')]).handler);
    start([consul.address, other.address], { datacenters: ['dc1', 'dc2'] });
    await eventually(() => consul.requests.filter(({ query }) => query.get('dc') === 'dc2').length >= 3);
    expect(other.requests).toEqual([]);
  });

  it('the second alone: sorted by id even so, and its settings count', async () => {
    consul.on.set(
      NAMES,
      perDc({ z: blocking(() => ({ s: ['mcp'] })).handler, a: blocking(() => ({ s: ['mcp'] })).handler }),
    );
    consul.on.set(
      health('s'),
      perDc({ z: blocking(() => [entry('z', '1')]).handler, a: blocking(() => [entry('a', '2')]).handler }),
    );
    const watched = start([consul.address], { datacenters: ['z', 'a'] });
    await eventually(() => watched.instances()?.length === 2);
    const ids = watched.snapshots
      .at(-1)
      ?.services.get('s' as never)
      ?.instances.map((one) => one.id);
    expect(ids).toEqual([...(ids ?? [])].sort());
  });
});

describe('beyond the budget of queries', () => {
  const names = Array.from({ length: 30 }, (_, n) => `m${n}`);
  const statuses = new Map<string, string>();
  const meta = new Map<string, Record<string, string>>();
  let nodeStatus = 'passing';
  const entryOf = (name: string) =>
    healthEntry(name, {
      Service: { Meta: meta.get(name) ?? {} },
      Checks: [
        { CheckID: name, Name: name, Status: statuses.get(name) ?? 'passing', ServiceID: name, Output: '' },
        { CheckID: 'serfHealth', Name: 'node', Status: nodeStatus, ServiceID: '', Output: '' },
      ],
    });
  let state: ReturnType<typeof blocking>;
  let catalog: ReturnType<typeof blocking>;
  let watched: Watched;
  const stateOf = (name: string): string | undefined =>
    watched.snapshots.at(-1)?.services.get(name as never)?.instances[0]?.state;
  const flip = (name: string, status: string): void => {
    statuses.set(name, status);
    state.changed();
  };

  beforeEach(async () => {
    statuses.clear();
    meta.clear();
    nodeStatus = 'passing';
    state = blocking(() => [
      { Node: 'n1', CheckID: 'serfHealth', Status: nodeStatus, ServiceID: '', ServiceName: '' },
      ...names.map((name) => ({
        Node: 'n1',
        CheckID: name,
        Status: statuses.get(name) ?? 'passing',
        ServiceID: name,
        ServiceName: name,
      })),
    ]);
    catalog = blocking(() => Object.fromEntries(names.map((name) => [name, ['mcp']])));
    consul.on.set(NAMES, catalog.handler);
    consul.on.set(STATE, state.handler);
    for (const name of names)
      consul.on.set(health(name), (_, response) => json(response, [entryOf(name)], 10));
    watched = start([consul.address], { maxQueries: 8 });
    await eventually(() => watched.snapshots.at(-1)?.services.size === names.length);
    await eventually(() => consul.count(STATE) === 2);
  });

  it('a flip makes one fetch, of the service that flipped', async () => {
    consul.requests.length = 0;
    flip('m7', 'critical');
    await eventually(() => stateOf('m7') === 'critical');
    const fetched = consul.requests.filter(({ path }) => path.startsWith('health/service/'));
    expect(fetched.map(({ path }) => path)).toEqual([health('m7')]);
  });

  it('a fetch that hangs delays no other service', async () => {
    consul.on.set(health('m3'), (_, response) => hold(response));
    flip('m3', 'critical');
    await eventually(() => consul.count(health('m3')) === 2);
    flip('m4', 'critical');
    await eventually(() => stateOf('m4') === 'critical', { withinMs: 2000 });
  });

  it('an older answer that comes late is not taken for the newer one', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const slow = [entryOf('m5')];
    let first = true;
    consul.on.set(health('m5'), async (_, response) => {
      if (first) {
        first = false;
        await held;
        json(response, slow, 10);
      } else json(response, [entryOf('m5')], 12);
    });
    flip('m5', 'warning');
    await eventually(() => consul.count(health('m5')) === 2);
    flip('m5', 'critical');
    await eventually(() => consul.count(STATE) >= 4);
    release();
    await eventually(() => stateOf('m5') === 'critical');
    await delay(100);
    expect(stateOf('m5')).toBe('critical');
  });

  it('a fetch that fails is made again soon; its service keeps what it had, and is in doubt', async () => {
    let failures = 1;
    consul.on.set(health('m6'), (_, response) =>
      failures-- > 0
        ? void response.writeHead(500).end('rpc error: EOF')
        : json(response, [entryOf('m6')], 11),
    );
    flip('m6', 'critical');
    await eventually(() => watched.snapshots.at(-1)?.services.get('m6' as never)?.doubt === 'server-error');
    expect(stateOf('m6')).toBe('passing');
    await eventually(() => stateOf('m6') === 'critical', { withinMs: 4000 });
    expect(watched.snapshots.at(-1)?.services.get('m6' as never)?.doubt).toBeUndefined();
  });

  it("a node's own check concerns every service on it", async () => {
    nodeStatus = 'critical';
    state.changed();
    await eventually(() => names.every((name) => stateOf(name) === 'critical'), { withinMs: 3000 });
  });

  it('a registration that leaves no mark among the checks is found: only its meta differs', async () => {
    meta.set('m9', { 'mcp-namespace': 'nine' });
    catalog.changed();
    await eventually(
      () => watched.snapshots.at(-1)?.services.get('m9' as never)?.settings.namespace === 'nine',
      { withinMs: 3000 },
    );
  });

  it('registrations of others all the time do not make it look at everything all the time', async () => {
    consul.requests.length = 0;
    for (let n = 0; n < 10; n++) {
      catalog.changed();
      await delay(50);
    }
    const fetched = consul.requests.filter(({ path }) => path.startsWith('health/service/'));
    expect(fetched.length).toBeGreaterThan(0);
    expect(fetched.length).toBeLessThanOrEqual(names.length);
  });

  it('when the agent is lost everything is in doubt with one change, and kept', async () => {
    const before = watched.snapshots.length;
    const well = new Map(consul.on);
    for (const path of consul.on.keys()) {
      consul.on.set(path, (_, response) => void response.writeHead(500).end('No known Consul servers'));
    }
    state.changed();
    await eventually(() =>
      [...(watched.snapshots.at(-1)?.services.values() ?? [])].every((one) => one.doubt === 'server-error'),
    );
    expect(watched.snapshots.at(-1)?.services.size).toBe(names.length);
    expect(watched.snapshots.length - before).toBe(1);
    for (const [path, handler] of well) consul.on.set(path, handler);
    await eventually(
      () => [...(watched.snapshots.at(-1)?.services.values() ?? [])].every((one) => one.doubt === undefined),
      { withinMs: 20_000 },
    );
  });
});
