import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { glob, nameFilter } from '../../../src/catalog/glob.ts';

describe('glob', () => {
  it.each([
    ['github.search', 'github.search', true],
    ['github.search', 'github.Search', false],
    ['github.*', 'github.search', true],
    ['github.*', 'github.', true],
    ['github.*', 'githubx', false],
    ['*.delete', 'repo.delete', true],
    ['*.delete', 'repo.delete_all', false],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['a?c', 'a😀c', true],
    ['*a*b*', 'xxaxxbxx', true],
    ['*a*b*', 'xxbxxaxx', false],
    ['**', 'anything', true],
    ['a.c', 'abc', false],
    ['[a]*', '[a]b', true],
    ['file:///a/*/c', 'file:///a/b\nb/c', true],
    ['*ab', 'aab', true],
    ['a*', '*', false],
  ])('%j on %j is %j', (pattern, name, expected) => {
    expect(glob(pattern)(name)).toBe(expected);
  });

  it('matches what the expression with .* would match', () => {
    const pattern = fc.stringMatching(/^[ab*?]{0,8}$/);
    const name = fc.stringMatching(/^[ab]{0,10}$/);
    fc.assert(
      fc.property(pattern, name, (wanted, given) => {
        const expression = new RegExp(`^${wanted.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's');
        expect(glob(wanted)(given)).toBe(expression.test(given));
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  it('is not made slow by a long name that nearly matches many stars', () => {
    // An expression would try every way to split the name: about 10^18 of them.
    expect(glob(`${'*a'.repeat(12)}*b`)('a'.repeat(5000))).toBe(false);
  });
});

describe('nameFilter', () => {
  it('lets through what is allowed and not denied; an empty list allows all', () => {
    const filter = nameFilter(['read_*'], ['*_secret']);
    expect(['read_file', 'write_file', 'read_secret'].filter((name) => filter(name))).toEqual(['read_file']);
    expect(nameFilter([], ['admin'])('anything')).toBe(true);
  });
});
