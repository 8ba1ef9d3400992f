import fc from 'fast-check';

/** Arbitrary JSON Schemas with all that slimming touches, and values that are near to what they ask for. */

export type Schema = Readonly<Record<string, unknown>>;

const names = ['a', 'repo_name', 'title', 'description', 'required', '$comment', 'x y'];
const title = fc.constantFrom('', 'A', 'Repo Name', 'repo_name', 'Title', 'other', 'toolArguments', 'Pet');
const said = fc.constantFrom('', ' ', 'what it is');
const reference = fc.constantFrom(
  '#',
  '#/$defs/Pet',
  '#/definitions/Cat',
  '#/$defs/a~1b',
  '#/$defs/Pet/properties/a',
);

const noise = fc.record(
  {
    title,
    description: said,
    $comment: said,
    examples: fc.constant([1]),
    default: fc.constant({ $comment: 'x', required: [] }),
  },
  { requiredKeys: [] },
);

function leaf(): fc.Arbitrary<Schema> {
  return fc.oneof(
    fc.record({ type: fc.constantFrom('string', 'integer', 'number', 'boolean', 'null') }),
    fc.record({ type: fc.constant('string'), minLength: fc.nat(3), pattern: fc.constantFrom('^a', 'b$') }),
    fc.record({ type: fc.constant('number'), minimum: fc.nat(5), multipleOf: fc.constantFrom(1, 2) }),
    fc.record({ enum: fc.constantFrom(['a', 'b'], [{ title: 'a', required: [] }], [1, null]) }),
    fc.record({ const: fc.constantFrom('a', 1, { description: '', $comment: 'x' }) }),
    fc.record({ $ref: reference }),
    fc.constant({}),
  );
}

function node(depth: number): fc.Arbitrary<Schema> {
  const inner = depth === 0 ? leaf() : fc.oneof(leaf(), node(depth - 1));
  const object = fc.record(
    {
      type: fc.constant('object'),
      properties: fc.dictionary(fc.constantFrom(...names), inner, { maxKeys: 3 }),
      required: fc.subarray(names),
      additionalProperties: fc.oneof(fc.boolean(), inner),
    },
    { requiredKeys: ['type'] },
  );
  const list = fc.record(
    { type: fc.constant('array'), items: inner, maxItems: fc.nat(3) },
    { requiredKeys: ['type'] },
  );
  const several = (keyword: string) =>
    fc.array(inner, { minLength: 1, maxLength: 2 }).map((all) => ({ [keyword]: all }));
  const shape = fc.oneof(
    leaf(),
    object,
    object,
    list,
    several('anyOf'),
    several('allOf'),
    inner.map((not) => ({ not })),
  );
  return fc.tuple(shape, noise).map(([schema, extra]) => ({ ...extra, ...schema }));
}

/** A whole schema: definitions, some of them used by nobody, an id, a dialect. */
export function schemas(dialect: string): fc.Arbitrary<Schema> {
  const definitions = fc.record(
    {
      Pet: node(1),
      'a/b': leaf(),
      Unused: fc.record({ $ref: fc.constantFrom('#/$defs/Pet', '#/$defs/Unused') }),
    },
    { requiredKeys: ['Pet', 'a/b'] },
  );
  return fc
    .record({
      body: node(2),
      $defs: definitions.map((all) => ({
        ...all,
        Pet: { title: 'Pet', properties: { a: { type: 'string' } }, ...all.Pet },
      })),
      definitions: fc.record({ Cat: node(1) }),
      $schema: fc.option(fc.constant(dialect), { nil: undefined }),
      $id: fc.option(fc.constantFrom('https://example.com/x', 'https://example.com/y#'), { nil: undefined }),
      $anchor: fc.option(fc.constant('here'), { nil: undefined, freq: 20 }),
    })
    .map(({ body, ...rest }) => JSON.parse(JSON.stringify({ ...rest, ...body })) as Schema);
}

/** Values around a schema: of the kinds that it names, with its keys, and others. */
export function valuesNear(schema: Schema, depth = 3): fc.Arbitrary<unknown> {
  const properties = isSchema(schema['properties']) ? schema['properties'] : {};
  const scalar = fc.constantFrom<unknown>(
    '',
    'a',
    'ab',
    'b',
    0,
    1,
    2,
    4.5,
    true,
    null,
    [],
    {},
    { a: 'x' },
    [1],
  );
  const held = Array.isArray(schema['enum']) ? fc.constantFrom<unknown>(...schema['enum']) : scalar;
  if (depth === 0) return fc.oneof(scalar, held);
  const known = Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [
      key,
      valuesNear(isSchema(value) ? value : {}, depth - 1),
    ]),
  );
  const object = fc.record(known, { requiredKeys: [] });
  const odd = fc.dictionary(fc.constantFrom(...names), scalar, { maxKeys: 3 });
  const items = isSchema(schema['items']) ? schema['items'] : {};
  return fc.oneof(
    scalar,
    held,
    object,
    fc.tuple(object, odd).map(([a, b]) => ({ ...a, ...b })),
    fc.array(valuesNear(items, depth - 1), { maxLength: 4 }),
  );
}

function isSchema(value: unknown): value is Schema {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
