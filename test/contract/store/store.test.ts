import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DegradingOptions } from '../../../src/store/degrading.ts';
import type { ReplicaId, Store, StreamEvent } from '../../../src/store/store.ts';
import { eventually } from '../../support/eventually.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import { memoryStore, redisStore } from '../../support/stores.ts';

/** What every store keeps, whatever it keeps it in. */
let redis: RedisServer;
const open: Store[] = [];
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
afterEach(async () => {
  await Promise.all(open.splice(0).map((store) => store.stop()));
});

let last = 0;
const fresh = (): string => `s${++last}`;
const event = (seq: number, text = `event ${seq}`): StreamEvent => ({ seq, text });

describe.each([
  ['memory', memoryStore],
  ['redis', (more?: Partial<DegradingOptions>) => redisStore(redis.port, more).store],
  [
    // The memory that it degrades to keeps the same promises.
    'redis that is not there',
    (more?: Partial<DegradingOptions>) => redisStore(1, more).store,
  ],
])('%s', (_, make) => {
  async function start(more: Partial<DegradingOptions> = {}): Promise<Store> {
    const store = make(more);
    open.push(store);
    await store.start();
    return store;
  }

  describe('sessions', () => {
    it('what was added first stands, and can be read singly and together', async () => {
      const { sessions } = await start();
      const session = fresh();
      expect(await sessions.get(session, 'dc/n/a')).toBeUndefined();
      expect(await sessions.add(session, 'dc/n/a', 'one')).toBe('one');
      expect(await sessions.add(session, 'dc/n/a', 'two')).toBe('one');
      expect(await sessions.add(session, 'dc/n/b', '')).toBe('');
      expect(await sessions.get(session, 'dc/n/a')).toBe('one');
      expect(await sessions.all(session)).toEqual({
        kind: 'kept',
        fields: new Map([
          ['dc/n/a', 'one'],
          ['dc/n/b', ''],
        ]),
      });
      expect(await sessions.all(fresh())).toEqual({ kind: 'kept', fields: new Map() });
    });

    it('a field is taken away only while it holds what is known to be over', async () => {
      const { sessions } = await start();
      const session = fresh();
      await sessions.add(session, 'f', 'new');
      await sessions.remove(session, 'f', 'old');
      expect(await sessions.get(session, 'f')).toBe('new');
      await sessions.remove(session, 'f', 'new');
      expect(await sessions.get(session, 'f')).toBeUndefined();
      await sessions.remove(session, 'f', 'new');
      expect(await sessions.add(session, 'f', 'newer')).toBe('newer');
    });

    it('an ended session gives back what it had, once, and stays ended', async () => {
      const { sessions } = await start();
      const session = fresh();
      await sessions.add(session, 'f', 'text');
      expect(await sessions.end(session, 60_000)).toEqual(new Map([['f', 'text']]));
      expect(await sessions.all(session)).toEqual({ kind: 'ended' });
      expect(await sessions.end(session, 60_000)).toEqual(new Map());
      expect(await sessions.add(session, 'f', 'late')).toBe('late');
      expect(await sessions.all(session)).toEqual({ kind: 'ended' });
      expect(await sessions.get(session, 'f')).toBeUndefined();
      expect(await sessions.touch(session, ['f'])).toEqual([]);
      expect(await sessions.drop(session)).toEqual(new Map());
      expect(await sessions.all(session)).toEqual({ kind: 'ended' });
    });

    it('an ended session is forgotten after the time that was asked for', async () => {
      const { sessions } = await start();
      const session = fresh();
      await sessions.end(session, 50);
      await eventually(async () => (await sessions.all(session)).kind === 'kept');
    });

    it('a dropped session gives back what it had and is as if it had never been', async () => {
      const { sessions } = await start();
      const session = fresh();
      await sessions.add(session, 'f', 'text');
      expect(await sessions.drop(session)).toEqual(new Map([['f', 'text']]));
      expect(await sessions.all(session)).toEqual({ kind: 'kept', fields: new Map() });
      expect(await sessions.drop(session)).toEqual(new Map());
    });

    it('a session that nobody touches goes; touching keeps it', async () => {
      const { sessions } = await start({ sessionTtlMs: 400 });
      const [touched, left] = [fresh(), fresh()];
      await sessions.add(touched, 'f', 'text');
      await sessions.add(left, 'f', 'text');
      await eventually(async () => {
        await sessions.touch(touched, ['f']);
        return (await sessions.get(left, 'f')) === undefined;
      });
      expect(await sessions.get(touched, 'f')).toBe('text');
    });
  });

  describe('events', () => {
    it('are read after an id, to the last', async () => {
      const { events } = await start();
      const stream = fresh();
      for (const seq of [1, 2, 3]) events.append(stream, event(seq));
      expect(await events.after(stream, 0)).toEqual({
        kind: 'events',
        events: [1, 2, 3].map((n) => event(n)),
      });
      expect(await events.after(stream, 2)).toEqual({ kind: 'events', events: [event(3)] });
      expect(await events.after(stream, 3)).toEqual({ kind: 'events', events: [] });
      expect(await events.after(stream, 4)).toEqual({ kind: 'gone' });
      expect(await events.after(fresh(), 0)).toEqual({ kind: 'gone' });
    });

    it('are bounded in number: a reader that would miss one is told', async () => {
      const { events } = await start();
      const stream = fresh();
      for (let seq = 1; seq <= 8; seq++) events.append(stream, event(seq));
      expect(await events.after(stream, 3)).toEqual({
        kind: 'events',
        events: [4, 5, 6, 7, 8].map((n) => event(n)),
      });
      expect(await events.after(stream, 2)).toEqual({ kind: 'gone' });
    });

    it('are bounded in bytes, but the newest is kept', async () => {
      const { events } = await start();
      const stream = fresh();
      for (const seq of [1, 2, 3]) events.append(stream, event(seq, 'x'.repeat(1300)));
      expect(await events.after(stream, 0)).toEqual({ kind: 'gone' });
      expect(await events.after(stream, 1)).toMatchObject({
        kind: 'events',
        events: [{ seq: 2 }, { seq: 3 }],
      });
      events.append(stream, event(4, 'y'.repeat(100_000)));
      expect(await events.after(stream, 3)).toMatchObject({ kind: 'events', events: [{ seq: 4 }] });
    });

    it('are bounded in age', async () => {
      const { events } = await start({ events: { maxEvents: 5, maxBytes: 3000, maxAgeMs: 100 } });
      const stream = fresh();
      events.append(stream, event(1));
      await eventually(async () => (await events.after(stream, 0)).kind === 'gone');
    });

    it('a stream that is forgotten is gone', async () => {
      const { events } = await start();
      const stream = fresh();
      events.append(stream, event(1));
      events.forget(stream);
      expect(await events.after(stream, 0)).toEqual({ kind: 'gone' });
    });
  });

  describe('values', () => {
    it('are kept for their time', async () => {
      const { values } = await start();
      const key = fresh();
      await values.put(key, 'token', 60_000);
      expect(await values.get(key)).toBe('token');
      await values.put(key, 'short', 60);
      await eventually(async () => (await values.get(key)) === undefined);
      await values.put(key, 'never', 0);
      expect(await values.get(key)).toBeUndefined();
    });

    it('of two that take a value one gets it', async () => {
      const { values } = await start();
      const key = fresh();
      await values.put(key, 'once', 60_000);
      const taken = await Promise.all([values.take(key), values.take(key)]);
      expect(taken.filter(Boolean)).toEqual(['once']);
    });
  });

  describe('holder', () => {
    it('asks itself, and tells a failure and a late answer from nobody', async () => {
      const { holder } = await start();
      expect(await holder.ask(holder.id, 'too early', 1000)).toEqual({ kind: 'gone' });
      holder.serve((question) => {
        if (question === 'fail') return Promise.reject(new Error('no'));
        if (question === 'wait') return new Promise(() => undefined);
        return Promise.resolve(`${question}!`);
      });
      expect(await holder.ask(holder.id, 'hello', 1000)).toEqual({ kind: 'answered', answer: 'hello!' });
      expect(await holder.ask(holder.id, 'fail', 1000)).toEqual({ kind: 'no-answer' });
      expect(await holder.ask(holder.id, 'wait', 30)).toEqual({ kind: 'no-answer' });
    });

    it('a replica that is not there is gone', async () => {
      const { holder } = await start();
      expect(await holder.ask('nobody' as ReplicaId, 'hello', 5000)).toEqual({ kind: 'gone' });
    });
  });
});
