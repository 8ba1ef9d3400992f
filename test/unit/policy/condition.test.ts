import { describe, expect, it } from 'vitest';
import { compileCondition, type ConditionContext } from '../../../src/policy/rules/condition.ts';

const context: ConditionContext = {
  identity: {
    subject: 'ann',
    method: 'token',
    issuer: 'https://idp.example',
    client: 'cli',
    key: '',
    groups: ['dev', 'ops'],
    scopes: ['read'],
    claims: { tenant: 'acme', nested: { level: 3 } },
  },
  args: { repo: 'acme/site', count: 3, list: [{ tags: ['a'] }, { tags: ['b'] }], nothing: null },
  meta: { env: 'dev', 'mcp-version': '2' },
};

function evaluate(source: string): string {
  const compiled = compileCondition(source);
  if (compiled.kind === 'wrong') throw new Error(`${compiled.column}: ${compiled.message}`);
  return compiled.condition.evaluate(context);
}

describe('compileCondition', () => {
  it.each([
    ['args.repo.startsWith("acme/")', 'true'],
    ['args.repo.like("acme/*") && !args.repo.like("*/secret")', 'true'],
    ['args.repo.like("a?me/*")', 'true'],
    ['"ops" in identity.groups && meta.env != "prod"', 'true'],
    ['identity.claims.tenant == args.repo.split("/")[0]', 'true'],
    ['identity.claims.nested.level > 2', 'true'],
    ['args.count < 3', 'false'],
    ['args.count == 3 && args.nothing == null', 'true'],
    ['args.list.all(item, item.tags.exists(tag, tag in ["a", "b"]))', 'true'],
    ['identity.groups.exists(group, args.repo.startsWith(group + "/"))', 'false'],
    ['has(args.missing)', 'false'],
    ['meta["mcp-version"] == "2"', 'true'],
    // The safe side is taken of what can't be evaluated.
    ['args.missing == 1', 'failed'],
    ['args.repo > 3', 'failed'],
    ['meta.region == "eu"', 'failed'],
    ['has(args.constructor) || has(args.toString)', 'false'],
  ])('%s is %s', (source, expected) => {
    expect(evaluate(source)).toBe(expected);
  });

  it.each([
    ['args.x ==', /Unexpected token/, 10],
    ['nosuch.x == 1', /Unknown variable: nosuch/, 1],
    ['true && identity.grups == []', /No such key: grups/, 18],
    ['meta.env == 1', /no such overload: string == int/, 1],
    ['args.count', /must be true or false/, 1],
    ['"text"', /is of type string/, 1],
    ['args.repo.matches("(a+)+$")', /use like\(\)/, 1],
    ['cel.bind(x, args.list, x.size() > 1)', /not taken/, 1],
    ['args.list.all(a, args.list.all(b, a == b))', /a loop over arguments/, 1],
    ['args.list.all(a, a.tags.all(b, b in a.tags))', /a loop over arguments/, 18],
    ['args.list.exists(a, args.repo.contains(a))', /a loop over arguments/, 1],
    ['args.list.map(a, a.tags).all(b, b in args.list)', /a loop over arguments/, 1],
    [`"${'a'.repeat(5000)}" == "a"`, /longer than/, 1],
  ])('%s is refused', (source, message, column) => {
    const compiled = compileCondition(source);
    expect(compiled).toMatchObject({ kind: 'wrong', column });
    expect(compiled.kind === 'wrong' && compiled.message).toMatch(message);
  });

  it('takes loops inside each other where their cost is that of reading the arguments once', () => {
    expect(evaluate('args.list.all(a, a.tags.all(b, b != "c"))')).toBe('true');
    expect(evaluate('identity.groups.all(g, identity.scopes.all(s, s != g && args.repo != s))')).toBe('true');
  });

  it('says what an expression looks at', () => {
    const uses = (source: string) => {
      const compiled = compileCondition(source);
      return compiled.kind === 'ok' ? compiled.condition.uses : undefined;
    };
    expect(uses('args.a == 1')).toEqual({ identity: false, args: true, meta: false });
    expect(uses('identity.claims.args == 1 && meta.a == "b"')).toEqual({
      identity: true,
      args: false,
      meta: true,
    });
  });
});
