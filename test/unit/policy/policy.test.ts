import { describe, expect, it } from 'vitest';
import { buildCatalog } from '../../../src/catalog/build.ts';
import type { Catalog, Identity, ToolHints } from '../../../src/model.ts';
import { readPolicy } from '../../../src/policy/policy-document.ts';
import { Policy, type Access, type Decision } from '../../../src/policy/rules/policy.ts';
import { compileRules } from '../../../src/policy/rules/rule-set.ts';
import { anonymous, definition, identity, item, service, tool } from '../../support/model.ts';

function policy(text: string): Policy {
  const read = readPolicy({ text, place: 'policy.yaml' });
  if (read.kind === 'wrong') throw new Error(JSON.stringify(read.misfits));
  return new Policy(compileRules(read.value.rules, read.value.scopes));
}

const readOnly: ToolHints = { readOnly: true, destructive: false, idempotent: true, openWorld: false };

function call(name: string, more: Partial<Access> = {}): Access {
  return {
    kind: 'tools',
    name,
    service: name.split('.')[0] ?? '',
    hints: { readOnly: false, destructive: true, idempotent: false, openWorld: true },
    meta: {},
    args: () => ({}),
    ...more,
  };
}

/** `allow rule`, `deny rule`, `deny (default)`, `step-up scopes`. */
function spell(decision: Decision): string {
  switch (decision.kind) {
    case 'allow':
      return `allow ${decision.rule?.name ?? '(no rules)'}`;
    case 'deny':
      return `deny ${decision.rule?.name ?? '(default)'}${decision.listed ? ' listed' : ''}`;
    case 'step-up':
      return `step-up ${decision.scopes.join(' ')}`;
  }
}

const dev = identity('ann', { groups: ['dev'] });
const ops = identity('bob', { groups: ['ops'] });
const ci: Identity = { ...anonymous, subject: 'ci-1', method: 'api-key', key: 'ci-1', digest: 'key:ci-1' };

describe('Policy', () => {
  it('allows all while there are no rules, and nothing that no rule allows once there is one', () => {
    expect(spell(policy('').decide(anonymous, call('a.b')))).toBe('allow (no rules)');
    const one = policy('rules: [{ name: dev only, effect: allow, who: { groups: dev } }]');
    expect(spell(one.decide(dev, call('a.b')))).toBe('allow dev only');
    expect(spell(one.decide(ops, call('a.b')))).toBe('deny (default)');
    expect(spell(one.decide(anonymous, call('a.b')))).toBe('deny (default)');
  });

  it('lets the first rule that matches decide', () => {
    const rules = policy(`
      rules:
        - { name: not prod, effect: deny, what: { services: prod-* } }
        - { name: all, effect: allow }
        - { name: too late, effect: deny }`);
    expect(spell(rules.decide(dev, call('prod-db.query')))).toBe('deny not prod');
    expect(spell(rules.decide(dev, call('db.query')))).toBe('allow all');
  });

  const subjects: readonly [who: string, matches: readonly Identity[], not: readonly Identity[]][] = [
    ['{ anonymous: true }', [anonymous], [dev, ci]],
    ['{ anonymous: false }', [dev, ci], [anonymous]],
    ['{ groups: [dev, ops] }', [dev, ops], [anonymous, ci]],
    ['{ keys: ci-* }', [ci], [dev, { ...ci, key: 'deploy' }]],
    ['{ subjects: a* }', [dev, anonymous], [ops]],
    ['{ issuers: https://idp.example }', [dev], [{ ...dev, issuer: 'https://other.example' }, ci]],
    ['{ clients: cli }', [{ ...dev, client: 'cli' }], [dev, { ...dev, client: 'CLI' }]],
    [
      '{ claims: { tenant: acme } }',
      [
        { ...dev, claims: { tenant: 'acme' } },
        { ...dev, claims: { tenant: ['x', 'acme'] } },
      ],
      [dev, { ...dev, claims: { tenant: 'acme2' } }],
    ],
    [
      '{ claims: { realm_access.roles: [admin, owner] } }',
      [{ ...dev, claims: { realm_access: { roles: ['owner'] } } }],
      [{ ...dev, claims: { realm_access: { roles: ['guest'] } } }, dev],
    ],
    [
      '{ claims: { https://x.example/level: 3, verified: true } }',
      [{ ...dev, claims: { 'https://x.example/level': 3, verified: true } }],
      [{ ...dev, claims: { 'https://x.example/level': '3', verified: true } }],
    ],
    ['{ claims: { email: "*@acme.com" } }', [{ ...dev, claims: { email: 'a@acme.com' } }], [dev]],
    // Fields beside each other must all hold; entries of a list are alternatives.
    ['{ groups: dev, subjects: ann }', [dev], [{ ...dev, subject: 'eve' }, ops]],
    ['[{ groups: ops }, { keys: ci-1 }]', [ops, ci], [dev]],
    ['{ claims: { constructor.name: Object } }', [], [dev]],
  ];
  it.each(subjects)('who: %s', (who, matches, not) => {
    const rules = policy(`rules: [{ name: r, effect: allow, who: ${who} }]`);
    const allowed = (one: Identity): boolean => rules.decide(one, call('a.b')).kind === 'allow';
    expect(matches.map((one) => allowed(one))).toEqual(matches.map(() => true));
    expect(not.map((one) => allowed(one))).toEqual(not.map(() => false));
  });

  const objects: readonly [what: string, matches: readonly Access[], not: readonly Access[]][] = [
    [
      '{ tools: github.* }',
      [call('github.search')],
      [call('git.log'), call('github.x', { kind: 'prompts' })],
    ],
    ['{ tools: [a.b, c.d] }', [call('a.b'), call('c.d')], [call('a.d')]],
    ['{ prompts: "*" }', [call('a.b', { kind: 'prompts' })], [call('a.b')]],
    [
      '{ resources: "file:///public/*" }',
      [
        call('file:///public/a', { kind: 'resources' }),
        call('file:///public/{name}', { kind: 'resourceTemplates' }),
      ],
      [call('file:///secret', { kind: 'resources' }), call('a.b')],
    ],
    ['{ services: a }', [call('a.b'), call('a.b', { kind: 'prompts' })], [call('ab.c')]],
    ['{ profiles: support }', [call('a.b', { profile: 'support' })], [call('a.b')]],
    [
      '{ annotations: { readOnlyHint: true } }',
      [call('a.b', { hints: readOnly })],
      [call('a.b'), call('a.b', { kind: 'prompts', hints: undefined })],
    ],
    [
      '{ annotations: { destructiveHint: false, idempotentHint: true, openWorldHint: false } }',
      [call('a.b', { hints: readOnly })],
      [call('a.b', { hints: { ...readOnly, openWorld: true } })],
    ],
    ['{ services: a, tools: "*.read" }', [call('a.read')], [call('b.read'), call('a.write')]],
    ['[{ services: a }, { tools: b.c }]', [call('a.x'), call('b.c')], [call('b.d')]],
  ];
  it.each(objects)('what: %s', (what, matches, not) => {
    const rules = policy(`rules: [{ name: r, effect: allow, what: ${what} }]`);
    const allowed = (one: Access): boolean => rules.decide(dev, one).kind === 'allow';
    expect(matches.map((one) => allowed(one))).toEqual(matches.map(() => true));
    expect(not.map((one) => allowed(one))).toEqual(not.map(() => false));
  });

  describe('conditions', () => {
    const rules = policy(`
      rules:
        - { name: no force, effect: deny, what: { tools: git.push }, when: args.force == true }
        - { name: own repos, effect: allow, what: { tools: git.push }, when: 'args.repo.startsWith("acme/")' }
        - { name: not in prod, effect: deny, what: { services: db }, when: 'meta.env == "prod"' }
        - { name: db, effect: allow, what: { services: db } }
        - { name: strong, effect: allow, what: { services: vault }, when: 'identity.claims.acr == "high"' }`);
    const push = (args: Record<string, unknown>): string =>
      spell(rules.decide(dev, call('git.push', { args: () => args })));

    it('decide about arguments at the call, and the answer may say so', () => {
      expect(push({ repo: 'acme/site', force: false })).toBe('allow own repos');
      expect(push({ repo: 'evil/site', force: false })).toBe('deny (default) listed');
      expect(push({ repo: 'acme/site', force: true })).toBe('deny no force listed');
    });

    it('take the safe side where they cannot be evaluated: a denial holds, a permission does not', () => {
      expect(push({ repo: 'acme/site' })).toBe('deny no force listed');
      expect(push({ repo: 7, force: false })).toBe('deny (default) listed');
      expect(spell(rules.decide(dev, call('db.query')))).toBe('deny not in prod');
      expect(spell(rules.decide(dev, call('vault.read')))).toBe('deny (default)');
    });

    it('look at meta of Consul and at the identity', () => {
      expect(spell(rules.decide(dev, call('db.query', { meta: { env: 'prod' } })))).toBe('deny not in prod');
      expect(spell(rules.decide(dev, call('db.query', { meta: { env: 'dev' } })))).toBe('allow db');
      const strong = { ...dev, claims: { acr: 'high' } };
      expect(spell(rules.decide(strong, call('vault.read')))).toBe('allow strong');
    });

    it('ask for the arguments only where a rule looks at them', () => {
      const args = (): Record<string, unknown> => {
        throw new Error('nobody should ask');
      };
      expect(spell(rules.decide(dev, call('db.query', { meta: { env: 'dev' }, args })))).toBe('allow db');
    });
  });

  describe('scopes', () => {
    const rules = policy(`
      scopes: { admin: [write], write: [read] }
      rules:
        - { name: write, effect: allow, what: { tools: a.write }, scopes: [read, write] }
        - { name: keys, effect: allow, who: { keys: '*' } }
        - { name: read, effect: allow, scopes: [read] }`);

    it('that a token lacks are asked for all at once', () => {
      expect(spell(rules.decide(dev, call('a.write')))).toBe('step-up read write');
      expect(spell(rules.decide({ ...dev, scopes: ['read'] }, call('a.write')))).toBe('step-up read write');
      expect(spell(rules.decide({ ...dev, scopes: ['read'] }, call('a.read')))).toBe('allow read');
    });

    it('that are broader count for what they stand for', () => {
      expect(spell(rules.decide({ ...dev, scopes: ['admin'] }, call('a.write')))).toBe('allow write');
      expect(spell(rules.decide({ ...dev, scopes: ['write'] }, call('a.read')))).toBe('allow read');
    });

    it('are no rule for callers that can get none', () => {
      expect(spell(rules.decide(ci, call('a.write')))).toBe('allow keys');
      expect(spell(rules.decide({ ...ci, scopes: ['write'] }, call('a.write')))).toBe('allow write');
      expect(spell(rules.decide(anonymous, call('a.write')))).toBe('deny (default)');
    });
  });
});

function catalog(previous?: Catalog): Catalog {
  const shown = (name: string, tools: readonly string[], more = {}) => ({
    name: service(name),
    namespace: name,
    toolsAllow: [],
    toolsDeny: [],
    definition: definition(
      tools.map((key) => tool(key)),
      more,
    ),
  });
  return buildCatalog(
    [
      shown('db', ['drop', 'query'], { prompts: [item('ask')] }),
      shown('files', ['read'], {
        resources: [item('file:///public', {}, 'uri'), item('file:///secret', {}, 'uri')],
        resourceTemplates: [item('file:///public/{name}', {}, 'uriTemplate')],
      }),
      shown('web', ['fetch']),
    ],
    previous,
  );
}

const noMeta = (): Record<string, string> => ({});
const seen = (view: Catalog): readonly string[] =>
  view.services.flatMap((entry) => [
    ...[...entry.tools, ...entry.prompts].map((listed) => listed.canonical as string),
    ...[...entry.resources, ...entry.resourceTemplates].map((listed) => listed.uri),
  ]);

describe('Policy.view', () => {
  const whole = catalog();
  const rules = (): Policy =>
    policy(`
      rules:
        - { name: no drop, effect: deny, what: { tools: db.drop } }
        - { name: secrets, effect: allow, who: { groups: ops }, what: { services: [files, web] } }
        - { name: public, effect: allow, what: { resources: 'file:///public*' } }
        - { name: db, effect: allow, what: { services: db } }`);

  it('holds what an identity may use and nothing else, in lists and in every index', () => {
    const view = rules().view(dev, whole, noMeta, undefined);
    expect(seen(view)).toEqual(['db.query', 'db.ask', 'file:///public', 'file:///public/{name}']);
    expect([...view.byName.keys()]).toEqual(['db', 'files']);
    expect([...view.tools.keys()].toSorted()).toEqual(['db.query', 'db__query']);
    expect([...view.prompts.keys()].toSorted()).toEqual(['db.ask', 'db__ask']);
    expect([...view.resources.keys()]).toEqual(['file:///public', 'file:///public/{name}']);
    expect(seen(rules().view(ops, whole, noMeta, undefined))).toContain('file:///secret');
  });

  it('is the catalog itself for who may see all', () => {
    expect(policy('').view(dev, whole, noMeta, undefined)).toBe(whole);
    expect(policy('rules: [{ name: all, effect: allow }]').view(dev, whole, noMeta, undefined)).toBe(whole);
  });

  it('is one object for all who see the same, also after the rules were read anew', () => {
    const first = rules();
    const view = first.view(dev, whole, noMeta, undefined);
    expect(first.view(identity('eve'), whole, noMeta, undefined)).toBe(view);
    expect(first.view(dev, whole, noMeta, undefined)).toBe(view);
    expect(rules().view(dev, whole, noMeta, undefined)).toBe(view);
    expect(first.view(ops, whole, noMeta, undefined)).not.toBe(view);
    // What is seen of files is part of both catalogs and the same in both.
    expect(first.view(ops, whole, noMeta, undefined).byName.get(service('db'))).toBe(
      view.byName.get(service('db')),
    );
  });

  it('keeps the parts of services that stayed as they were when another one changed', () => {
    const view = rules().view(dev, whole, noMeta, undefined);
    const next = catalog(whole);
    const after = rules().view(dev, next, noMeta, undefined);
    expect(after.byName.get(service('files'))).toBe(view.byName.get(service('files')));
  });

  it('shows what depends on arguments, whatever a condition may say later', () => {
    const conditional = policy(`
      rules:
        - { name: sometimes not, effect: deny, what: { tools: db.drop }, when: args.sure != true }
        - { name: sometimes, effect: allow, what: { tools: web.fetch }, when: args.url == "x" }
        - { name: db, effect: allow, what: { services: db } }`);
    expect(seen(conditional.view(dev, whole, noMeta, undefined))).toEqual([
      'db.drop',
      'db.query',
      'db.ask',
      'web.fetch',
    ]);
  });

  it('decides by meta and identity at once, and anew when the meta changes', () => {
    const conditional = policy(`
      rules:
        - { name: own, effect: allow, when: meta.team == identity.claims.team }`);
    const team = (name: string): Identity => identity(name, { claims: { team: name } });
    const meta = (of: Record<string, string>) => (name: string) => ({ team: of[name] ?? '' });
    const first = meta({ db: 'a', web: 'b' });
    expect(seen(conditional.view(team('a'), whole, first, undefined))).toEqual([
      'db.drop',
      'db.query',
      'db.ask',
    ]);
    expect(seen(conditional.view(team('b'), whole, first, undefined))).toEqual(['web.fetch']);
    const second = meta({ db: 'b' });
    expect(seen(conditional.view(team('a'), whole, second, undefined))).toEqual([]);
    expect(seen(conditional.view(team('b'), whole, second, undefined))).toEqual([
      'db.drop',
      'db.query',
      'db.ask',
    ]);
  });

  it('shows a tool that a token can step up to', () => {
    const stepUp = policy('rules: [{ name: w, effect: allow, what: { tools: web.fetch }, scopes: [w] }]');
    expect(seen(stepUp.view(dev, whole, noMeta, undefined))).toEqual(['web.fetch']);
    expect(seen(stepUp.view(anonymous, whole, noMeta, undefined))).toEqual([]);
  });

  it('tells profiles apart', () => {
    const byProfile = policy('rules: [{ name: p, effect: allow, what: { profiles: p, services: web } }]');
    expect(seen(byProfile.view(dev, whole, noMeta, 'p'))).toEqual(['web.fetch']);
    expect(seen(byProfile.view(dev, whole, noMeta, undefined))).toEqual([]);
  });

  it('agrees with what is decided about every single item', () => {
    const set = rules();
    for (const one of [dev, ops, ci, anonymous]) {
      const allowed = whole.services
        .flatMap((entry) => entry.tools)
        .filter(
          (entry) => set.decide(one, call(entry.canonical, { hints: entry.item.hints })).kind !== 'deny',
        )
        .map((entry) => entry.canonical);
      const view = set.view(one, whole, noMeta, undefined);
      expect(view.services.flatMap((entry) => entry.tools).map((entry) => entry.canonical)).toEqual(allowed);
    }
  });
});

describe('whether there may be something for a caller', () => {
  it.each([
    ['rules: []', true, true],
    ['rules: [{ name: all, effect: allow }]', true, true],
    ['rules: [{ name: none, effect: deny }, { name: all, effect: allow }]', false, false],
    [
      'rules: [{ name: not x, effect: deny, what: { services: x } }, { name: all, effect: allow }]',
      false,
      true,
    ],
    [
      'rules: [{ name: not p, effect: deny, what: { profiles: p } }, { name: all, effect: allow }]',
      false,
      false,
    ],
    [
      'rules: [{ name: not some, effect: deny, what: { tools: x.y } }, { name: all, effect: allow }]',
      true,
      true,
    ],
    [
      'rules: [{ name: at times, effect: deny, when: meta.env == "x" }, { name: all, effect: allow }]',
      true,
      true,
    ],
    ['rules: [{ name: other, effect: allow, what: { profiles: q } }]', false, false],
    ['rules: [{ name: other, effect: allow, who: { groups: ops } }]', false, false],
    ['rules: [{ name: other, effect: allow, what: { services: z } }]', false, true],
  ])('%s: of service x %s, through profile p %s', (text, ofService, throughProfile) => {
    expect(policy(text).mayAllow(dev, 'x', 'p')).toBe(ofService);
    expect(policy(text).mayUse(dev, 'p')).toBe(throughProfile);
  });
});
