import { describe, expect, it } from 'vitest';
import { namespacedUri, originalUri } from '../../../src/catalog/resource-owners.ts';
import { uriTemplateMatcher } from '../../../src/catalog/uri-template.ts';

describe('uriTemplateMatcher', () => {
  it.each([
    ['file:///{path}', 'file:///a.txt', true],
    ['file:///{path}', 'file:///a/b.txt', false],
    ['file:///{+path}', 'file:///a/b.txt', true],
    ['demo://resource/dynamic/text/{resourceId}', 'demo://resource/dynamic/text/3', true],
    ['demo://resource/dynamic/text/{resourceId}', 'demo://resource/dynamic/blob/3', false],
    ['db://{table}/{row}', 'db://users/7', true],
    ['db://{table}/{row}', 'db://users', false],
    ['search://x{?q,page}', 'search://x?q=a&page=2', true],
    ['search://x{?q,page}', 'search://x', true],
    ['search://x{?q}', 'search://y?q=a', false],
    ['a.b://c-d(1)/{x}', 'a.b://c-d(1)/z', true],
    ['a.b://c-d(1)/{x}', 'aXb://c-d(1)/z', false],
    ['page://x{/a,b}{#f}', 'page://x/1/2#s', true],
    ['fixed://uri', 'fixed://uri', true],
    ['fixed://uri', 'fixed://uri2', false],
    ['odd://{', 'odd://{', true],
    ['m://{é}', 'm://漢', true],
  ])('%s and %s: %s', (template, uri, expected) => {
    expect(uriTemplateMatcher(template)(uri)).toBe(expected);
  });

  it('is not held up by a long URI', () => {
    const matches = uriTemplateMatcher('x://{a}/{b}/{c}/{d}/{e}/{f}/{+g}!');
    expect(matches(`x://${'a/'.repeat(4000)}`)).toBe(false);
    expect(matches(`x://${'a/'.repeat(100_000)}!`)).toBe(false);
  });
});

describe('namespaced URIs', () => {
  it.each([
    ['two', 'demo://a/b', 'mcp-router://two/demo://a/b'],
    ['two', 'ui://page/x', 'ui://two/page/x'],
    ['a b', 'demo://{id}', 'mcp-router://a%20b/demo://{id}'],
  ])('%s, %s', (namespace, uri, expected) => {
    expect(namespacedUri(namespace, uri)).toBe(expected);
    expect(originalUri(namespace, expected)).toBe(uri);
    expect(originalUri('other', expected)).toBeUndefined();
  });
});
