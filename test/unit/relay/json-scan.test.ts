import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  JsonScanError,
  memberObject,
  memberString,
  memberText,
  scanArray,
  scanObject,
  splice,
} from '../../../src/relay/json-scan.ts';

/** JSON text of a value with random white space between tokens, as servers in other languages write it. */
const spaced = (value: unknown, space: string): string => {
  if (Array.isArray(value))
    return `[${space}${value.map((item) => spaced(item, space)).join(`${space},`)}${space}]`;
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value).map(
      ([key, item]) => `${space}${JSON.stringify(key)}${space}:${space}${spaced(item, space)}${space}`,
    );
    return `{${members.join(',')}${space}}`;
  }
  return JSON.stringify(value);
};

describe('scanObject', () => {
  it('finds every member of any object where JSON.parse finds it', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.constantFrom('', ' ', '\n\t', '\r\n'),
        (object, space) => {
          const plain = JSON.parse(JSON.stringify(object)) as Record<string, unknown>;
          const text = spaced(plain, space);
          const scanned = scanObject(text, 0);
          expect(scanned.end).toBe(text.length);
          const found = scanned.keys.map((key, index) => [
            key,
            JSON.parse(text.slice(scanned.starts[index], scanned.ends[index])) as unknown,
          ]);
          expect(found).toEqual(Object.entries(plain));
        },
      ),
    );
  });

  it.each([
    ['x{}', 'no object'],
    ['{"a":1', 'no comma'],
    ['{"a"}', 'no colon'],
    ['{a:1}', 'no key'],
    ['{"a":1,}', 'no key'],
    ['{"a":}', 'no value'],
    ['{"a":tru}', 'no value'],
    ['{"a":01}', 'no value'],
    ['{"a":"b}', 'string without end'],
    ['{"a":"b\\"}', 'string without end'],
    ['{"a":[1,2}', 'no comma'],
    ['{"a":[[1,2}', 'without end'],
    ['{"a":1 "b":2}', 'no comma'],
    ['', 'no object'],
  ])('refuses %s', (text, message) => {
    expect(() => scanObject(text, 0)).toThrow(message);
    expect(() => JSON.parse(text) as unknown).toThrow();
  });

  it('refuses a key that stands twice, also when one is spelled with escapes', () => {
    expect(() => scanObject('{"method":"ping","method":"tools/call"}', 0)).toThrow(JsonScanError);
    expect(() => scanObject('{"name":1,"n\\u0061me":2}', 0)).toThrow('stands twice');
  });

  it('is not fooled by quotes, braces and backslashes inside strings', () => {
    const text = '{"a":"}\\\\\\"{","b":{"c":["]",{"d":"\\\\"}]},"e":1}';
    const scanned = scanObject(text, 0);
    expect(scanned.keys).toEqual(['a', 'b', 'e']);
    expect(memberString(text, scanned, 'a')).toBe('}\\"{');
    expect(memberText(text, scanned, 'e')).toBe('1');
  });

  it('survives 100 000 levels of nesting', () => {
    const text = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)},"b":2}`;
    expect(memberText(text, scanObject(text, 0), 'b')).toBe('2');
  });
});

describe('members', () => {
  const text = '{"s":"x","n":1,"o":{"k":true},"nil":null}';
  const scanned = scanObject(text, 0);

  it('gives values only of the asked kind', () => {
    expect(memberString(text, scanned, 's')).toBe('x');
    expect(memberString(text, scanned, 'n')).toBeUndefined();
    expect(memberString(text, scanned, 'missing')).toBeUndefined();
    expect(memberObject(text, scanned, 'o')?.keys).toEqual(['k']);
    expect(memberObject(text, scanned, 'nil')).toBeUndefined();
    expect(memberText(text, scanned, 'nil')).toBe('null');
  });
});

describe('scanArray', () => {
  it('gives every item as it stands', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (items) => {
        const plain = JSON.parse(JSON.stringify(items)) as unknown[];
        const text = spaced(plain, ' ');
        const spans = scanArray(text, 0, 1000);
        expect(spans.map(([start, end]) => JSON.parse(text.slice(start, end)) as unknown)).toEqual(plain);
      }),
    );
  });

  it('stops at the limit', () => {
    expect(() => scanArray('[1,2,3]', 0, 2)).toThrow('more than 2 items');
    expect(scanArray('[1,2]', 0, 2)).toHaveLength(2);
  });
});

describe('splice', () => {
  it('makes edits in any order of giving', () => {
    expect(
      splice('hello world', [
        { start: 6, end: 11, insert: 'moon' },
        { start: 0, end: 5, insert: 'bye' },
      ]),
    ).toBe('bye moon');
    expect(splice('same', [])).toBe('same');
  });
});
