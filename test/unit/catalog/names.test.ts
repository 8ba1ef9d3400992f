import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { disambiguated, namesOf, shortHash } from '../../../src/catalog/names.ts';

const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 90, unit: 'grapheme' }),
  fc.string({ minLength: 1, maxLength: 90, unit: fc.constantFrom('a', 'B', '_', '-', '.', '0') }),
);

describe('namesOf', () => {
  it.each([
    ['github', 'search_code', 'github.search_code', 'github__search_code'],
    ['github-v2', 'searchCode', 'github-v2.searchCode', 'github-v2__searchCode'],
    ['my_service', '_x_', 'my_service._x_', 'my_service___x_'],
  ])('leaves ordinary names readable: %s, %s', (namespace, tool, canonical, portable) => {
    expect(namesOf(namespace, tool)).toEqual({ canonical, portable });
  });

  it('lists nothing that Claude Desktop, Codex or the OpenAI API would reject', () => {
    fc.assert(
      fc.property(name, name, (namespace, tool) => {
        expect(namesOf(namespace, tool).portable).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
      }),
    );
  });

  it('keeps canonical names within the specification, with the namespace before the first dot', () => {
    fc.assert(
      fc.property(name, name, (namespace, tool) => {
        const { canonical } = namesOf(namespace, tool);
        expect(canonical).toMatch(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+$/);
        expect(canonical.length).toBeLessThanOrEqual(128);
      }),
    );
  });

  it('gives different tools different names', () => {
    fc.assert(
      fc.property(name, name, name, name, (n1, t1, n2, t2) => {
        fc.pre(n1 !== n2 || t1 !== t2);
        const [a, b] = [namesOf(n1, t1), namesOf(n2, t2)];
        expect(a.canonical).not.toBe(b.canonical);
        expect(a.portable).not.toBe(b.portable);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['a', 'b__c', 'a__b', 'c'],
    ['a', '_b', 'a_', 'b'],
    ['a.b', 'c', 'a_b', 'c'],
    ['a', 'b.c', 'a.b', 'c'],
    ['a', 'b c', 'a', 'b_c'],
    ['é', 't', 'è', 't'],
    ['s', 'é', 's', '漢'],
    ['n', `${'x'.repeat(70)}1`, 'n', `${'x'.repeat(70)}2`],
    [`${'x'.repeat(140)}1`, 't', `${'x'.repeat(140)}2`, 't'],
  ])('tells %s/%s from %s/%s', (n1, t1, n2, t2) => {
    const [a, b] = [namesOf(n1, t1), namesOf(n2, t2)];
    expect(a.canonical).not.toBe(b.canonical);
    expect(a.portable).not.toBe(b.portable);
  });

  it('is the same on every machine and in every release', () => {
    expect(namesOf('payments.eu', 'charge card')).toEqual({
      canonical: `payments_eu-${shortHash('payments.eu')}.charge_card-${shortHash('charge card')}`,
      portable: `payments_eu-${shortHash('payments.eu')}__charge_card-${shortHash('charge card')}`,
    });
    // Written down, not computed: changing this renames tools under running agents.
    expect(shortHash('payments.eu')).toBe('4n1u9jl2');
  });

  it('keeps the tool readable when a long namespace has to be cut', () => {
    const { portable } = namesOf('a-very-long-service-name-of-the-platform-team', 'list_pull_requests');
    expect(portable).toHaveLength(64);
    expect(portable).toContain('__list_pull_requests-');
  });
});

describe('disambiguated', () => {
  it('stays within the limit and differs by owner', () => {
    const long = 'x'.repeat(64);
    expect(disambiguated(long, 64, 'a')).toHaveLength(64);
    expect(disambiguated(long, 64, 'a')).not.toBe(disambiguated(long, 64, 'b'));
    expect(disambiguated('x', 64, 'ab', 'c')).not.toBe(disambiguated('x', 64, 'a', 'bc'));
  });
});
