import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findConsul } from '../../../src/cli/demo/consul-binary.ts';
import type { DegradingOptions, DegradingStore } from '../../../src/store/degrading.ts';
import type { RedisTarget } from '../../../src/store/redis-link.ts';
import { eventually } from '../../support/eventually.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import { freePort } from '../../support/servers.ts';
import { redisStore, type TestStore } from '../../support/stores.ts';

let redis: RedisServer;
const cleanUp: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  redis = await startRedis();
  cleanUp.push(() => redis.stop());
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

async function replica(more: Partial<DegradingOptions> = {}, port = redis.port): Promise<TestStore> {
  const made = redisStore(port, { deadlineMs: 250, ...more });
  cleanUp.push(() => made.store.stop());
  await made.store.start();
  return made;
}

/** Everything that a store can be asked, at once. */
async function everything({ sessions, events, values, holder }: DegradingStore, key: string): Promise<void> {
  events.append(key, { seq: 1, text: 'event' });
  await Promise.all([
    sessions.all(key),
    sessions.get(key, 'f'),
    sessions.add(key, 'f', 'text'),
    sessions.touch(key, ['f']),
    sessions.remove(key, 'g', 'text'),
    sessions.drop(`${key}-dropped`),
    sessions.end(`${key}-ended`, 1000),
    values.put(key, 'value', 60_000),
    values.get(key),
    values.take(`${key}-taken`),
    events.after(key, 0),
    holder.ask(holder.id, 'hello', 50),
  ]);
}

const levels = (made: TestStore): string[] => made.logs.map(({ level }) => level);
const warnings = (made: TestStore) => made.logs.filter(({ level }) => level === 'warn');
const isDown = (made: TestStore) => eventually(() => !made.store.shared && warnings(made).length > 0);
const isBack = (made: TestStore) => eventually(() => made.store.shared && levels(made).includes('info'));

describe('a store that stops answering', () => {
  it('is told once, asked nothing more, and told once when it answers again', async () => {
    const made = await replica();
    redis.freeze();
    // Within the deadline of each, from memory.
    await everything(made.store, 'frozen');
    expect(made.failures.length).toBeGreaterThan(0);
    await isDown(made);
    const failed = made.failures.length;
    for (let turn = 0; turn < 20; turn++) await everything(made.store, `turn-${turn}`);
    // What is known to be lost isn't tried, so nothing can fail.
    expect(made.failures.length).toBe(failed);
    redis.thaw();
    await eventually(() => made.store.shared);
    expect(levels(made)).toEqual(['info', 'warn', 'info']);
    expect(warnings(made)[0]?.fields).toMatchObject({ store: `redis://127.0.0.1:${redis.port}/0` });
  });

  it('for as long as a connection may be silent, it is connected to anew', async () => {
    const road = await muteableRoad(redis.port);
    cleanUp.push(() => road.stop());
    const made = await replica({}, road.port);
    road.mute();
    await everything(made.store, 'muted');
    await isDown(made);
    await eventually(() => road.connections() > 1, { withinMs: 20_000 });
    road.unmute();
    await eventually(() => made.store.shared, { withinMs: 20_000 });
    expect(levels(made)).toEqual(['info', 'warn', 'info']);
  });

  it('one slow answer is no loss', async () => {
    const made = await replica();
    await redis.command('CONFIG', 'SET', 'busy-reply-threshold', '60000');
    const busy = redis.command(
      'EVAL',
      "local t = redis.call('TIME') local from = t[1] * 1000 + t[2] / 1000 repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 > from + 600",
      '0',
    );
    await eventually(async () => {
      await made.store.values.get('x');
      return made.failures.length > 0;
    });
    await busy;
    await eventually(() => made.store.shared);
    expect(levels(made)).toEqual(['info']);
  });
});

describe('a store that dies', () => {
  it('costs no error under running operations, one warning, and takes up what was owed', async () => {
    const made = await replica();
    const other = await replica();
    const { sessions, values, events } = made.store;
    await sessions.add('before', 'f', 'dead');
    await values.put('before', 'value', 60_000);
    events.append('stream', { seq: 1, text: 'one' });
    const returns: number[] = [];
    made.store.onReturn(() => void returns.push(1));

    const running = Array.from({ length: 200 }, (_, index) => everything(made.store, `running-${index}`));
    await redis.kill();
    await Promise.all(running);
    await isDown(made);
    await sessions.remove('before', 'f', 'dead');
    await sessions.add('meanwhile', 'f', 'text');
    await values.put('meanwhile', 'token', 60_000);
    await values.put('short', 'token', 1);
    events.append('stream', { seq: 2, text: 'two' });
    expect(await sessions.get('meanwhile', 'f')).toBe('text');
    expect(await values.get('meanwhile')).toBe('token');
    expect(await events.after('stream', 0)).toMatchObject({ events: [{ seq: 1 }, { seq: 2 }] });

    await redis.restart();
    await eventually(() => made.store.shared && other.store.shared);
    expect(returns).toEqual([1]);
    await eventually(async () => (await other.store.sessions.get('meanwhile', 'f')) === 'text');
    await eventually(async () => (await other.store.values.get('meanwhile')) === 'token');
    expect(await other.store.values.get('short')).toBeUndefined();
    // The server came back empty; the stream is there whole all the same.
    await eventually(async () => (await other.store.events.after('stream', 0)).kind === 'events');
    expect(await other.store.events.after('stream', 0)).toMatchObject({ events: [{ seq: 1 }, { seq: 2 }] });
    events.append('stream', { seq: 3, text: 'three' });
    await eventually(async () => (await other.store.events.after('stream', 2)).kind === 'events');
    expect(levels(made)).toEqual(['info', 'warn', 'info']);
    expect(levels(other)).toEqual(['info', 'warn', 'info']);
  });

  it('what was taken away meanwhile stays away when it comes back with its memory', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'redis-aof-'));
    cleanUp.push(() => Promise.resolve(rmSync(folder, { recursive: true, force: true })));
    await redis.stop();
    redis = await startRedis(['--appendonly', 'yes', '--appendfsync', 'always', '--dir', folder]);
    const made = await replica();
    const { sessions, values } = made.store;
    await sessions.add('one', 'f', 'dead');
    await sessions.add('two', 'f', 'text');
    await sessions.add('three', 'f', 'text');
    await values.put('once', 'token', 60_000);
    await redis.kill();
    await isDown(made);
    await sessions.remove('one', 'f', 'dead');
    await sessions.add('one', 'f', 'alive');
    await sessions.end('two', 60_000);
    await sessions.drop('three');
    await values.take('once');
    await redis.restart();
    await isBack(made);
    await eventually(async () => (await sessions.get('one', 'f')) === 'alive');
    await eventually(async () => (await sessions.all('two')).kind === 'ended');
    await eventually(async () => (await sessions.get('three', 'f')) === undefined);
    await eventually(async () => (await values.get('once')) === undefined);
  });

  it('the limiter goes on with its insurance, at once', async () => {
    const made = await replica();
    const limiter = new RateLimiterRedis({
      storeClient: made.store.limiterClient,
      useRedisPackage: true,
      rejectIfRedisNotReady: true,
      keyPrefix: 'mcp-router:limit',
      points: 2,
      duration: 60,
      insuranceLimiter: new RateLimiterMemory({ points: 2, duration: 60 }),
    });
    await limiter.consume('k');
    redis.freeze();
    await limiter.consume('k');
    await isDown(made);
    await limiter.consume('k');
    await expect(limiter.consume('k')).rejects.toMatchObject({ consumedPoints: 3 });
  });
});

describe('at the start', () => {
  it('a server that comes later is used from then on', async () => {
    const port = await freePort();
    const made = await replica({}, port);
    expect(made.store.shared).toBe(false);
    expect(warnings(made)).toHaveLength(1);
    expect(warnings(made)[0]?.fields?.['reason']).toContain('ECONNREFUSED');
    await everything(made.store, 'early');
    const later = await startRedis([], undefined, port);
    cleanUp.push(() => later.stop());
    await eventually(() => made.store.shared);
    expect(levels(made)).toEqual(['warn', 'info']);
    await eventually(async () => (await later.dump()).includes('mcp-router:session:early'));
  });

  it('a wrong password is a warning that says so, without the password', async () => {
    const guarded = await startRedis([], 'right');
    cleanUp.push(() => guarded.stop());
    const target: RedisTarget = {
      at: { host: '127.0.0.1', port: guarded.port, tls: false },
      database: 0,
      password: 'not-the-right-one',
    };
    const made = await replica({ target });
    expect(made.store.shared).toBe(false);
    await everything(made.store, 'key');
    expect(warnings(made)).toHaveLength(1);
    expect(warnings(made)[0]?.fields?.['reason']).toContain('WRONGPASS');
    expect(JSON.stringify(made.logs)).not.toContain('not-the-right-one');
    const right = await replica({ target: { ...target, password: 'right' } });
    expect(right.store.shared).toBe(true);
    const none = await replica({ target: { at: target.at, database: 0 } });
    expect(warnings(none)[0]?.fields?.['reason']).toContain('NOAUTH');
  });

  it('a server that takes connections and says nothing is a warning after a second', async () => {
    const silent: Server = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    cleanUp.push(() => Promise.resolve(silent.close()));
    const address = silent.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const made = await replica({}, address.port);
    expect(levels(made)).toEqual(['warn']);
    await everything(made.store, 'key');
  });
});

describe('a store that refuses', () => {
  it('all writes, because it is full: lost until there is room', async () => {
    const made = await replica();
    await redis.command('CONFIG', 'SET', 'maxmemory', '1');
    await everything(made.store, 'full');
    await isDown(made);
    expect(warnings(made)[0]?.fields?.['reason']).toContain('OOM');
    await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    await eventually(() => made.store.shared);
    expect(levels(made)).toEqual(['info', 'warn', 'info']);
  });

  it('one operation, for want of a right: told with its name, the rest goes on', async () => {
    await redis.command('ACL', 'SETUSER', 'router', 'on', '>pw', '~mcp-router:*', '&*', '+@all', '-eval');
    const at = { host: '127.0.0.1', port: redis.port, tls: false } as const;
    const made = await replica({ target: { at, database: 0, username: 'router', password: 'pw' } });
    expect(await made.store.sessions.add('s', 'f', 'text')).toBe('text');
    await eventually(() => warnings(made).length > 0 && made.store.shared);
    expect(warnings(made)[0]?.fields).toMatchObject({ operation: 'remember' });
    await made.store.values.put('k', 'v', 60_000);
    expect(await made.store.values.get('k')).toBe('v');
    await made.store.sessions.add('s2', 'f', 'text');
    await eventually(() => made.store.shared);
    expect(warnings(made)).toHaveLength(1);
  });

  it('nothing, with the rights that the reference names', async () => {
    await redis.command('ACL', 'SETUSER', 'router', 'on', '>pw', ...rights);
    const at = { host: '127.0.0.1', port: redis.port, tls: false } as const;
    const made = await replica({ target: { at, database: 0, username: 'router', password: 'pw' } });
    const other = await replica({ target: { at, database: 0, username: 'router', password: 'pw' } });
    await everything(made.store, 'key');
    other.store.holder.serve((question) => Promise.resolve(question));
    made.store.sessions.onChange(() => undefined);
    expect((await made.store.holder.ask(other.store.holder.id, 'hello', 5000)).kind).toBe('answered');
    await made.store.events.after('elsewhere', 0);
    made.store.events.forget('key');
    await made.store.sessions.remove('key', 'f', 'text');
    await made.store.limiterClient.eval("return redis.call('incrby', KEYS[1], 1)", {
      keys: ['mcp-router:limit:k'],
      arguments: [],
    });
    expect(made.failures).toEqual([]);
    expect(levels(made)).toEqual(['info']);
  });
});

/** A stand-in for a network that swallows what is sent, without ending connections; no real one is at hand. */
async function muteableRoad(to: number): Promise<{
  readonly port: number;
  mute(): void;
  unmute(): void;
  connections(): number;
  stop(): Promise<void>;
}> {
  let muted = false;
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    connections++;
    const upstream = connect(to, '127.0.0.1');
    for (const [from, into] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk: Buffer) => void (muted || into.write(chunk)));
      from.on('error', () => undefined);
      from.on('close', () => into.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    mute: () => void (muted = true),
    unmute: () => void (muted = false),
    connections: () => connections,
    stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      return Promise.resolve();
    },
  };
}

/** As docs/store.md has them. */
const rights = [
  'resetkeys',
  '~mcp-router:*',
  'resetchannels',
  '&mcp-router:*',
  '+@all',
  '-@admin',
  '-@dangerous',
];

describe('other ways to the server', () => {
  it('a unix socket, a database, and TLS with and without a client certificate', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'redis-tls-'));
    cleanUp.push(() => Promise.resolve(rmSync(folder, { recursive: true, force: true })));
    const consul = await findConsul({ environment: process.env, progress: () => undefined });
    const make = (...args: string[]) =>
      execFileSync(consul.path, ['tls', ...args], { cwd: folder, stdio: 'ignore' });
    make('ca', 'create');
    make('cert', 'create', '-server', '-dc', 'dc1');
    make('cert', 'create', '-client', '-dc', 'dc1');
    const file = (name: string): string => join(folder, name);
    const tlsPort = await freePort();
    const tls = {
      '--tls-port': String(tlsPort),
      '--tls-ca-cert-file': file('consul-agent-ca.pem'),
      '--tls-cert-file': file('dc1-server-consul-0.pem'),
      '--tls-key-file': file('dc1-server-consul-0-key.pem'),
    };
    const server = await startRedis(Object.entries(tls).flat());
    cleanUp.push(() => server.stop());
    const socketPath = server.socketUrl.replace('unix://', '').replace(/\?.*/, '');
    const bySocket = await replica({ target: { at: { socketPath }, database: 3 } });
    expect(bySocket.store.shared).toBe(true);
    await bySocket.store.values.put('k', 'v', 60_000);
    expect(await server.command('KEYS', '*')).toEqual([]);
    const at = { host: '127.0.0.1', port: tlsPort, tls: true } as const;
    const certificates = {
      caCert: file('consul-agent-ca.pem'),
      clientCert: file('dc1-client-consul-0.pem'),
      clientKey: file('dc1-client-consul-0-key.pem'),
    };
    const byTls = await replica({ target: { at, database: 3, ...certificates } });
    expect(byTls.store.shared).toBe(true);
    expect(await byTls.store.values.get('k')).toBe('v');
    const bare = await replica({ target: { at, database: 3, caCert: certificates.caCert } });
    expect(warnings(bare)).toHaveLength(1);
    const untrusting = await replica({ target: { at, database: 3 } });
    expect(warnings(untrusting)[0]?.fields?.['reason']).toMatch(/certificate/);
    await expect(replica({ target: { at, database: 0, caCert: file('missing.pem') } })).rejects.toThrow(
      'MCP_ROUTER_STORE',
    );
  });
});
