import { describe, expect, it } from 'vitest';
import { tableStory } from '../../../src/admin/table-story.ts';
import { Timeline } from '../../../src/admin/timeline.ts';
import type { EndedCall } from '../../../src/admin/request-log.ts';
import type { TimelineEntry } from '../../../src/admin/shapes.ts';
import type {
  Instance,
  InstanceId,
  RawJson,
  RoutingTable,
  ServiceRoute,
  UpstreamName,
} from '../../../src/model.ts';
import { definition, instance, route, table, target, tool } from '../../support/model.ts';

const a = instance('github', 'a');
const b = instance('github', 'b', { version: '1.3' });
const ill = {
  ...b,
  state: 'critical' as const,
  checks: [{ id: 'c', name: 'ping', status: 'critical' as const, output: 'refused\nmore', ofNode: false }],
};

/** As the reconciler makes it: those that are passing take calls. */
function serviceOf(
  name: string,
  instances: readonly Instance[],
  tools: readonly string[] = ['search', 'write'],
): ServiceRoute {
  const learned = definition(tools.map((one) => tool(one)));
  const passing = instances.filter(({ state }) => state === 'passing');
  const others = instances.filter((one) => !passing.includes(one));
  const targets = passing.map((one) => target(one, learned));
  return { ...route(name, targets, { others }), definition: learned };
}

const story = (next: RoutingTable, previous: RoutingTable): string[] =>
  tableStory(next, previous).map(({ text }) => text);

describe('what a new table means, in plain words', () => {
  const none = table();
  const one = table(serviceOf('github', [a]));
  const both = table(serviceOf('github', [a, b]));

  it.each<[what: string, next: RoutingTable, previous: RoutingTable, told: string[]]>([
    ['a service appears', one, none, ['github appeared with 1 instance and offers 2 tools.']],
    ['a service leaves', none, one, ['github left Consul and took 2 tools along.']],
    ['an instance joins', both, one, ['github: b (version 1.3) joined.']],
    ['an instance leaves', one, both, ['github: b (version 1.3) left.']],
    [
      'an instance turns critical',
      table(serviceOf('github', [a, ill])),
      both,
      ['github: b (version 1.3) turned critical and gets no calls (check “ping”: refused).'],
    ],
    [
      'it recovers',
      both,
      table(serviceOf('github', [a, ill])),
      ['github: b (version 1.3) is passing again.'],
    ],
    [
      'an instance is drained',
      table(serviceOf('github', [a, { ...b, state: 'maintenance' }])),
      both,
      ['github: b (version 1.3) is in maintenance: running calls finish, new ones go elsewhere.'],
    ],
    [
      'nobody is left',
      table(serviceOf('github', [{ ...ill, version: 'x' }])),
      table(serviceOf('github', [{ ...b, version: 'x' }])),
      [
        'github: b (version x) turned critical and gets no calls (check “ping”: refused).',
        'github has nobody left to serve it: its calls are refused until an instance is healthy.',
      ],
    ],
    [
      'tools change',
      table(serviceOf('github', [a], ['search', 'fork', 'star'])),
      one,
      ['github changed what it offers: added 2 tools (fork, star), removed 1 tool (write).'],
    ],
    [
      'a service was learned',
      one,
      table({ ...serviceOf('github', [a]), definition: undefined, targets: [] }),
      ['github can be used: it offers 2 tools.'],
    ],
    ['nothing changed', one, one, []],
  ])('when %s', (_what, next, previous, told) => {
    expect(story(next, previous)).toEqual(told);
  });

  it('tells of many services at once in one sentence', () => {
    const many = table(...Array.from({ length: 12 }, (_, n) => serviceOf(`s${n}`, [instance(`s${n}`, 'a')])));
    expect(story(many, none)).toEqual(['12 services appeared in Consul: s0, s1, s2 and 9 more.']);
    expect(story(none, many)).toEqual(['12 services left Consul: s0, s1, s2 and 9 more.']);
  });

  it('tells of a rolling deploy when instances begin to differ, and when they agree again', () => {
    const plain = serviceOf('github', [a, b]);
    const split = { ...plain.split, tools: new Map([['search' as UpstreamName, plain.pool]]) };
    const rolling = table({ ...plain, split });
    expect(story(rolling, both)).toEqual([
      'github: its instances differ on 1 item, as in a rolling deploy. A call goes only where the item is as clients see it.',
    ]);
    expect(story(both, rolling)).toContain('github: all instances agree again.');
  });
});

describe('the timeline', () => {
  function timeline() {
    let now = 1000;
    const told: TimelineEntry[] = [];
    const line = new Timeline(
      () => now,
      (entry) => told.push(entry),
    );
    return { line, told, pass: (ms: number) => (now += ms) };
  }
  const call = (service: string, more: Partial<EndedCall> = {}): EndedCall => ({
    method: 'tools/call',
    label: `${service}.x`,
    service,
    instance: 'dc1/node/a' as InstanceId,
    result: 'ok',
    attempts: 2,
    durationMs: 1,
    caller: { era: 'legacy', clientInfo: '{}' as RawJson },
    trouble: 'a refused the connection.',
    ...more,
  });

  it('gathers calls that found another instance into one entry, which is told again under its number', () => {
    const { line, told, pass } = timeline();
    line.called(call('github'));
    pass(100);
    line.called(call('github'));
    expect(told.map(({ n }) => n)).toEqual([1, 1]);
    expect(line.last().map(({ text }) => text)).toEqual([
      '2 calls of github were answered at a further try (a refused the connection).',
    ]);
    pass(20_000);
    line.called(call('github'));
    line.called(call('other'));
    expect(line.last().map(({ n }) => n)).toEqual([1, 2, 3]);
  });

  it('says nothing of calls that were answered at once, or failed', () => {
    const { line, told } = timeline();
    line.called(call('github', { attempts: 1 }));
    line.called(call('github', { result: 'BACKEND_FAILED' }));
    expect(told).toEqual([]);
  });

  it('tells of each loss of Consul once, and of its return', () => {
    const { line } = timeline();
    const lost = [{ name: 'local', doubt: 'unreachable' as const }];
    line.consul([{ name: 'local', doubt: 'not-synced' }]);
    line.consul([{ name: 'local', doubt: undefined }]);
    line.consul(lost);
    line.consul(lost);
    line.consul([{ name: 'local', doubt: undefined }]);
    expect(line.last().map(({ text }) => text)).toEqual([
      'Consul cannot be reached. The last good state is served meanwhile.',
      'Consul answers again, and is believed.',
    ]);
  });

  it('forgets the oldest entries, not the newest', () => {
    const { line } = timeline();
    for (let n = 1; n <= 1500; n++) line.add({ kind: 'router', tone: 'plain', text: String(n) });
    expect(line.last()).toHaveLength(1000);
    expect(line.last(1)[0]?.text).toBe('1500');
    expect(line.last()[0]?.text).toBe('501');
  });
});
