import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConsulClient } from '../../../src/discovery/consul-client.ts';
import { KvWatch } from '../../../src/discovery/kv-watch.ts';
import { parseRollout } from '../../../src/discovery/rollouts.ts';
import type { DoubtReason, Log, LogFields } from '../../../src/model.ts';
import { hold, json, startStandIn, type StandIn } from '../../support/consul-stand-in.ts';
import { eventually } from '../../support/eventually.ts';

/** Answers of a real agent (1.8.7, and 1.22.3 where it says so), replayed: see test/support/consul-stand-in.ts. */
const PATH = 'mcp-router/services/';

/** The package encodes the slashes of a key. */
const urlOf = (path: string): string => `kv/${encodeURIComponent(path)}`;

let consul: StandIn;
const watches: KvWatch<number>[] = [];
beforeEach(async () => {
  consul = await startStandIn();
});
afterEach(async () => {
  for (const watch of watches.splice(0)) watch.stop();
  await consul.stop();
});

interface Watched {
  readonly watch: KvWatch<number>;
  readonly errors: DoubtReason[];
  readonly warnings: (LogFields | undefined)[];
  changes: number;
  values(): Record<string, number>;
}

/** Keys hold numbers; anything else is wrong. */
function start(path = PATH, holdMs = 60_000): Watched {
  const errors: DoubtReason[] = [];
  const warnings: (LogFields | undefined)[] = [];
  const quiet = (): void => undefined;
  const log: Log = {
    error: quiet,
    warn: (_, fields) => void warnings.push(fields),
    info: quiet,
    debug: quiet,
  };
  const watch = new KvWatch({
    client: new ConsulClient({ addresses: [consul.address], ssl: false, sslVerify: true }),
    path,
    parse: (text) => {
      if (!/^\d+$/.test(text)) throw new RangeError(`It must be a number, not ${text}.`);
      return Number(text);
    },
    onChange: () => void self.changes++,
    onError: (reason) => void errors.push(reason),
    waitMs: 60_000,
    holdMs,
    log,
    now: () => performance.now(),
    random: Math.random,
  });
  const self: Watched = {
    watch,
    errors,
    warnings,
    changes: 0,
    values: () => Object.fromEntries(watch.values),
  };
  watches.push(watch);
  watch.start();
  return self;
}

const entry = (key: string, text: string | null): unknown => ({
  LockIndex: 0,
  Key: key,
  Flags: 0,
  Value: text === null ? null : Buffer.from(text).toString('base64'),
  CreateIndex: 1,
  ModifyIndex: 1,
});

/** What Consul says where there is no such key. */
function nothing(response: ServerResponse, index: number, headers: Record<string, string> = {}): void {
  response
    .writeHead(404, { 'x-consul-index': String(index), 'x-consul-knownleader': 'true', ...headers })
    .end();
}

type Answer = (response: ServerResponse) => void;
/** Gives one answer, then the next when it is put in its place; blocks in between. */
class Kv {
  #answer: Answer;
  #blocked: ServerResponse | undefined;

  constructor(path: string, first: Answer) {
    this.#answer = first;
    let given: Answer | undefined;
    consul.on.set(urlOf(path), (query, response) => {
      if (query.has('index') && given === this.#answer) {
        this.#blocked = response;
        return hold(response);
      }
      given = this.#answer;
      this.#answer(response);
      return undefined;
    });
  }

  become(answer: Answer): void {
    this.#answer = answer;
    const blocked = this.#blocked;
    this.#blocked = undefined;
    if (blocked) answer(blocked);
  }
}
const says =
  (entries: Record<string, string | null>, index: number): Answer =>
  (response) =>
    json(
      response,
      Object.entries(entries).map(([key, text]) => entry(PATH + key, text)),
      index,
    );

describe('KvWatch', () => {
  it('reads everything below a path, blocks, and takes what changes', async () => {
    const kv = new Kv(PATH, says({ a: '1', 'b c/d': '2', '': null, 'folder/': '' }, 10));
    const watched = start();
    await eventually(() => watched.watch.doubt === undefined);
    expect(watched.values()).toEqual({ [`${PATH}a`]: 1, [`${PATH}b c/d`]: 2 });
    await eventually(() => consul.count(urlOf(PATH)) === 2);
    const [first, second] = consul.requests;
    expect(first?.query.get('recurse')).toBe('true');
    expect(first?.query.has('index')).toBe(false);
    expect(second?.query.get('index')).toBe('10');
    kv.become(says({ a: '7' }, 11));
    await eventually(() => watched.values()[`${PATH}a`] === 7);
    expect(watched.values()).toEqual({ [`${PATH}a`]: 7 });
    expect(watched.errors).toEqual([]);
  });

  it('reads one key, which need not be there', async () => {
    const kv = new Kv('mcp-router/policy', (response) => nothing(response, 5));
    const watched = start('mcp-router/policy');
    await eventually(() => watched.watch.doubt === undefined);
    expect(watched.values()).toEqual({});
    expect(consul.requests[0]?.query.has('recurse')).toBe(false);
    kv.become((response) => json(response, [entry('mcp-router/policy', '3')], 6));
    await eventually(() => watched.values()['mcp-router/policy'] === 3);
    kv.become((response) => nothing(response, 7));
    await eventually(() => watched.watch.values.size === 0);
    expect(watched.errors).toEqual([]);
  });

  it('wrong content changes nothing and is reported once, with the key; mended it counts', async () => {
    const kv = new Kv(PATH, says({ a: '1', b: 'x' }, 10));
    const watched = start();
    await eventually(() => watched.watch.doubt === undefined);
    expect(watched.values()).toEqual({ [`${PATH}a`]: 1 });
    kv.become(says({ a: 'y', b: 'x', c: '3' }, 11));
    await eventually(() => watched.values()[`${PATH}c`] === 3);
    expect(watched.values()).toEqual({ [`${PATH}a`]: 1, [`${PATH}c`]: 3 });
    expect([...watched.watch.problems.values()].map((problem) => problem.message).sort()).toEqual([
      'It must be a number, not x.',
      'It must be a number, not y.',
    ]);
    expect(watched.warnings).toEqual([
      { key: `${PATH}b`, reason: 'It must be a number, not x.', instead: 'it is ignored' },
      { key: `${PATH}a`, reason: 'It must be a number, not y.', instead: 'its last good value is kept' },
    ]);
    kv.become(says({ a: '9', b: 'x' }, 12));
    await eventually(() => watched.values()[`${PATH}a`] === 9);
    expect([...watched.watch.problems.keys()]).toEqual([`${PATH}b`]);
    expect(watched.warnings).toHaveLength(2);
  });

  it('a wrong key that is wrong in the same way again keeps its value, and one that is deleted loses it', async () => {
    const kv = new Kv(PATH, says({ a: '1' }, 10));
    const watched = start();
    await eventually(() => watched.watch.values.size === 1);
    kv.become(says({ a: 'y' }, 11));
    await eventually(() => watched.watch.problems.size === 1);
    kv.become(says({ a: 'y', b: '2' }, 12));
    await eventually(() => watched.watch.values.size === 2);
    expect(watched.values()).toEqual({ [`${PATH}a`]: 1, [`${PATH}b`]: 2 });
    expect(watched.warnings).toHaveLength(1);
    kv.become(says({ b: '2' }, 13));
    await eventually(() => watched.watch.values.size === 1);
    expect(watched.watch.problems.size).toBe(0);
  });

  it.each([
    ['a 500', (response: ServerResponse) => void response.writeHead(500).end('No cluster leader')],
    ['a cut connection', (response: ServerResponse) => void response.destroy()],
    ['a refusal', (response: ServerResponse) => void response.writeHead(403).end('Permission denied')],
    [
      'a login page',
      (response: ServerResponse) => void response.writeHead(200, { 'content-type': 'text/html' }).end(),
    ],
    ['JSON that is no list of keys', (response: ServerResponse) => json(response, { a: 1 }, 11)],
    ['a 404 of somebody else', (response: ServerResponse) => void response.writeHead(404).end('nginx')],
  ])('%s keeps everything and is a doubt, until Consul answers again', async (_, failure) => {
    const kv = new Kv(PATH, says({ a: '1' }, 10));
    const watched = start();
    await eventually(() => watched.watch.doubt === undefined);
    await eventually(() => consul.count(urlOf(PATH)) === 2);
    kv.become(failure);
    await eventually(() => watched.watch.doubt !== undefined);
    expect(watched.values()).toEqual({ [`${PATH}a`]: 1 });
    expect(watched.errors.length).toBeGreaterThan(0);
    kv.become(says({ a: '2' }, 12));
    await eventually(() => watched.values()[`${PATH}a`] === 2);
    expect(watched.watch.doubt).toBeUndefined();
  });

  it('a server without a leader that says "nothing" at index 1 is not believed, also at the very start', async () => {
    const kv = new Kv(PATH, (response) => nothing(response, 1, { 'x-consul-knownleader': 'false' }));
    const watched = start();
    await eventually(() => watched.watch.doubt === 'empty-at-start');
    kv.become(says({ a: '1' }, 10));
    await eventually(() => watched.watch.values.size === 1);
    kv.become((response) => nothing(response, 1, { 'x-consul-knownleader': 'false' }));
    await eventually(() => watched.watch.doubt === 'empty-at-start');
    expect(watched.values()).toEqual({ [`${PATH}a`]: 1 });
  });

  it('a KV that was never written to is believed', async () => {
    void new Kv(PATH, (response) => nothing(response, 1));
    const watched = start();
    await eventually(() => watched.watch.doubt === undefined);
    expect(watched.errors).toEqual([]);
  });

  it('a token that sees less (1.22.3: the same index, filtered) takes nothing away', async () => {
    const kv = new Kv(PATH, says({ a: '1', b: '2' }, 10));
    const watched = start();
    await eventually(() => watched.watch.values.size === 2);
    await eventually(() => consul.count(urlOf(PATH)) === 2);
    kv.become((response) => nothing(response, 10, { 'x-consul-results-filtered-by-acls': 'true' }));
    await eventually(() => watched.watch.doubt === 'filtered');
    expect(watched.watch.values.size).toBe(2);
  });

  it('a Consul that lost its state is held for a while, then believed', async () => {
    const kv = new Kv(PATH, says({ a: '1', b: '2' }, 100));
    const watched = start(PATH, 300);
    await eventually(() => watched.watch.values.size === 2);
    kv.become(says({ b: '3' }, 10));
    await eventually(() => watched.watch.doubt === 'mass-disappearance');
    // What it does say counts.
    expect(watched.values()).toEqual({ [`${PATH}a`]: 1, [`${PATH}b`]: 3 });
    await eventually(() => watched.watch.doubt === undefined);
    expect(watched.values()).toEqual({ [`${PATH}b`]: 3 });
  });

  it('keys that are deleted one and all are believed: somebody did it', async () => {
    const kv = new Kv(PATH, says({ a: '1', b: '2', c: '3' }, 10));
    const watched = start();
    await eventually(() => watched.watch.values.size === 3);
    kv.become((response) => nothing(response, 11));
    await eventually(() => watched.watch.values.size === 0);
    expect(watched.watch.doubt).toBeUndefined();
  });

  it('leaves nothing behind when it is stopped', async () => {
    void new Kv(PATH, says({ a: '1' }, 10));
    const watched = start();
    await eventually(() => consul.count(urlOf(PATH)) === 2);
    watched.watch.stop();
    const changes = watched.changes;
    await eventually(async () => (await fetch(`http://${consul.address}/v1/none`)).status === 404);
    expect(consul.count(urlOf(PATH))).toBe(2);
    expect(watched.changes).toBe(changes);
  });
});

describe('parseRollout', () => {
  it('reads weights by version', () => {
    expect(parseRollout('{"versions": {"1.4": 95, "1.5": 5, "*": 0}}')).toEqual(
      new Map([
        ['1.4', 95],
        ['1.5', 5],
        ['*', 0],
      ]),
    );
  });

  it.each([
    ['', 'not JSON'],
    ['{', 'not JSON'],
    ['[]', 'expected object'],
    ['{}', 'versions:'],
    ['{"versions": {"1": -1}}', 'versions.1:'],
    ['{"versions": {"1": "5"}}', 'versions.1:'],
    ['{"versions": {"1": 1e9}}', 'versions.1:'],
    ['{"versions": {"": 1}}', 'versions'],
    ['{"versions": {}}', 'No version has a weight above 0'],
    ['{"versions": {"1": 0, "2": 0}}', 'No version has a weight above 0'],
    ['{"versions": {"1": 1}, "weights": {}}', 'weights'],
    [`{"versions": {${Array.from({ length: 101 }, (_, at) => `"${at}": 1`).join()}}}`, 'more than 100'],
  ])('%s is refused with a sentence', (text, sentence) => {
    expect(() => parseRollout(text)).toThrow(RangeError);
    expect(() => parseRollout(text)).toThrow(sentence);
  });
});
