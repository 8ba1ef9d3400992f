import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ConsulClient } from '../../../src/discovery/consul-client.ts';
import { KvWatch } from '../../../src/discovery/kv-watch.ts';
import { ownNode } from '../../../src/discovery/own-node.ts';
import { ROLLOUTS_PATH } from '../../../src/discovery/rollouts.ts';
import type { DoubtReason, Log, LogFields } from '../../../src/model.ts';
import { consulApi, registerService, startConsul, type ConsulAgent } from '../../support/consul.ts';
import { watch as watchRegistry } from '../../support/consul-stand-in.ts';
import { startDatacenters } from '../../support/datacenters.ts';
import { eventually } from '../../support/eventually.ts';

const lines: { message: string; fields: LogFields | undefined }[] = [];
const write = (message: string, fields?: LogFields): void => void lines.push({ message, fields });
const log: Log = { error: write, warn: write, info: write, debug: write };

const cleanUp: (() => unknown)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0)) undo();
  lines.length = 0;
});

function follow(agent: ConsulAgent, token?: string): { watch: KvWatch<string>; errors: DoubtReason[] } {
  const errors: DoubtReason[] = [];
  const watch = new KvWatch({
    client: new ConsulClient({
      addresses: [agent.httpAddr],
      ssl: false,
      sslVerify: true,
      ...(token !== undefined && { token }),
    }),
    path: ROLLOUTS_PATH,
    parse: (text) => text,
    onChange: () => undefined,
    onError: (reason) => void errors.push(reason),
    waitMs: 60_000,
    holdMs: 60_000,
    log,
    now: () => performance.now(),
    random: Math.random,
  });
  cleanUp.push(() => watch.stop());
  watch.start();
  return { watch, errors };
}
const found = (watch: KvWatch<string>): Record<string, string> =>
  Object.fromEntries(Array.from(watch.values, ([key, value]) => [key.slice(ROLLOUTS_PATH.length), value]));

describe('KV of a real agent', () => {
  let consul: ConsulAgent;
  beforeAll(async () => {
    consul = await startConsul();
  });
  afterAll(() => consul.stop());
  const put = (key: string, text: string): Promise<unknown> =>
    consulApi(consul, 'PUT', `kv/${ROLLOUTS_PATH}${key}`, text);

  it('what is put, changed and deleted arrives; a KV without a key is no error', async () => {
    const { watch, errors } = follow(consul);
    await eventually(() => watch.doubt === undefined);
    expect(found(watch)).toEqual({});
    await put('a%20b/c', 'één');
    await eventually(() => found(watch)['a b/c'] === 'één');
    await put('d', '');
    await eventually(() => found(watch)['d'] === '');
    await put('d', 'x'.repeat(200_000));
    await eventually(() => found(watch)['d']?.length === 200_000);
    await consulApi(consul, 'PUT', 'kv/elsewhere', 'y');
    await consulApi(consul, 'DELETE', `kv/${ROLLOUTS_PATH}d`);
    await eventually(() => watch.values.size === 1);
    await consulApi(consul, 'DELETE', `kv/${ROLLOUTS_PATH}?recurse=true`);
    await eventually(() => watch.values.size === 0);
    expect(errors).toEqual([]);
  });

  it('an agent that dies and comes back empty takes nothing away', async () => {
    const { watch, errors } = follow(consul);
    await put('a', '1');
    for (let n = 0; n < 20; n++) await consulApi(consul, 'PUT', `kv/x${n}`, 'y');
    await put('b', '2');
    await eventually(() => watch.values.size === 2);
    await consul.kill('SIGKILL');
    await eventually(() => errors.includes('unreachable'));
    expect(watch.values.size).toBe(2);
    await consul.restart();
    await eventually(() => errors.includes('mass-disappearance'), { withinMs: 40_000 });
    expect(found(watch)).toEqual({ a: '1', b: '2' });
    await put('a', '3');
    await eventually(() => found(watch)['a'] === '3');
    await put('b', '2');
    await eventually(() => watch.doubt === undefined);
    expect(found(watch)).toEqual({ a: '3', b: '2' });
  });
});

describe('access control (default deny)', () => {
  const root = 'b1gs3cr3-0000-4000-8000-000000000000';
  let consul: ConsulAgent;
  beforeAll(async () => {
    consul = await startConsul(
      { acl: { enabled: true, default_policy: 'deny', tokens: { master: root, agent: root } } },
      root,
    );
  });
  afterAll(() => consul.stop());

  async function token(name: string, rules: string): Promise<string> {
    await consulApi(consul, 'PUT', 'acl/policy', { Name: name, Rules: rules }, root);
    const made = await consulApi(consul, 'PUT', 'acl/token', { Policies: [{ Name: name }] }, root);
    return (made as { SecretID: string }).SecretID;
  }

  it('without the right to read keys there are none, and nobody is alarmed', async () => {
    await consulApi(consul, 'PUT', `kv/${ROLLOUTS_PATH}a`, '1', root);
    const blind = follow(consul, await token('blind', 'service_prefix "" { policy = "read" }'));
    const seeing = follow(consul, await token('seeing', 'key_prefix "mcp-router/" { policy = "read" }'));
    await eventually(() => seeing.watch.values.size === 1);
    await eventually(() => blind.watch.doubt === undefined);
    expect(blind.watch.values.size).toBe(0);
    expect(blind.errors).toEqual([]);
    expect(lines).toEqual([]);
  });

  it('the own node is known to a token that may ask the agent; to another it is said what is missing', async () => {
    const client = (secret: string): ConsulClient =>
      new ConsulClient({ addresses: [consul.httpAddr], ssl: false, sslVerify: true, token: secret });
    const may = client(await token('may', 'agent_prefix "" { policy = "read" }'));
    const signal = new AbortController().signal;
    expect(await ownNode(may, log, signal)).toEqual({ datacenter: 'dc1', node: 'local' });
    const mayNot = client(await token('may-not', 'node_prefix "" { policy = "read" }'));
    expect(await ownNode(mayNot, log, signal)).toBeUndefined();
    expect(JSON.stringify(lines)).toContain('agent_prefix');
  });

  it('an agent that is away is asked until it is there, or the router stops', async () => {
    const nobody = new ConsulClient({ addresses: ['127.0.0.1:1'], ssl: false, sslVerify: true });
    const stop = new AbortController();
    const asking = ownNode(nobody, log, stop.signal);
    stop.abort();
    expect(await asking).toBeUndefined();
  });
});

describe('several datacenters', () => {
  let agents: ConsulAgent[];
  beforeAll(async () => {
    agents = await startDatacenters(2);
  });
  afterAll(() => Promise.all(agents.map((agent) => agent.stop())));

  it('one that cannot be reached at the start holds nobody up, and joins in when it can', async () => {
    const [one] = agents;
    await registerService(one!, { name: 'here', id: 'h' });
    const watched = watchRegistry([one!.httpAddr], { datacenters: ['dc1', 'nowhere'] });
    cleanUp.push(() => watched.stop());
    await eventually(() => watched.instances('here')?.length === 1);
    expect(watched.registry.status().datacenters).toMatchObject([
      { name: 'dc1', synced: true },
      { name: 'nowhere', synced: false, doubt: 'not-synced' },
    ]);
    const none = watchRegistry([one!.httpAddr], { datacenters: ['nowhere'] });
    cleanUp.push(() => none.stop());
    await eventually(() => none.errors.includes('server-error'));
    expect(none.snapshots).toEqual([]);
  });

  it('instances of both are there, and one that dies is in doubt alone', async () => {
    const [one, two] = agents;
    await registerService(one!, { name: 'both', id: 'same' });
    await registerService(two!, { name: 'both', id: 'same' });
    const watched = watchRegistry([one!.httpAddr], { datacenters: ['dc2', 'dc1'] });
    cleanUp.push(() => watched.stop());
    await eventually(() => watched.instances('both')?.length === 2);
    const both = [...watched.snapshots.at(-1)!.services.values()].find(
      ({ name }) => name === ('both' as string),
    );
    expect(both?.instances.map((instance) => instance.id)).toEqual(['dc1/local/same', 'dc2/local/same']);
    await two!.kill('SIGKILL');
    await eventually(() => watched.registry.status().datacenters[0]?.doubt !== undefined, {
      withinMs: 60_000,
    });
    expect(watched.registry.status().datacenters[1]?.doubt).toBeUndefined();
    expect(watched.instances('both')).toHaveLength(2);
  }, 90_000);
});
