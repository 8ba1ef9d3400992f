import { Ajv, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { default as addFormats } from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonText } from '../../../src/shaping/json-text.ts';
import { shortText, slimSchema } from '../../../src/shaping/slim-schema.ts';
import { slimTool } from '../../../src/shaping/slim-tool.ts';
import { realServers } from '../../bench/search/corpus.ts';
import { schemas, valuesNear, type Schema } from '../../support/schemas.ts';

function slim(schema: unknown, name = 'tool', spaces?: number): string {
  const text = JSON.stringify(schema, null, spaces);
  const node = parseJsonText(text);
  return node ? slimSchema(text, node, { name }) : text;
}

const dialects = {
  'https://json-schema.org/draft/2020-12/schema': Ajv2020,
  'http://json-schema.org/draft-07/schema#': Ajv,
} as const;

/** What a schema means to ajv; undefined where it takes no part in the game (a reference into nothing). */
function judge(schema: Schema, Judge: typeof Ajv | typeof Ajv2020): ValidateFunction | undefined {
  const ajv = new Judge({ strict: false, logger: false });
  addFormats.default(ajv);
  try {
    return ajv.compile(schema);
  } catch {
    return undefined;
  }
}

/** Accepted, refused, or an endless reference. */
function verdict(validate: ValidateFunction, value: unknown): boolean | 'endless' {
  try {
    return validate(value);
  } catch {
    return 'endless';
  }
}

describe.each(Object.entries(dialects))('slimSchema in %s', (dialect, Judge) => {
  it('takes and refuses the same as before, for whatever schema and value', () => {
    let judged = 0;
    fc.assert(
      fc.property(
        schemas(dialect).chain((schema) =>
          fc.tuple(fc.constant(schema), fc.array(valuesNear(schema), { minLength: 8, maxLength: 8 })),
        ),
        ([schema, values]) => {
          const before = judge(schema, Judge);
          const after = judge(JSON.parse(slim(schema)) as Schema, Judge);
          if (!before) return;
          for (const value of values) {
            judged++;
            // A reference to nothing but itself is found out when compiled, or only when asked.
            const now = after ? verdict(after, value) : 'endless';
            expect(now).toBe(verdict(before, value));
          }
        },
      ),
      { numRuns: 150 },
    );
    expect(judged).toBeGreaterThan(300);
  });
});

describe('slimSchema over the schemas of real servers', () => {
  const real = realServers().flatMap(({ tools }) => tools);

  it('takes and refuses the same as before', () => {
    const judges = Object.values(dialects);
    for (const [at, tool] of real.filter((_, index) => index % 12 === 0).entries()) {
      const schema = tool['inputSchema'] as Schema;
      const said = String(schema['$schema']);
      const Judge = said.includes('draft-07')
        ? Ajv
        : said.includes('2020-12')
          ? Ajv2020
          : (judges[at % 2] ?? Ajv);
      const before = judge(schema, Judge);
      const after = judge(JSON.parse(slim(schema, tool.name)) as Schema, Judge);
      if (!before || !after) throw new Error(`${tool.name}: not to be judged`);
      for (const value of fc.sample(valuesNear(schema), { numRuns: 12, seed: at })) {
        expect(verdict(after, value)).toBe(verdict(before, value));
      }
    }
  }, 120_000);

  it('keeps every word that a model reads: descriptions, enums, bounds, formats, patterns, defaults', () => {
    const telling = new Set([
      'enum',
      'format',
      'pattern',
      'minimum',
      'maximum',
      'default',
      'additionalProperties',
    ]);
    const gather = (value: unknown, found: string[] = []): string[] => {
      if (value === null || typeof value !== 'object') return found;
      for (const [key, inner] of Object.entries(value)) {
        if (telling.has(key) || (key === 'description' && inner !== ''))
          found.push(`${key} ${JSON.stringify(inner)}`);
        if (!['$defs', 'definitions'].includes(key)) gather(inner, found);
      }
      return found;
    };
    for (const tool of real)
      expect(gather(JSON.parse(slim(tool['inputSchema'], tool.name)))).toEqual(gather(tool['inputSchema']));
  });
});

describe('slimSchema', () => {
  it.each([
    [
      'the default dialect',
      { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object' },
      { type: 'object' },
    ],
    ['comments', { $comment: 'by hand', type: 'object' }, { type: 'object' }],
    ['an id that nothing needs', { $id: 'https://example.com/y', type: 'object' }, { type: 'object' }],
    [
      'empty lists and texts',
      { type: 'object', required: [], description: '', title: ' ' },
      { type: 'object' },
    ],
    [
      'a title that repeats the property',
      { properties: { repo_name: { title: 'Repo Name', type: 'string' } } },
      { properties: { repo_name: { type: 'string' } } },
    ],
    ['a title that repeats the tool', { title: 'search_codeArguments', type: 'object' }, { type: 'object' }],
    [
      'definitions that nothing reaches, also when they reach each other',
      {
        $ref: '#/$defs/A',
        $defs: { A: { type: 'object' }, B: { $ref: '#/$defs/C' }, C: { $ref: '#/$defs/B' } },
      },
      { $ref: '#/$defs/A', $defs: { A: { type: 'object' } } },
    ],
    ['all definitions', { type: 'object', $defs: { A: {} } }, { type: 'object' }],
  ])('drops %s', (_what, schema, expected) => {
    expect(slim(schema, 'search_code')).toBe(JSON.stringify(expected));
  });

  it.each([
    ['another dialect', { $schema: 'http://json-schema.org/draft-07/schema#' }],
    ['a title that says more', { properties: { id: { title: 'Invoice number' } } }],
    [
      'a property that is called like a keyword',
      { properties: { title: { type: 'string' }, $comment: {}, required: {} } },
    ],
    [
      'what looks like a schema but is a value',
      { const: { $comment: 'x', required: [] }, enum: [{ title: '' }], default: { description: '' } },
    ],
    [
      'an id that a reference may need',
      { $id: 'https://x/a', $ref: 'b', $defs: { b: { $id: 'https://x/b' } } },
    ],
    ['definitions with anchors', { $ref: '#pet', $defs: { Pet: { $anchor: 'pet' } } }],
    ['a reference to all definitions', { $ref: '#/$defs', $defs: { A: {} } }],
    ['a definition behind escapes', { $ref: '#/$defs/a~1b%20c', $defs: { 'a/b c': {} } }],
    ['closed objects', { type: 'object', additionalProperties: false }],
  ])('keeps %s', (_what, schema) => {
    expect(slim(schema)).toBe(JSON.stringify(schema));
  });

  it('keeps numbers as they are written', () => {
    const text = '{ "maximum": 9223372036854775807, "minimum": 1.0, "multipleOf": 1e-2 }';
    const node = parseJsonText(text);
    expect(node && slimSchema(text, node, { name: '' })).toBe(
      '{"maximum":9223372036854775807,"minimum":1.0,"multipleOf":1e-2}',
    );
  });

  it('leaves an object alone in which a key stands twice', () => {
    const text = '{"title":"","title":"x"}';
    const node = parseJsonText(text);
    expect(node && slimSchema(text, node, { name: '' })).toBe(text);
  });
});

describe('slimTool', () => {
  it('touches schemas and nothing else', () => {
    const tool = {
      name: 'find',
      title: 'find',
      description: 'Finds',
      inputSchema: { type: 'object', required: [] },
      outputSchema: { type: 'object', $comment: 'x' },
      annotations: { readOnlyHint: true },
      _meta: { $comment: 'stays', required: [] },
      unknown: [{ required: [] }],
    };
    expect(JSON.parse(slimTool(JSON.stringify(tool, null, 2)))).toEqual({
      ...tool,
      title: undefined,
      inputSchema: { type: 'object' },
      outputSchema: { type: 'object' },
    });
  });

  it('leaves alone what it cannot read', () => {
    for (const text of [
      '',
      'null',
      '[1]',
      '{"name":',
      `{"inputSchema":${'['.repeat(500)}${']'.repeat(500)}}`,
    ]) {
      expect(slimTool(text)).toBe(text);
    }
  });

  it('cuts texts only when asked', () => {
    const long = 'First sentence of it. '.repeat(20);
    const tool = {
      name: 'a',
      description: long,
      inputSchema: { properties: { b: { description: long, default: 1 } } },
    };
    expect(slimTool(JSON.stringify(tool))).toContain(JSON.stringify(long));
    const cut = JSON.parse(
      slimTool(JSON.stringify(tool), { maxDescription: 50, withoutExamples: true }),
    ) as typeof tool;
    expect(cut.description).toBe('First sentence of it. First sentence of it.');
    expect(cut.inputSchema).toEqual({ properties: { b: { description: cut.description } } });
  });
});

describe('shortText', () => {
  it.each([
    ['short enough', 20, 'short enough'],
    ['One sentence. And another one', 20, 'One sentence.'],
    ['words without any end to them', 15, 'words without…'],
    ['a'.repeat(30), 10, `${'a'.repeat(9)}…`],
    ['aaaa😀bbbb', 6, 'aaaa…'],
  ])('%s', (text, length, expected) => {
    expect(shortText(text, length)).toBe(expected);
  });
});
