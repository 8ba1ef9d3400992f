import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CurrentPolicy } from '../../../src/policy/current-policy.ts';
import { describeMisfit } from '../../../src/policy/document.ts';
import { readPolicy } from '../../../src/policy/policy-document.ts';
import { anonymous } from '../../support/model.ts';
import { recordingLog } from '../../support/recording-log.ts';

function misfits(text: string): readonly string[] {
  const read = readPolicy({ text, place: 'policy.yaml' });
  return read.kind === 'wrong' ? read.misfits.map(describeMisfit) : [];
}

describe('readPolicy', () => {
  it('takes YAML, JSON and an empty document', () => {
    expect(readPolicy({ text: '', place: 'p' })).toMatchObject({
      kind: 'ok',
      value: { rules: [], mode: 'enforce' },
    });
    expect(misfits('{"rules": [{"name": "a", "effect": "allow"}]}')).toEqual([]);
    expect(misfits('mode: dry-run\nrules:\n  - name: a\n    effect: allow\n')).toEqual([]);
  });

  it('reports every error at once, each with its line and column', () => {
    const text = [
      'mode: sometimes',
      'rules:',
      '  - name: one',
      '    effect: alow',
      '    who: { group: dev }',
      '  - name: one',
      '    effect: deny',
      '    scopes: [a]',
      '    when: args.x ==',
      '    what:',
      '      tools: [search]',
      '  - effect: allow',
      'rulez: []',
    ].join('\n');
    expect(misfits(text)).toEqual([
      'policy.yaml:1:7 mode: must be enforce or dry-run',
      'policy.yaml:4:13 rules[0].effect: must be allow or deny',
      'policy.yaml:5:12 rules[0].who.group: is not known here',
      expect.stringMatching(/^policy.yaml:11:14 rules\[1\].what.tools: must be a canonical name/),
      expect.stringMatching(
        /^policy.yaml:9:11 rules\[1\].when: column 10 of the condition: Unexpected token/,
      ),
      expect.stringMatching(/^policy.yaml:12:5 rules\[2\].name: /),
      'policy.yaml:13:1 rulez: is not known here',
    ]);
  });

  it.each([
    ['rules: [', /^policy.yaml:1:\d+: is not YAML or JSON/],
    ['- a', /^policy.yaml:1:1: /],
    [
      'rules: [{name: a, effect: deny}, {name: a, effect: deny}]',
      /^policy.yaml:1:\d+ rules\[1\].name: another rule/,
    ],
    ['rules: [{name: a, effect: deny, scopes: [x]}]', /rules\[0\].scopes: only a rule that allows/],
    ['rules: [{name: a, effect: allow, scopes: ["a b"]}]', /must be one OAuth scope/],
    ['rules: [{name: a, effect: allow, who: {groups: []}}]', /must not be empty/],
    ['rules: [{name: a, effect: allow, who: []}]', /rules\[0\].who/],
    ['rules: [{name: a, effect: allow, who: {claims: {a: {}}}}]', /rules\[0\].who.claims.a: must be a text/],
    [`a: &a [x]\nb: [${'*a,'.repeat(300)}]`, /Excessive alias count/],
    ['rules: [{name: a, effect: allow, __proto__: {}}]', /__proto__: is not known here/],
  ])('refuses %j', (text, message) => {
    expect(misfits(text).join('\n')).toMatch(message);
  });

  it('shows no value of what is wrong', () => {
    expect(misfits('rules: hunter2\nmode: hunter2').join()).not.toContain('hunter2');
  });
});

describe('CurrentPolicy', () => {
  const rules = 'rules: [{ name: nobody, effect: deny }]';
  const access = { kind: 'tools', name: 'a.b', service: 'a', meta: {}, args: () => ({}) } as const;

  it('keeps the rules before when new ones are wrong, and reports every error', () => {
    const log = recordingLog();
    const changes: string[] = [];
    const current = new CurrentPolicy({
      required: false,
      onChange: (now) => changes.push(now.place ?? ''),
      log,
    });
    expect(current.inForce.policy.decide(anonymous, access).kind).toBe('allow');
    expect(current.load({ text: rules, place: 'first' })).toBe(true);
    expect(current.load({ text: 'rules: [{ name: x }]\nmore: 1', place: 'second' })).toBe(false);
    expect(current.inForce.policy.decide(anonymous, access).kind).toBe('deny');
    expect(current.refused.map((misfit) => misfit.path)).toEqual(['rules[0].effect', 'more']);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(current.load({ text: `${rules}\n`, place: 'third' })).toBe(true);
    expect(current.refused).toEqual([]);
    expect(changes).toEqual(['first', 'third']);
  });

  it('allows nothing before a policy that must exist was read', () => {
    const current = new CurrentPolicy({ required: true, onChange: () => undefined, log: recordingLog() });
    expect(current.inForce.policy.decide(anonymous, access).kind).toBe('deny');
    current.load({ text: 'rules: []', place: 'p' });
    expect(current.inForce.policy.decide(anonymous, access).kind).toBe('allow');
  });

  it('does not open the doors when the document is lost', () => {
    const current = new CurrentPolicy({ required: false, onChange: () => undefined, log: recordingLog() });
    current.load({ text: rules, place: 'kv' });
    current.missing('kv');
    expect(current.inForce.policy.decide(anonymous, access).kind).toBe('deny');
    current.load({ text: 'rules: []', place: 'kv' });
    expect(current.inForce.policy.decide(anonymous, access).kind).toBe('allow');
  });
});

describe('the guide', () => {
  it('shows rules that the router takes', () => {
    const guide = readFileSync(new URL('../../../docs/access-control.md', import.meta.url), 'utf8');
    const examples = Array.from(guide.matchAll(/```yaml\n([^]*?)```/g), ([, text = '']) => text);
    const policies = examples.filter((text) => /^(?:rules|profiles|workspaces):/m.test(text));
    expect(policies.length).toBeGreaterThan(0);
    for (const text of policies) {
      const read = readPolicy({ text, place: 'guide' });
      expect(read.kind === 'wrong' ? read.misfits : []).toEqual([]);
    }
  });
});
