import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ConsulClient } from '../../../src/discovery/consul-client.ts';
import { keepRegistered } from '../../../src/discovery/registration.ts';
import type { Instance, Log } from '../../../src/model.ts';
import {
  consulApi,
  deregisterService,
  registerService,
  setCheck,
  setMaintenance,
  startConsul,
  type ConsulAgent,
} from '../../support/consul.ts';
import { watch, type Watched } from '../../support/consul-stand-in.ts';
import { eventually } from '../../support/eventually.ts';

const silent: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};
const running: Watched[] = [];
function start(...args: Parameters<typeof watch>): Watched {
  const watched = watch(...args);
  running.push(watched);
  return watched;
}
afterEach(() => {
  for (const each of running.splice(0)) each.stop();
});

const instance = (watched: Watched, service: string, id?: string): Instance | undefined => {
  for (const [name, entry] of watched.snapshots.at(-1)?.services ?? []) {
    if (name === service) return entry.instances.find((one) => id === undefined || one.serviceId === id);
  }
  return undefined;
};

describe('an agent in its ordinary life', () => {
  let consul: ConsulAgent;
  let watched: Watched;
  beforeAll(async () => {
    consul = await startConsul();
  });
  afterAll(() => consul.stop());
  beforeEach(async () => {
    watched = start([consul.httpAddr]);
    await eventually(() => watched.registry.status().synced);
  });

  it('registrations, check flips, maintenance and deregistrations arrive', async () => {
    await registerService(consul, {
      name: 'one',
      id: 'one-1',
      port: 8001,
      meta: { 'mcp-path': '/x' },
      weights: { Passing: 3, Warning: 2 },
    });
    await eventually(() => instance(watched, 'one')?.state === 'passing');
    expect(instance(watched, 'one')).toMatchObject({
      id: 'dc1/local/one-1',
      endpoint: { host: '127.0.0.1', port: 8001, path: '/x' },
      weights: { passing: 3, warning: 2 },
    });
    await setCheck(consul, 'one-1', 'warn');
    await eventually(() => instance(watched, 'one')?.state === 'warning');
    await setCheck(consul, 'one-1', 'fail');
    await eventually(() => instance(watched, 'one')?.state === 'critical');
    await setCheck(consul, 'one-1', 'pass');
    await eventually(() => instance(watched, 'one')?.state === 'passing');
    await setMaintenance(consul, 'one-1', true);
    await eventually(() => instance(watched, 'one')?.state === 'maintenance');
    expect(instance(watched, 'one')?.checks.find((check) => check.status === 'maintenance')?.output).toBe(
      'test',
    );
    await setMaintenance(consul, 'one-1', false);
    await consulApi(consul, 'PUT', 'agent/maintenance?enable=true&reason=kernel');
    await eventually(() => instance(watched, 'one')?.state === 'maintenance');
    await consulApi(consul, 'PUT', 'agent/maintenance?enable=false');
    await eventually(() => instance(watched, 'one')?.state === 'passing');
    await deregisterService(consul, 'one-1');
    await eventually(() => instance(watched, 'one') === undefined && !watched.instances('one'));
    expect(watched.errors).toEqual([]);
  });

  it('serves what has the tag, and only plain services', async () => {
    await registerService(consul, { name: 'tagged', id: 't1' });
    await registerService(consul, { name: 'tagged', id: 't2', tags: ['MCP'] });
    await registerService(consul, { name: 'untagged', tags: ['http'] });
    await consulApi(consul, 'PUT', 'agent/service/register', {
      Kind: 'connect-proxy',
      ID: 'tagged-sidecar-proxy',
      Name: 'tagged-sidecar-proxy',
      Port: 21_000,
      Tags: ['mcp'],
      Proxy: { DestinationServiceName: 'tagged' },
    });
    await eventually(
      () =>
        watched.instances('tagged')?.join() === 't1' &&
        watched.snapshots.at(-1)?.skipped.some((one) => one.service === 'tagged-sidecar-proxy'),
    );
    expect(watched.instances('untagged')).toBeUndefined();
    const snapshot = watched.snapshots.at(-1);
    expect(snapshot?.services.get('tagged' as never)?.skipped.map((one) => one.reason.code)).toEqual([
      'NO_TAG',
    ]);
    // A service that has nothing but sidecars is none of ours.
    expect(watched.instances('tagged-sidecar-proxy')).toBeUndefined();
    expect(snapshot?.skipped.map((one) => [one.service, one.reason.code])).toEqual([
      ['tagged-sidecar-proxy', 'KIND'],
    ]);
    // The tag is taken away from a running service.
    await registerService(consul, { name: 'tagged', id: 't1', tags: [] });
    await eventually(() => watched.instances('tagged') === undefined);
    for (const id of ['t1', 't2', 'untagged', 'tagged-sidecar-proxy']) await deregisterService(consul, id);
    await eventually(() => watched.snapshots.at(-1)?.skipped.length === 0);
  });

  it('wrong meta, no port and settings that differ are problems, not failures', async () => {
    await registerService(consul, {
      name: 'odd',
      id: 'o1',
      meta: { 'mcp-timeout-ms': 'soon', 'mcp-namespace': 'first' },
    });
    await registerService(consul, { name: 'odd', id: 'o2', meta: { mcp_namespace: 'second' } });
    await registerService(consul, { name: 'odd', id: 'o3', port: 0 });
    await eventually(
      () =>
        watched.instances('odd')?.length === 2 &&
        watched.snapshots.at(-1)?.services.get('odd' as never)?.skipped.length === 1,
    );
    const service = watched.snapshots.at(-1)?.services.get('odd' as never);
    expect(service?.settings.namespace).toBe('second');
    expect(service?.problems.map((problem) => [problem.code, problem.subject])).toEqual([
      ['SETTINGS_DIFFER', 'namespace'],
    ]);
    expect(service?.instances[0]?.problems.map((problem) => problem.subject)).toEqual(['mcp-timeout-ms']);
    expect(service?.skipped[0]?.reason.code).toBe('NO_PORT');
    for (const id of ['o1', 'o2', 'o3']) await deregisterService(consul, id);
    await eventually(() => !watched.instances('odd'));
  });

  it('an unchanged instance is the same object in the next snapshot', async () => {
    await registerService(consul, { name: 'same', id: 's1' });
    await registerService(consul, { name: 'same', id: 's2' });
    await eventually(() => watched.instances('same')?.length === 2);
    const before = [instance(watched, 'same', 's1'), instance(watched, 'same', 's2')];
    await setCheck(consul, 's2', 'fail');
    await eventually(() => instance(watched, 'same', 's2')?.state === 'critical');
    expect(instance(watched, 'same', 's1')).toBe(before[0]);
    expect(instance(watched, 'same', 's2')).not.toBe(before[1]);
    for (const id of ['s1', 's2']) await deregisterService(consul, id);
    await eventually(() => !watched.instances('same'));
  });

  it('beyond the budget of queries one wakes for all', async () => {
    const few = start([consul.httpAddr], { maxQueries: 8 });
    const names = Array.from({ length: 20 }, (_, n) => `many-${n}`);
    await Promise.all(names.map((name) => registerService(consul, { name })));
    await eventually(() => names.every((name) => few.instances(name)?.length === 1));
    expect(few.registry.status().queries).toBe(2);
    await setCheck(consul, 'many-7', 'fail');
    await eventually(() => instance(few, 'many-7')?.state === 'critical');
    await registerService(consul, { name: 'many-7', id: 'another' });
    await eventually(() => few.instances('many-7')?.length === 2);
    await deregisterService(consul, 'another');
    await eventually(() => few.instances('many-7')?.length === 1);
    await consulApi(consul, 'PUT', 'agent/maintenance?enable=true');
    await eventually(() => names.every((name) => instance(few, name)?.state === 'maintenance'));
    await consulApi(consul, 'PUT', 'agent/maintenance?enable=false');
    // Back to single queries when there are few again; a handful at a time, since most at once would be held.
    for (const name of names.slice(4)) {
      await deregisterService(consul, name);
      await eventually(() => !few.instances(name));
    }
    await eventually(() => few.registry.status().queries === 5);
    await setCheck(consul, 'many-1', 'fail');
    await eventually(() => instance(few, 'many-1')?.state === 'critical');
    for (const name of names.slice(0, 4)) await deregisterService(consul, name);
  });
});

describe('an agent that dies', () => {
  it('kill -9, then back and empty: everything is kept, and a higher old index blocks nothing', async () => {
    const consul = await startConsul();
    try {
      const watched = start([consul.httpAddr]);
      for (const id of ['a', 'b']) await registerService(consul, { name: 's', id });
      // Raise the index, so that the old one is higher than any that comes after.
      for (let n = 0; n < 20; n++) await consulApi(consul, 'PUT', `kv/x${n}`, 'y');
      await eventually(() => watched.instances('s')?.length === 2);
      await consul.kill('SIGKILL');
      await eventually(() => watched.errors.includes('unreachable'));
      expect(watched.instances('s')).toEqual(['a', 'b']);
      await consul.restart();
      await eventually(() => watched.errors.includes('mass-disappearance'), { withinMs: 40_000 });
      expect(watched.instances('s')).toEqual(['a', 'b']);
      await registerService(consul, { name: 's', id: 'c' });
      await eventually(() => watched.instances('s')?.includes('c'), { withinMs: 5000 });
      for (const id of ['a', 'b']) await registerService(consul, { name: 's', id });
      await eventually(() => watched.registry.status().datacenters[0]?.doubt === undefined);
      expect(watched.instances('s')).toEqual(['a', 'b', 'c']);
    } finally {
      await consul.stop();
    }
  });

  it('two addresses, the first dies: the other goes on', async () => {
    const [one, two] = await Promise.all([startConsul(), startConsul()]);
    try {
      for (const consul of [one, two]) await registerService(consul, { name: 's', id: 'a' });
      const watched = start([one.httpAddr, two.httpAddr]);
      await eventually(() => watched.instances('s')?.length === 1);
      await one.kill();
      await registerService(two, { name: 's', id: 'b' });
      await eventually(() => watched.instances('s')?.length === 2);
    } finally {
      await Promise.all([one.stop(), two.stop()]);
    }
  });
});

describe('two datacenters', () => {
  it('make one service; while one is lost its instances stay and the other is as quick as ever', async () => {
    const [near, far] = await Promise.all([
      startConsul({ datacenter: 'dc1' }),
      startConsul({ datacenter: 'dc2' }),
    ]);
    try {
      const self = (await consulApi(far, 'GET', 'agent/self')) as { DebugConfig: { SerfPortWAN: number } };
      await consulApi(near, 'PUT', `agent/join/127.0.0.1:${self.DebugConfig.SerfPortWAN}?wan=1`);
      await eventually(
        async () => ((await consulApi(near, 'GET', 'catalog/datacenters')) as string[]).length === 2,
      );
      await registerService(near, { name: 's', id: 'near' });
      await registerService(far, { name: 's', id: 'far' });
      const watched = start([near.httpAddr], { datacenters: ['dc1', 'dc2'] });
      await eventually(() => watched.instances('s')?.length === 2);
      expect(instance(watched, 's', 'far')?.datacenter).toBe('dc2');
      await setCheck(far, 'far', 'fail');
      await eventually(() => instance(watched, 's', 'far')?.state === 'critical');
      await far.kill();
      await eventually(() => watched.registry.status().datacenters[1]?.doubt === 'server-error');
      expect(watched.instances('s')).toEqual(['near', 'far']);
      await setCheck(near, 'near', 'warn');
      await eventually(() => instance(watched, 's', 'near')?.state === 'warning', { withinMs: 1000 });
      expect(watched.registry.status().datacenters[0]?.doubt).toBeUndefined();
    } finally {
      await Promise.all([near.stop(), far.stop()]);
    }
  });
});

describe('access control (default deny)', () => {
  const root = 'b1gs3cr3-0000-4000-8000-000000000000';
  let consul: ConsulAgent;
  const token = async (name: string, rules: string): Promise<string> => {
    await consulApi(consul, 'PUT', 'acl/policy', { Name: name, Rules: rules }, root);
    const made = (await consulApi(consul, 'PUT', 'acl/token', { Policies: [{ Name: name }] }, root)) as {
      SecretID: string;
    };
    return made.SecretID;
  };
  beforeAll(async () => {
    consul = await startConsul(
      { acl: { enabled: true, default_policy: 'deny', tokens: { master: root, agent: root } } },
      root,
    );
    for (const name of ['mcp-a', 'other']) await registerService(consul, { name }, root);
  });
  afterAll(() => consul.stop());

  it('the documented minimal policy sees everything', async () => {
    const reader = await token(
      'reader',
      'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }',
    );
    const watched = start([consul.httpAddr], { token: reader });
    await eventually(
      () => watched.instances('mcp-a')?.length === 1 && watched.instances('other')?.length === 1,
    );
  });

  it('a token for some services sees those', async () => {
    const scoped = await token(
      'scoped',
      'service_prefix "mcp-" { policy = "read" } node_prefix "" { policy = "read" }',
    );
    const watched = start([consul.httpAddr], { token: scoped });
    await eventually(() => watched.instances('mcp-a')?.length === 1);
    expect(watched.instances('other')).toBeUndefined();
  });

  it('a deleted token is an error with a reason; what was known is kept', async () => {
    const watched = start([consul.httpAddr], { token: 'dead0000-0000-4000-8000-000000000000' });
    await eventually(() => watched.errors.includes('refused'));
    expect(watched.logs[0]?.fields?.['reason']).toMatch(/403 ACL not found.*CONSUL_HTTP_TOKEN/);
    expect(watched.registry.status().synced).toBe(false);
  });

  it('a token that is narrowed shows less at the same index: what was known is kept', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'token-')), 'token');
    writeFileSync(
      file,
      await token('wide', 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'),
    );
    const watched = start([consul.httpAddr], { tokenFile: file, waitMs: 1000 });
    await eventually(() => watched.instances('other')?.length === 1);
    const policies = (await consulApi(consul, 'GET', 'acl/policies', undefined, root)) as {
      ID: string;
      Name: string;
    }[];
    const id = policies.find((policy) => policy.Name === 'wide')?.ID ?? '';
    await consulApi(
      consul,
      'PUT',
      `acl/policy/${id}`,
      {
        ID: id,
        Name: 'wide',
        Rules: 'service_prefix "mcp-" { policy = "read" } node_prefix "" { policy = "read" }',
      },
      root,
    );
    await eventually(() => watched.registry.status().datacenters[0]?.doubt === 'filtered', {
      withinMs: 20_000,
    });
    expect(watched.instances('other')).toEqual(['other']);
  });

  it('registers itself with a policy that lets it write its own name alone', async () => {
    const own = await token(
      'own',
      'service "mcp-router" { policy = "write" } node_prefix "" { policy = "read" }',
    );
    const client = new ConsulClient({
      addresses: [consul.httpAddr],
      ssl: false,
      sslVerify: true,
      token: own,
    });
    const registration = keepRegistered(
      client,
      {
        ID: 'mcp-router-1',
        Name: 'mcp-router',
        Address: '127.0.0.1',
        Port: 1,
        Tags: [],
        Meta: {},
        Check: { TTL: '1m' },
      },
      silent,
    );
    const there = async (): Promise<boolean> =>
      JSON.stringify(await consulApi(consul, 'GET', 'catalog/service/mcp-router', undefined, root)).includes(
        'mcp-router-1',
      );
    await eventually(there);
    await registration.deregister();
    await eventually(async () => !(await there()));
  });
});

describe('other ways to an agent', () => {
  it('a Unix socket', async () => {
    const socket = join(mkdtempSync(join(tmpdir(), 'consul-sock-')), 'http.sock');
    const consul = await startConsul({ addresses: { http: `127.0.0.1 unix://${socket}` } });
    try {
      await registerService(consul, { name: 's' });
      const watched = start([`unix://${socket}`]);
      await eventually(() => watched.instances('s')?.length === 1);
    } finally {
      await consul.stop();
    }
  });

  it('TLS with client certificates, and a clear error without them', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'consul-tls-'));
    const openssl = (...args: string[]): void =>
      void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-days',
      '2',
      '-subj',
      '/CN=test-ca',
    );
    for (const [name, subject] of [
      ['server', '/CN=server.dc1.consul'],
      ['client', '/CN=router'],
    ] as const) {
      openssl(
        'req',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.csr`,
        '-subj',
        subject,
      );
      writeFileSync(join(folder, `${name}.ext`), 'subjectAltName=DNS:server.dc1.consul,DNS:localhost');
      openssl(
        'x509',
        '-req',
        '-in',
        `${name}.csr`,
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-out',
        `${name}.pem`,
        '-days',
        '2',
        '-extfile',
        `${name}.ext`,
      );
    }
    const at = (name: string): string => join(folder, name);
    const port = 20_000 + (process.pid % 10_000);
    const consul = await startConsul({
      ports: { https: port },
      ca_file: at('ca.pem'),
      cert_file: at('server.pem'),
      key_file: at('server.key'),
      verify_incoming_https: true,
    });
    try {
      await registerService(consul, { name: 's' });
      const options = { caCert: at('ca.pem'), clientCert: at('client.pem'), clientKey: at('client.key') };
      // The certificate is for another name than the address: CONSUL_TLS_SERVER_NAME says which.
      const watched = start([`127.0.0.1:${port}`], {
        ...options,
        ssl: true,
        tlsServerName: 'server.dc1.consul',
      });
      await eventually(() => watched.instances('s')?.length === 1);
      const folderOfOne = mkdtempSync(join(tmpdir(), 'ca-path-'));
      mkdirSync(join(folderOfOne, 'deeper'));
      writeFileSync(join(folderOfOne, 'deeper', 'ca.pem'), readFileSync(at('ca.pem')));
      const byPath = start([`https://localhost:${port}`], {
        caPath: folderOfOne,
        clientCert: at('client.pem'),
        clientKey: at('client.key'),
      });
      await eventually(() => byPath.instances('s')?.length === 1);
      const stranger = start([`https://127.0.0.1:${port}`], { caCert: at('ca.pem') });
      await eventually(() => stranger.errors.includes('unreachable'));
      expect(stranger.logs[0]?.fields?.['reason']).toMatch(/certificate|IP/i);
    } finally {
      await consul.stop();
    }
  });
});

describe('a registration', () => {
  it('comes back after the agent lost it, and goes when it is told to', async () => {
    const consul = await startConsul();
    const lines: string[] = [];
    const log: Log = { ...silent, info: (message) => void lines.push(message) };
    const client = new ConsulClient({ addresses: [consul.httpAddr], ssl: false, sslVerify: true });
    const registration = keepRegistered(
      client,
      {
        ID: 'x 1/é',
        Name: 'x',
        Address: '127.0.0.1',
        Port: 80,
        Tags: ['mcp'],
        Meta: { 'mcp-path': '/x' },
        Weights: { Passing: 5, Warning: 2 },
        Check: { TTL: '1m', Status: 'passing' },
      },
      log,
    );
    try {
      const found = async (): Promise<{ Service: { Weights: unknown; Meta: unknown } } | undefined> =>
        (
          (await consulApi(consul, 'GET', 'health/service/x')) as {
            Service: { Weights: unknown; Meta: unknown };
          }[]
        )[0];
      const first = await eventually(found);
      expect(first.Service).toMatchObject({
        Weights: { Passing: 5, Warning: 2 },
        Meta: { 'mcp-path': '/x' },
      });
      await consul.restart();
      await eventually(found, { withinMs: 15_000 });
      expect(lines).toContain('registered in Consul again');
      await registration.deregister();
      await eventually(async () => (await found()) === undefined);
    } finally {
      await consul.stop();
    }
  });

  it('waits for an agent that is not there yet, and says so once', async () => {
    const consul = await startConsul();
    await consul.kill();
    const warnings: string[] = [];
    const client = new ConsulClient({ addresses: [consul.httpAddr], ssl: false, sslVerify: true });
    const registration = keepRegistered(
      client,
      { ID: 'x', Name: 'x', Address: '127.0.0.1', Port: 80, Tags: [], Meta: {}, Check: { TTL: '1m' } },
      { ...silent, warn: (message) => void warnings.push(message) },
    );
    try {
      await eventually(() => warnings.length === 1);
      await consul.restart();
      await eventually(
        async () => JSON.stringify(await consulApi(consul, 'GET', 'agent/services')).includes('"x"'),
        { withinMs: 15_000 },
      );
      expect(warnings).toHaveLength(1);
    } finally {
      await registration.deregister();
      await consul.stop();
    }
  });
});
