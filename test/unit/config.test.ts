import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { describeSettings, resolveSettings, type Sources } from '../../src/config/resolve.ts';
import { isLoopback } from '../../src/config/values.ts';

const resolve = (sources: Sources) => {
  const resolved = resolveSettings(sources);
  if (resolved.kind === 'wrong') throw new Error(JSON.stringify(resolved.problems));
  return resolved;
};
const problems = (sources: Sources) => {
  const resolved = resolveSettings(sources);
  return resolved.kind === 'wrong' ? resolved.problems : [];
};

describe('resolveSettings', () => {
  it('has the defaults of the contract', () => {
    const { settings } = resolve({});
    expect(settings).toMatchObject({
      consulAddr: ['127.0.0.1:8500'],
      listen: { host: '127.0.0.1', port: 8080 },
      adminListen: { host: '127.0.0.1', port: 8081 },
      tag: 'mcp',
      datacenters: [],
      names: 'portable',
      logLevel: 'info',
      register: true,
    });
  });

  it('flag goes before environment before file before KV before default', () => {
    const file = { path: 'router.yaml', text: 'logLevel: warn\ntag: from-file\n' };
    const kv = { path: 'mcp-router/config', text: '{"logLevel":"debug"}' };
    const environment = { MCP_ROUTER_LOG_LEVEL: 'error', MCP_ROUTER_TAG: '' };
    const all = resolve({ flags: { logLevel: 'info' }, environment, file, kv });
    expect([all.settings.logLevel, all.origins.logLevel]).toEqual(['info', 'flag']);
    expect([all.settings.tag, all.origins.tag]).toEqual(['from-file', 'file']);
    expect(resolve({ environment, file, kv }).origins.logLevel).toBe('environment');
    expect(resolve({ file, kv }).origins.logLevel).toBe('file');
    expect(resolve({ kv }).settings.logLevel).toBe('debug');
    expect(resolve({ kv }).origins.logLevel).toBe('consul-kv');
    expect(resolve({}).origins.logLevel).toBe('default');
    expect(resolve({}).origins.adminToken).toBe('not set');
  });

  it('reports every wrong value at once, with its origin and what would be right', () => {
    const found = problems({
      flags: { listen: 'nowhere' },
      environment: { MCP_ROUTER_NAMES: 'pretty', MCP_ROUTER_PAGE_SIZE: '-1', MCP_ROUTER_SECRET: 'short' },
      file: { path: 'router.yaml', text: 'debounce: soon\nlog-level: warn\nnonsense: 1\n' },
      kv: { path: 'mcp-router/config', text: 'tag: x' },
    });
    const by = Object.fromEntries(found.map((problem) => [problem.setting, problem]));
    expect(Object.keys(by).sort()).toEqual(
      ['debounce', 'listen', 'log-level', 'names', 'nonsense', 'pageSize', 'secret', 'tag'].sort(),
    );
    expect(by['listen']).toMatchObject({
      origin: '--listen (flag)',
      message: expect.stringContaining('host:port') as string,
    });
    expect(by['names']?.origin).toBe('MCP_ROUTER_NAMES (environment)');
    expect(by['debounce']?.origin).toBe('debounce in router.yaml');
    expect(by['log-level']?.message).toContain('did you mean logLevel');
    expect(by['tag']?.message).toContain('restart');
    expect(by['secret']?.message).toContain('32 bytes');
    expect(JSON.stringify(found)).not.toContain('"short"');
  });

  it.each(['{', '- a\n- b', 'just words'])('refuses a file that is no settings: %j', (text) => {
    expect(problems({ file: { path: 'f.yaml', text } })[0]?.origin).toBe('f.yaml');
  });

  it('masks secrets', () => {
    const secret = randomBytes(32).toString('base64');
    const resolved = resolve({
      environment: { MCP_ROUTER_SECRET: secret, CONSUL_HTTP_TOKEN: 'tok', CONSUL_HTTP_AUTH: 'u:p' },
    });
    const shown = JSON.stringify(describeSettings(resolved));
    for (const hidden of [secret, 'tok"', 'u:p']) expect(shown).not.toContain(hidden);
    expect(shown).toContain('***');
  });
});

describe('values', () => {
  const value = (name: string, given: unknown): unknown =>
    (resolve({ flags: { [name]: given } }).settings as Record<string, unknown>)[name];
  const wrong = (name: string, given: unknown): boolean => problems({ flags: { [name]: given } }).length > 0;

  it.each([
    ['127.0.0.1:8080', { host: '127.0.0.1', port: 8080 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    [':8080', { host: '0.0.0.0', port: 8080 }],
    ['35431', { host: '127.0.0.1', port: 35_431 }],
    [8080, { host: '127.0.0.1', port: 8080 }],
    ['router.internal:0', { host: 'router.internal', port: 0 }],
  ])('listen %j', (given, expected) => expect(value('listen', given)).toEqual(expected));

  it.each(['', 'x', '1.2.3.4', '::1:80', 'a:99999', 'a b:80'])('listen %j is refused', (given) =>
    expect(wrong('listen', given)).toBe(true),
  );

  it.each([
    ['2500ms', 2500],
    ['1.5s', 1500],
    ['2m', 120_000],
    [1000, 1000],
    ['1h', 3_600_000],
  ])('a duration of %j', (given, expected) => expect(value('probeRefresh', given)).toBe(expected));

  it.each([
    ['512k', 524_288],
    ['4M', 4 << 20],
    ['1GiB', 1 << 30],
    [4096, 4096],
  ])('a size of %j', (given, expected) => expect(value('maxBody', given)).toBe(expected));

  it.each([
    ['true', true],
    ['0', false],
    ['off', false],
    [false, false],
  ])('a switch of %j', (given, expected) => expect(value('register', given)).toBe(expected));

  it('lists, words and rings', () => {
    expect(value('datacenters', 'dc1, dc2,')).toEqual(['dc1', 'dc2']);
    expect(value('datacenters', ['dc1'])).toEqual(['dc1']);
    expect(wrong('tag', ' ')).toBe(true);
    expect(wrong('register', 'maybe')).toBe(true);
    const keys = [randomBytes(32), randomBytes(32)];
    expect(value('secret', keys.map((key) => key.toString('base64')).join(', '))).toEqual(
      keys.map((key) => new Uint8Array(key)),
    );
  });

  it.each([
    ['memory', { kind: 'memory' }],
    ['redis://r', { kind: 'redis', at: { host: 'r', port: 6379, tls: false }, database: 0 }],
    ['redis://[::1]:6380/3', { kind: 'redis', at: { host: '::1', port: 6380, tls: false }, database: 3 }],
    [
      'redis://:p%40ss@r:1/',
      { kind: 'redis', at: { host: 'r', port: 1, tls: false }, password: 'p@ss', database: 0 },
    ],
    [
      'rediss://me:pw@r?cacert=/ca.pem&cert=/c.pem&key=/k.pem&db=2',
      {
        kind: 'redis',
        at: { host: 'r', port: 6379, tls: true },
        username: 'me',
        password: 'pw',
        database: 2,
        caCert: '/ca.pem',
        clientCert: '/c.pem',
        clientKey: '/k.pem',
      },
    ],
    ['unix:///run/r.sock', { kind: 'redis', at: { socketPath: '/run/r.sock' }, database: 0 }],
    [
      'unix://me:pw@/run/r.sock?db=1',
      {
        kind: 'redis',
        at: { socketPath: '/run/r.sock' },
        username: 'me',
        password: 'pw',
        database: 1,
      },
    ],
  ])('store %j', (given, expected) => expect(value('store', given)).toEqual(expected));

  it.each([
    '',
    'redis',
    'localhost:6379',
    'http://r:6379',
    'redis://',
    'redis://r/x',
    'redis://r:99999',
    'redis://r?cacert=/ca.pem',
    'rediss://r?cert=/c.pem',
    'redis://u:%zz@r',
    'redis://r?db=',
    'redis://r#1',
    'unix://host/run/r.sock',
    'unix:///',
  ])('store %j is refused', (given) => expect(wrong('store', given)).toBe(true));

  it('a password of the store is shown nowhere, right or wrong', () => {
    const store = { value: 'redis://me:hunter2@r:6379/0' };
    const shown = describeSettings(resolve({ environment: { MCP_ROUTER_STORE: store.value } }));
    expect(shown.find(({ name }) => name === 'store')?.value).toBe('redis://me:***@r:6379/0');
    expect(JSON.stringify(shown)).not.toContain('hunter2');
    const [problem] = problems({ environment: { MCP_ROUTER_STORE: 'redis:me:hunter2@r' } });
    expect(problem?.message).toContain('redis://user:password@host');
    expect(JSON.stringify(problem)).not.toContain('hunter2');
    expect(describeSettings(resolve({})).find(({ name }) => name === 'store')?.value).toBe('memory');
  });

  it('knows loopback', () => {
    expect(['localhost', '127.0.0.1', '127.1.2.3', '::1'].every(isLoopback)).toBe(true);
    expect(['0.0.0.0', '::', '10.0.0.1', 'example.com'].some(isLoopback)).toBe(false);
  });
});
