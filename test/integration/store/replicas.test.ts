import { randomBytes } from 'node:crypto';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { KeyRing } from '../../../src/gateway/key-ring.ts';
import type { DegradingOptions, DegradingStore } from '../../../src/store/degrading.ts';
import type { ReplicaId, SessionChange } from '../../../src/store/store.ts';
import { eventually } from '../../support/eventually.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import { redisStore, sealingOf, type TestStore } from '../../support/stores.ts';

/** Several replicas at one real server. */
let redis: RedisServer;
const open: DegradingStore[] = [];
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
afterEach(async () => {
  await Promise.all(open.splice(0).map((store) => store.stop()));
});

async function replica(more: Partial<DegradingOptions> = {}): Promise<TestStore> {
  const made = redisStore(redis.port, more);
  open.push(made.store);
  await made.store.start();
  expect(made.store.shared).toBe(true);
  return made;
}

let last = 0;
const fresh = (): string => `r${++last}`;

describe('sessions', () => {
  it('of replicas that add at the same time one wins, and all learn which', async () => {
    const stores = await Promise.all([replica(), replica(), replica()]);
    const session = fresh();
    const stands = await Promise.all(
      stores.map(({ store }, index) => store.sessions.add(session, 'f', `of ${index}`)),
    );
    expect(new Set(stands).size).toBe(1);
    expect(await stores[2].store.sessions.get(session, 'f')).toBe(stands[0]);
  });

  it('what one adds or ends the others hear, and not itself', async () => {
    const [one, two] = await Promise.all([replica(), replica()]);
    const heard: [string, SessionChange][] = [];
    one.store.sessions.onChange((change) => void heard.push(['one', change]));
    two.store.sessions.onChange((change) => void heard.push(['two', change]));
    // Subscribing takes a moment; what is said before is not heard.
    await eventually(async () => {
      await one.store.sessions.add(fresh(), 'f', 'x');
      return heard.length > 0;
    });
    const [added, ended] = [fresh(), fresh()];
    await one.store.sessions.add(added, 'dc1/n%201/a b', 'x');
    await one.store.sessions.add(added, 'dc1/n%201/a b', 'again');
    await one.store.sessions.end(ended, 1000);
    await eventually(() => heard.some(([, { session }]) => session === ended));
    expect(heard.filter(([, { session }]) => session === added || session === ended)).toEqual([
      ['two', { kind: 'added', session: added, field: 'dc1/n%201/a b' }],
      ['two', { kind: 'ended', session: ended }],
    ]);
  });

  it('the replica that used a session last is the one that drops it', async () => {
    const [one, two] = await Promise.all([replica(), replica()]);
    const session = fresh();
    await one.store.sessions.add(session, 'f', 'text');
    await two.store.sessions.touch(session, ['f']);
    expect(await one.store.sessions.drop(session)).toBe('elsewhere');
    expect(await two.store.sessions.get(session, 'f')).toBe('text');
    expect(await two.store.sessions.drop(session)).toEqual(new Map([['f', 'text']]));
    expect(await one.store.sessions.drop(session)).toEqual(new Map());
  });

  it('touching tells what a server that was emptied has lost', async () => {
    const { store } = await replica();
    const session = fresh();
    await store.sessions.add(session, 'a', '1');
    expect(await store.sessions.touch(session, ['a', 'b'])).toEqual(['b']);
    await redis.command('FLUSHALL');
    expect(await store.sessions.touch(session, ['a'])).toEqual(['a']);
  });
});

describe('at rest', () => {
  it('nothing readable is kept, and every key has the prefix and an end', async () => {
    const { store } = await replica();
    await redis.command('FLUSHALL');
    const session = fresh();
    await store.sessions.add(session, 'f', 'readable-session');
    await store.values.put(session, 'readable-value', 60_000);
    store.events.append(session, { seq: 1, text: 'readable-event' });
    // Nobody takes it out of the mailbox.
    const asked = store.holder.ask('nobody' as ReplicaId, 'readable-question', 1000);
    const dump = await eventually(async () => {
      const text = await redis.dump();
      return (
        ['session', 'value', 'events', 'ask'].every((kind) => text.includes(`mcp-router:${kind}:`)) && text
      );
    });
    expect(dump).not.toContain('readable');
    for (const key of (await redis.command('KEYS', '*')) as string[]) {
      expect(key).toMatch(/^mcp-router:/);
      expect(Number(await redis.command('PTTL', key))).toBeGreaterThan(0);
    }
    await asked;
  });

  it('what is moved to another place, changed, or sealed with other keys is as if it were not there', async () => {
    const { store } = await replica();
    const foreign = await replica({ sealing: sealingOf(new KeyRing([randomBytes(32)])) });
    const [mine, other] = [fresh(), fresh()];
    await store.sessions.add(mine, 'f', 'text');
    const sealed = String(await redis.command('HGET', `mcp-router:session:${mine}`, 'f'));
    await redis.command('HSET', `mcp-router:session:${other}`, 'f', sealed);
    expect(await store.sessions.get(other, 'f')).toBeUndefined();
    expect((await foreign.store.sessions.all(mine)).kind).toBe('kept');
    expect(await foreign.store.sessions.get(mine, 'f')).toBeUndefined();
    await store.values.put(mine, 'token', 60_000);
    expect(await foreign.store.values.get(mine)).toBeUndefined();
    store.events.append(mine, { seq: 1, text: 'e' });
    await eventually(async () => (await redis.command('EXISTS', `mcp-router:events:${mine}`)) === 1);
    expect(await foreign.store.events.after(mine, 0)).toEqual({ kind: 'gone' });
  });
});

describe('events', () => {
  it('are read at another replica, within the same bounds', async () => {
    const [writer, reader] = await Promise.all([replica(), replica()]);
    const stream = fresh();
    const read = (seq: number) => reader.store.events.after(stream, seq);
    for (let seq = 1; seq <= 8; seq++) writer.store.events.append(stream, { seq, text: `event ${seq}` });
    await eventually(async () => (await read(7)).kind === 'events');
    expect(await read(3)).toEqual({
      kind: 'events',
      events: [4, 5, 6, 7, 8].map((seq) => ({ seq, text: `event ${seq}` })),
    });
    expect(await read(8)).toEqual({ kind: 'events', events: [] });
    expect(await read(2)).toEqual({ kind: 'gone' });
    writer.store.events.append(stream, { seq: 9, text: 'x'.repeat(5000) });
    await eventually(async () => (await read(8)).kind === 'events');
    expect(await read(7)).toEqual({ kind: 'gone' });
    writer.store.events.forget(stream);
    await eventually(async () => (await read(8)).kind === 'gone');
  });

  it('a gap is never read over', async () => {
    const { store } = await replica();
    const other = await replica();
    const stream = fresh();
    for (const seq of [1, 2, 3]) store.events.append(stream, { seq, text: `${seq}` });
    await eventually(async () => (await other.store.events.after(stream, 0)).kind === 'events');
    await redis.command('XDEL', `mcp-router:events:${stream}`, '2-0');
    expect(await other.store.events.after(stream, 0)).toEqual({ kind: 'gone' });
    expect(await other.store.events.after(stream, 2)).toEqual({
      kind: 'events',
      events: [{ seq: 3, text: '3' }],
    });
  });
});

describe('holder', () => {
  it('carries questions and answers of any size, many at a time', async () => {
    const [holder, asker] = await Promise.all([replica(), replica()]);
    holder.store.holder.serve((question) => Promise.resolve(`${question.length}:${question.slice(0, 40)}`));
    const ask = (question: string) => asker.store.holder.ask(holder.store.holder.id, question, 5000);
    expect(await ask('hello')).toEqual({ kind: 'answered', answer: '5:hello' });
    const many = await Promise.all(Array.from({ length: 200 }, (_, index) => ask(`question ${index}`)));
    expect(
      many.every((asked, index) => asked.kind === 'answered' && asked.answer.endsWith(`question ${index}`)),
    ).toBe(true);
    const big = 'x'.repeat(8 << 20);
    holder.store.holder.serve((question) => Promise.resolve(question));
    expect(await ask(big)).toEqual({ kind: 'answered', answer: big });
    // Nothing is left behind.
    const keys = (await redis.command('KEYS', 'mcp-router:a*')) as string[];
    expect(keys.filter((key) => /:(?:ask|answer):/.test(key))).toEqual([]);
  });

  it('tells apart: gone, failed, too late', async () => {
    const [holder, asker] = await Promise.all([replica(), replica()]);
    const { id } = holder.store.holder;
    expect(await asker.store.holder.ask(id, 'nobody serves', 5000)).toEqual({ kind: 'no-answer' });
    holder.store.holder.serve((question) =>
      question === 'fail' ? Promise.reject(new Error('no')) : new Promise(() => undefined),
    );
    expect(await asker.store.holder.ask(id, 'fail', 5000)).toEqual({ kind: 'no-answer' });
    expect(await asker.store.holder.ask(id, 'wait', 100)).toEqual({ kind: 'no-answer' });
    await holder.store.stop();
    expect(await asker.store.holder.ask(id, 'hello', 60_000)).toEqual({ kind: 'gone' });
  });

  it('a replica that goes away with the question is not waited for', async () => {
    const [holder, asker] = await Promise.all([replica(), replica()]);
    const taken = new Promise<string>((resolve) => {
      holder.store.holder.serve((question) => {
        resolve(question);
        return new Promise(() => undefined);
      });
    });
    const asked = asker.store.holder.ask(holder.store.holder.id, 'hello', 600_000);
    expect(await taken).toBe('hello');
    await holder.store.stop();
    expect(await asked).toEqual({ kind: 'no-answer' });
  });

  it('a replica whose connection broke a moment ago is not gone', async () => {
    const [holder, asker] = await Promise.all([replica(), replica()]);
    holder.store.holder.serve((question) => Promise.resolve(`${question}!`));
    await eventually(
      async () => (await asker.store.holder.ask(holder.store.holder.id, 'a', 1000)).kind === 'answered',
    );
    await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    const back = ({ logs }: TestStore) => logs.some(({ message }) => message.includes('is back'));
    await eventually(() => back(asker));
    expect(await asker.store.holder.ask(holder.store.holder.id, 'hello', 5000)).toEqual({
      kind: 'answered',
      answer: 'hello!',
    });
  });
});

describe('counters', () => {
  it('rate-limiter-flexible counts over replicas with the client of the store', async () => {
    const stores = await Promise.all([replica(), replica()]);
    const limiters = stores.map(
      ({ store }) =>
        new RateLimiterRedis({
          storeClient: store.limiterClient,
          useRedisPackage: true,
          rejectIfRedisNotReady: true,
          keyPrefix: 'mcp-router:limit',
          points: 3,
          duration: 60,
          insuranceLimiter: new RateLimiterMemory({ points: 3, duration: 60 }),
        }),
    );
    const key = fresh();
    await limiters[0]!.consume(key);
    await limiters[1]!.consume(key);
    await limiters[0]!.consume(key);
    await expect(limiters[1]!.consume(key)).rejects.toMatchObject({ consumedPoints: 4 });
    expect((await limiters[0]!.get(key))?.consumedPoints).toBe(4);
    expect(await limiters[0]!.delete(key)).toBe(true);
    await limiters[1]!.block(key, 60);
    await expect(limiters[0]!.consume(key)).rejects.toMatchObject({ remainingPoints: 0 });
    expect(await redis.command('KEYS', 'mcp-router:limit*')).toEqual([`mcp-router:limit:${key}`]);
  });
});
