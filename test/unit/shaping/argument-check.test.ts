import fc from 'fast-check';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { argumentCheck, wrongArgumentsText } from '../../../src/shaping/argument-check.ts';
import { realServers } from '../../bench/search/corpus.ts';
import { schemas, valuesNear, type Schema } from '../../support/schemas.ts';

const check = (inputSchema: unknown, value: unknown): readonly string[] =>
  argumentCheck(JSON.stringify({ name: 'x', inputSchema }))(value);

describe('argumentCheck', () => {
  const schema = {
    type: 'object',
    properties: {
      id: { type: 'integer' },
      kind: { enum: ['a', 'b'] },
      tags: { type: 'array', items: { type: 'string' } },
    },
    required: ['id'],
    additionalProperties: false,
  };

  it.each([
    ['what is missing', {}, 'id'],
    ['what has another type', { id: 'x' }, 'arguments/id'],
    ['what is none of the values', { id: 1, kind: 'c' }, 'arguments/kind'],
    ['what is wrong inside', { id: 1, tags: ['a', 2] }, 'arguments/tags/1'],
    ['what is not known', { id: 1, other: 1 }, 'other'],
  ])('says %s', (_what, value, told) => {
    expect(check(schema, value).join('\n')).toContain(told);
  });

  it('finds nothing wrong with what is right', () => {
    expect(check(schema, { id: 1, kind: 'a', tags: ['x'] })).toEqual([]);
  });

  it('never refuses what the schema allows', () => {
    const judge = new Ajv2020({ strict: false, logger: false, validateFormats: false });
    let allowed = 0;
    fc.assert(
      fc.property(
        schemas('https://json-schema.org/draft/2020-12/schema').chain((made) =>
          fc.tuple(fc.constant(made), valuesNear(made)),
        ),
        ([made, value]) => {
          try {
            const { $id: _ignored, ...nameless } = made;
            if (!judge.validate(nameless, value)) return;
          } catch {
            return;
          }
          allowed++;
          expect(check(made, value)).toEqual([]);
        },
      ),
      { numRuns: 1000 },
    );
    expect(allowed).toBeGreaterThan(50);
  });

  it('leaves patterns to the backend: one of them could run for minutes', () => {
    const evil = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } };
    expect(check(evil, { a: `${'a'.repeat(60)}!` })).toEqual([]);
    expect(check(evil, { a: 1 })).not.toEqual([]);
  });

  it('does not refuse more because it leaves out a part', () => {
    const schemas: Schema[] = [
      { not: { pattern: '^x' } },
      { oneOf: [{ type: 'string', pattern: '^a' }, { type: 'string' }] },
      { patternProperties: { '^x-': {} }, additionalProperties: false },
      { patternProperties: { '^x-': {} }, unevaluatedProperties: false },
    ];
    expect(check(schemas[0], 'a')).toEqual([]);
    expect(check(schemas[1], 'b')).toEqual([]);
    expect(check(schemas[2], { 'x-1': 1 })).toEqual([]);
    expect(check(schemas[3], { 'x-1': 1 })).toEqual([]);
  });

  it.each([
    ['no JSON', '{'],
    ['no schema', '{"name":"x"}'],
    ['a reference into nothing', '{"inputSchema":{"$ref":"#/nowhere"}}'],
    ['a reference into the net', '{"inputSchema":{"$ref":"https://example.com/x"}}'],
    ['an endless reference', '{"inputSchema":{"$ref":"#"}}'],
    ['a huge schema', JSON.stringify({ inputSchema: { type: 'string', description: 'x'.repeat(70_000) } })],
  ])('has nothing to say with %s', (_what, json) => {
    expect(argumentCheck(json)({ a: 1 })).toEqual([]);
  });

  it('can use the schemas of nearly all real tools', () => {
    const demanding = realServers()
      .flatMap(({ tools }) => tools)
      .filter(
        (tool) => ((tool['inputSchema'] as { required?: readonly string[] }).required ?? []).length > 0,
      );
    const used = demanding.filter((tool) => argumentCheck(JSON.stringify(tool))({}).length > 0);
    expect(used.length / demanding.length).toBeGreaterThan(0.98);
  });
});

describe('wrongArgumentsText', () => {
  it('carries the schema, so that the next call can be right', () => {
    const text = wrongArgumentsText(
      'shop__refund',
      ['arguments: missing id'],
      '{"inputSchema": {"type": "object"}}',
    );
    expect(text).toContain('shop__refund');
    expect(text).toContain('missing id');
    expect(text).toContain('{"type":"object"}');
    expect(text).toContain('Nothing was called');
  });
});
