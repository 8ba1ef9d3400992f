import { describe, expect, it } from 'vitest';
import { presetTexts, propertiesOf, readForm } from '../../../src/admin/ui/form/schema.ts';
import { clientGuides } from '../../../src/admin/ui/views/clients.ts';

const properties = propertiesOf({
  type: 'object',
  properties: {
    text: { type: 'string' },
    whole: { type: 'integer' },
    real: { type: 'number', default: 1.5 },
    flag: { type: 'boolean' },
    pick: { enum: ['a', 1, null] },
    inner: { type: 'object', properties: { deep: { type: 'string' } }, required: ['deep'] },
    list: { type: 'array' },
    either: { anyOf: [{ type: 'string' }, { type: 'number' }] },
    'name.with.dots': { type: 'string' },
  },
  required: ['text', 'whole'],
});
const read = (texts: Record<string, string>) => readForm(properties, new Map(Object.entries(texts)));

describe('a form made of a schema', () => {
  it.each<[what: string, texts: Record<string, string>, value: unknown]>([
    ['only what is needed', { text: '', whole: '3' }, { text: '', whole: 3 }],
    ['a number', { whole: '3', real: '-0.5e2' }, { text: '', whole: 3, real: -50 }],
    ['no', { whole: '3', flag: 'false' }, { text: '', whole: 3, flag: false }],
    ['null of several values', { whole: '3', pick: 'null' }, { text: '', whole: 3, pick: null }],
    ['an object inside', { whole: '3', 'inner\ndeep': 'x' }, { text: '', whole: 3, inner: { deep: 'x' } }],
    [
      'a dotted name, which is no path',
      { whole: '3', 'name.with.dots': 'x' },
      { text: '', whole: 3, 'name.with.dots': 'x' },
    ],
    ['JSON', { whole: '3', list: '[1]', either: '"x"' }, { text: '', whole: 3, list: [1], either: 'x' }],
  ])('reads %s', (_what, texts, value) => {
    expect(read(texts)).toEqual({ kind: 'filled', value });
  });

  it.each<[path: string, texts: Record<string, string>, message: string]>([
    ['whole', {}, 'whole is needed.'],
    ['whole', { whole: '1.5' }, 'whole must be a whole number.'],
    ['whole', { whole: 'x' }, 'whole must be a whole number.'],
    ['list', { whole: '1', list: '[' }, 'list must be JSON, such as ["a"] or {"b": 1}.'],
  ])('says what is wrong with %s', (path, texts, message) => {
    expect(read(texts)).toEqual({ kind: 'wrong', path, message });
  });

  it('wants what an object inside needs only where something was filled in there', () => {
    const [inner] = propertiesOf({
      properties: {
        inner: { type: 'object', properties: { a: { type: 'integer' }, b: {} }, required: ['a'] },
      },
    });
    const of = (texts: [string, string][]) => readForm(inner ? [inner] : [], new Map(texts));
    expect(of([])).toEqual({ kind: 'filled', value: {} });
    expect(of([['inner\nb', '1']])).toMatchObject({ kind: 'wrong', message: 'a is needed.' });
  });

  it('begins with the defaults', () => {
    expect([...presetTexts(properties)]).toEqual([['real', '1.5']]);
  });

  it.each([[{}], [{ properties: [] }], [{ properties: { a: true } }], [{ properties: { a: null } }]])(
    'takes a schema that says little or nonsense: %j',
    (schema) => {
      expect(readForm(propertiesOf(schema), new Map()).kind).toBe('filled');
    },
  );
});

describe('settings of clients', () => {
  it('hold in any client, also with names and addresses that need quoting', () => {
    for (const { snippet, link } of clientGuides('a-b', 'http://[::1]:8080/services/a%20b/mcp')) {
      expect(snippet).toContain('http://[::1]:8080/services/a%20b/mcp');
      if (link !== undefined) expect(() => new URL(link)).not.toThrow();
    }
  });
});
