import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../../src/discovery/consul-address.ts';
import { parseCatalog, parseHealth } from '../../../src/discovery/parse-answers.ts';
import { readMeta } from '../../../src/discovery/registration-meta.ts';
import { service } from '../../support/model.ts';

describe('readMeta', () => {
  const defaults = {
    service: {
      namespace: 's',
      session: 'stateful',
      balance: 'rendezvous',
      timeoutMs: 60_000,
      maxConcurrency: 0,
      toolsAllow: [],
      toolsDeny: [],
    },
    endpoint: { transport: 'streamable-http', scheme: 'http', path: '/mcp', openapiPath: '/openapi.json' },
    problems: [],
  };

  it('has the defaults of the contract', () => {
    expect(readMeta({}, 's')).toEqual(defaults);
    expect(readMeta({ owner: 'team-a', 'mcp-path': ' ' }, 's')).toEqual(defaults);
  });

  it('reads every setting', () => {
    const {
      service: settings,
      endpoint,
      version,
      problems,
    } = readMeta(
      {
        'mcp-path': '/v2/mcp?x=1',
        'mcp-transport': 'SSE',
        'mcp-scheme': 'https',
        'mcp-tls-server-name': 'mcp.internal',
        'mcp-namespace': 'gh',
        'mcp-group': 'ci',
        'mcp-version': '1.2.3',
        'mcp-session': 'stateless',
        'mcp-balance': 'weighted',
        'mcp-timeout-ms': '5000',
        'mcp-max-concurrency': '4',
        'mcp-tools-allow': 'a*, b',
        'mcp-tools-deny': 'c',
        'mcp-credential': 'github-app',
        'mcp-openapi': '/api.json',
      },
      's',
    );
    expect(problems).toEqual([]);
    expect(settings).toEqual({
      namespace: 'gh',
      group: 'ci',
      session: 'stateless',
      balance: 'weighted',
      timeoutMs: 5000,
      maxConcurrency: 4,
      toolsAllow: ['a*', 'b'],
      toolsDeny: ['c'],
      credential: 'github-app',
    });
    expect(endpoint).toEqual({
      path: '/v2/mcp?x=1',
      transport: 'sse',
      scheme: 'https',
      tlsServerName: 'mcp.internal',
      openapiPath: '/api.json',
    });
    expect(version).toBe('1.2.3');
  });

  it('balances by load where any instance may serve any call, else by session', () => {
    expect(readMeta({ 'mcp-session': 'stateless' }, 's').service.balance).toBe('p2c');
    expect(readMeta({ 'mcp-session': 'stateful' }, 's').service.balance).toBe('rendezvous');
    expect(readMeta({ 'mcp-balance': 'P2C' }, 's').service.balance).toBe('p2c');
  });

  it('takes underscores where dashes cannot be written; the dash wins, and a difference is reported', () => {
    expect(readMeta({ mcp_path: '/a' }, 's').endpoint.path).toBe('/a');
    const both = readMeta({ mcp_path: '/a', 'mcp-path': '/b' }, 's');
    expect(both.endpoint.path).toBe('/b');
    expect(both.problems).toEqual([expect.objectContaining({ code: 'META_TWICE', subject: 'mcp_path' })]);
  });

  it('uses /sse as the default path of the old transport', () => {
    expect(readMeta({ 'mcp-transport': 'sse' }, 's').endpoint.path).toBe('/sse');
  });

  it.each([
    ['mcp-path', 'mcp'],
    ['mcp-path', '/a b'],
    ['mcp-path', '/a\r\nhost: evil'],
    ['mcp-path', '/é'],
    ['mcp-path', '/a#b'],
    ['mcp-transport', 'stdio'],
    ['mcp-scheme', 'ftp'],
    ['mcp-tls-server-name', 'a b'],
    ['mcp-namespace', 'x'.repeat(65)],
    ['mcp-group', 'a/b'],
    ['mcp-session', 'sticky'],
    ['mcp-balance', 'round-robin'],
    ['mcp-timeout-ms', '0'],
    ['mcp-timeout-ms', '-5'],
    ['mcp-timeout-ms', '1e3'],
    ['mcp-timeout-ms', '999999999999'],
    ['mcp-max-concurrency', '1.5'],
    ['mcp-credential', 'secret value!'],
    ['mcp-openapi', 'openapi.json'],
  ])('%s = %j falls back to the default and is reported with a mend', (key, value) => {
    const read = readMeta({ [key]: value }, 's');
    expect({ ...read, problems: [] }).toEqual(defaults);
    expect(read.problems).toEqual([expect.objectContaining({ code: 'META_INVALID', subject: key })]);
    expect(read.problems[0]?.message).toContain('mend the registration');
  });

  it('reports an unknown mcp- key and lets others be', () => {
    const { problems } = readMeta({ 'mcp-pth': '/x', mcp_foo: '1', version: '2', mcpx: 'y' }, 's');
    expect(problems.map((problem) => [problem.code, problem.subject])).toEqual([
      ['META_UNKNOWN', 'mcp-pth'],
      ['META_UNKNOWN', 'mcp_foo'],
    ]);
  });
});

describe('parseCatalog', () => {
  it('takes services that have the tag, case and all, sorted', () => {
    const body = { b: ['mcp'], consul: [], a: ['x', 'mcp'], c: ['MCP'], d: null, e: ['mcp2'] };
    expect(parseCatalog(body, 'mcp')).toEqual(['a', 'b']);
    expect(parseCatalog(body, 'MCP')).toEqual(['c']);
    expect(parseCatalog({}, 'mcp')).toEqual([]);
  });

  it.each([[null], [[]], ['<html>'], [{ a: 'mcp' }], [{ a: [1] }], [7]])('does not believe %j', (body) => {
    expect(() => parseCatalog(body, 'mcp')).toThrow('Consul would not send');
  });
});

const entry = (more: { Service?: object; Node?: object; Checks?: unknown } = {}) => ({
  Node: { Node: 'n1', Address: '10.0.0.1', Datacenter: 'dc1', ...more.Node },
  Service: {
    ID: 's-1',
    Service: 's',
    Tags: ['mcp'],
    Address: '10.0.0.2',
    Port: 8080,
    Meta: {},
    Weights: { Passing: 1, Warning: 1 },
    ModifyIndex: 7,
    ...more.Service,
  },
  Checks: 'Checks' in more ? more.Checks : [check('serfHealth', 'passing', '')],
});
const check = (CheckID: string, Status: string, ServiceID = 's-1', more = {}) => ({
  CheckID,
  Name: CheckID,
  Status,
  ServiceID,
  Output: `output of ${CheckID}`,
  Notes: '',
  ...more,
});
const parse = (...entries: unknown[]) => parseHealth(entries, service('s'), 'mcp', 'dc-default');
const first = (...entries: unknown[]) => {
  const [parsed] = parse(...entries).instances;
  if (!parsed) throw new Error('no instance');
  return parsed.instance;
};

describe('parseHealth', () => {
  it('knows an instance by datacenter, node and service id', () => {
    expect(first(entry()).id).toBe('dc1/n1/s-1');
    expect(first(entry({ Node: { Datacenter: '' }, Service: { ID: 'a/b é' } })).id).toBe(
      'dc-default/n1/a%2Fb%20%C3%A9',
    );
    const twins = parse(entry(), entry({ Node: { Node: 'n2' } })).instances.map(
      ({ instance }) => instance.id,
    );
    expect(twins).toEqual(['dc1/n1/s-1', 'dc1/n2/s-1']);
  });

  it("uses the service's address, else the node's, IPv6 too", () => {
    expect(first(entry()).endpoint).toMatchObject({ host: '10.0.0.2', port: 8080 });
    expect(first(entry({ Service: { Address: '' } })).endpoint.host).toBe('10.0.0.1');
    expect(first(entry({ Service: { Address: 'fd00::1' } })).endpoint.host).toBe('fd00::1');
    expect(first(entry({ Service: { Address: 'mcp.example.com' } })).endpoint.host).toBe('mcp.example.com');
  });

  it.each([
    [{ Service: { Port: 0 } }, 'NO_PORT'],
    [{ Service: { Port: undefined } }, 'NO_PORT'],
    [{ Service: { Port: 70_000 } }, 'NO_PORT'],
    [{ Service: { Kind: 'connect-proxy' } }, 'KIND'],
    [{ Service: { Tags: ['other'] } }, 'NO_TAG'],
    [{ Service: { Tags: ['MCP'] } }, 'NO_TAG'],
    [{ Service: { Tags: null } }, 'NO_TAG'],
    [{ Service: { Address: 'user@evil/path' } }, 'BAD_ADDRESS'],
    [{ Service: { Address: '10.0.0.2:99' } }, 'BAD_ADDRESS'],
    [{ Service: { Address: '' }, Node: { Address: '' } }, 'BAD_ADDRESS'],
  ])('skips %j with the reason %s, and takes its neighbour', (more, code) => {
    const { instances, skipped } = parse(entry(more), entry({ Service: { ID: 'good' } }));
    expect(instances.map(({ instance }) => instance.serviceId)).toEqual(['good']);
    expect(skipped.map((one) => [one.reason.code, one.serviceId])).toEqual([[code, 's-1']]);
    expect(skipped[0]?.reason.message).toMatch(/\.$/);
  });

  it.each([
    ['no check at all', null, 'passing'],
    ['all passing', [check('a', 'passing'), check('serfHealth', 'passing', '')], 'passing'],
    ['one warning', [check('a', 'passing'), check('b', 'warning')], 'warning'],
    ['one critical', [check('a', 'warning'), check('b', 'critical')], 'critical'],
    ['the node critical', [check('a', 'passing'), check('serfHealth', 'critical', '')], 'critical'],
    ['an unknown status', [check('a', 'odd')], 'critical'],
    ['service maintenance', [check('_service_maintenance:s-1', 'critical')], 'maintenance'],
    ['node maintenance', [check('a', 'critical'), check('_node_maintenance', 'critical', '')], 'maintenance'],
  ])('%s: %s', (_, checks, state) => {
    expect(first(entry({ Checks: checks })).state).toBe(state);
  });

  it('keeps what a failing check printed and the reason of a maintenance, not what a passing one prints', () => {
    const { checks } = first(
      entry({
        Checks: [
          check('a', 'passing'),
          check('b', 'critical', 's-1', { Output: 'x'.repeat(2000) }),
          check('_service_maintenance:s-1', 'critical', 's-1', { Notes: 'disk swap' }),
        ],
      }),
    );
    expect(checks.map((one) => one.output)).toEqual(['', 'x'.repeat(512), 'disk swap']);
  });

  it('reads weights and keeps meta, version and tags', () => {
    const one = first(
      entry({
        Service: {
          Weights: { Passing: 10, Warning: 0 },
          Meta: { 'mcp-version': '2', owner: 'x' },
          Tags: ['mcp', 'blue'],
        },
      }),
    );
    expect(one).toMatchObject({
      weights: { passing: 10, warning: 0 },
      version: '2',
      meta: { 'mcp-version': '2', owner: 'x' },
      tags: ['mcp', 'blue'],
    });
    expect(first(entry({ Service: { Weights: undefined } })).weights).toEqual({ passing: 1, warning: 1 });
  });

  it('has another registration after a re-registration', () => {
    expect(first(entry()).registration).toBe(first(entry()).registration);
    expect(first(entry({ Service: { ModifyIndex: 8 } })).registration).not.toBe(first(entry()).registration);
    expect(first(entry({ Service: { Port: 8081 } })).registration).not.toBe(first(entry()).registration);
  });

  it.each([[null], [{}], ['x'], [[1]], [[{ Node: {}, Service: {} }]], [[entry({ Service: { Port: 'x' } })]]])(
    'does not believe %j',
    (body) => {
      expect(() => parseHealth(body, service('s'), 'mcp', 'dc')).toThrow('Consul would not send');
    },
  );
});

describe('parseAddress', () => {
  it.each([
    ['127.0.0.1:8500', false, 'http://127.0.0.1:8500/v1', false],
    ['consul', false, 'http://consul:8500/v1', false],
    ['consul:8501', true, 'https://consul:8501/v1', true],
    ['https://consul:8501', false, 'https://consul:8501/v1', true],
    ['http://proxy/consul/', true, 'http://proxy/consul/v1', false],
    ['[::1]:8500', false, 'http://[::1]:8500/v1', false],
    ['unix:///run/consul.sock', false, 'http://localhost/v1', false],
  ])('%s (ssl: %s) is %s', (text, ssl, baseUrl, secure) => {
    expect(parseAddress(text, ssl)).toMatchObject({ baseUrl, secure });
  });

  it.each(['ftp://x', 'unix://relative', 'http://', 'a b'])('%s is refused with what to write', (text) => {
    expect(() => parseAddress(text, false)).toThrow(/is no address/);
  });
});
