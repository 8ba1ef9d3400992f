import { valueOf, writeJson, type JsonMember, type JsonNode } from './json-text.ts';
import { unusedParts, type Unused } from './schema-references.ts';

/** How a keyword's value holds further schemas; the draft of 2020-12 and those before it. */
const holders: ReadonlyMap<string, 'schema' | 'list' | 'map'> = new Map([
  ...[
    'additionalItems',
    'additionalProperties',
    'contains',
    'contentSchema',
    'else',
    'if',
    'items',
    'not',
  ].map((keyword) => [keyword, 'schema'] as const),
  ...['propertyNames', 'then', 'unevaluatedItems', 'unevaluatedProperties'].map(
    (keyword) => [keyword, 'schema'] as const,
  ),
  ...['allOf', 'anyOf', 'oneOf', 'prefixItems'].map((keyword) => [keyword, 'list'] as const),
  ...['$defs', 'definitions', 'dependencies', 'dependentSchemas', 'patternProperties', 'properties'].map(
    (keyword) => [keyword, 'map'] as const,
  ),
]);

/** The maps whose keys are names that a title may repeat. */
const named: ReadonlySet<string> = new Set(['properties', '$defs', 'definitions']);

const defaultDialect = /^https:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/;

/** What is dropped beside that which says nothing. */
export interface SlimOptions {
  /** The tool's name: a title of the whole schema that only repeats it is dropped. */
  readonly name: string;
  /** Lossy: texts are cut to this many characters. They cost the most, and models choose by them. */
  readonly maxDescription?: number;
  /** Lossy: without `examples` and `default`. */
  readonly withoutExamples?: boolean;
}

/**
 * The text of a schema without what says nothing: white space, `$schema` of the default dialect, `$comment`, the
 * root's `$id` where no reference needs it, titles that repeat a property's name, definitions that nothing refers to,
 * empty `required`, titles and descriptions. It takes and refuses the same values as before.
 */
export function slimSchema(text: string, schema: JsonNode, options: SlimOptions): string {
  const fates = new Map<JsonNode, false | string>();
  visit(text, schema, { name: options.name, root: true, options, unused: unusedParts(text, schema), fates });
  return writeJson(text, schema, (_path, node) => fates.get(node) ?? true);
}

interface Visit {
  /** What the schema is called from outside: the property's or the tool's name. */
  readonly name: string | undefined;
  readonly root: boolean;
  readonly options: SlimOptions;
  readonly unused: Unused;
  /** What goes, and what gives way to another text. */
  readonly fates: Map<JsonNode, false | string>;
}

function visit(text: string, schema: JsonNode, at: Visit): void {
  if (schema.kind !== 'object' || standsTwice(schema.members)) return;
  for (const { key, value } of schema.members) {
    if (saysNothing(text, key, value, at)) {
      at.fates.set(value, false);
      continue;
    }
    shorten(text, key, value, at);
    const holder = holders.get(key);
    if (holder !== undefined) visitHeld(text, key, value, holder, at);
  }
}

function visitHeld(text: string, key: string, held: JsonNode, holder: string, at: Visit): void {
  const inner = { ...at, root: false };
  if (held.kind === 'array') {
    for (const item of held.items) visit(text, item, { ...inner, name: undefined });
  } else if (holder === 'map' && held.kind === 'object') {
    for (const member of held.members) {
      if (at.unused.definitions.has(member.value)) at.fates.set(member.value, false);
      else visit(text, member.value, { ...inner, name: named.has(key) ? member.key : undefined });
    }
    const isEmptied =
      held.members.length > 0 && held.members.every(({ value }) => at.fates.get(value) === false);
    if (isEmptied) at.fates.set(held, false);
  } else {
    visit(text, held, { ...inner, name: undefined });
  }
}

function saysNothing(text: string, key: string, value: JsonNode, at: Visit): boolean {
  switch (key) {
    case '$comment':
      return true;
    case '$schema':
      return at.root && value.kind === 'string' && defaultDialect.test(String(valueOf(text, value)));
    case '$id':
      return at.root && at.unused.rootId;
    case 'required':
      return value.kind === 'array' && value.items.length === 0;
    case 'description':
      return value.kind === 'string' && String(valueOf(text, value)).trim() === '';
    case 'title':
      return value.kind === 'string' && repeats(String(valueOf(text, value)), at);
    case 'examples':
    case 'example':
    case 'default':
      return at.options.withoutExamples === true;
    default:
      return false;
  }
}

/** `Repo Name` for repo_name, `search_codeArguments` for the whole: generators write them, nobody needs them. */
function repeats(title: string, { name, root, options }: Visit): boolean {
  const said = plain(title);
  if (said === '') return true;
  if (name === undefined) return false;
  const meant = plain(root ? options.name : name);
  return (
    said === meant || (root && ['arguments', 'args', 'input', 'params'].some((end) => said === meant + end))
  );
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[\s_.-]+/g, '');
}

function shorten(text: string, key: string, value: JsonNode, at: Visit): void {
  const { maxDescription } = at.options;
  if (maxDescription === undefined || key !== 'description' || value.kind !== 'string') return;
  const said = String(valueOf(text, value));
  if (said.length > maxDescription) at.fates.set(value, JSON.stringify(shortText(said, maxDescription)));
}

/** At the end of a sentence or a word where there is one in the second half, with an ellipsis. */
export function shortText(text: string, length: number): string {
  if (text.length <= length) return text;
  const head = text.slice(0, Math.max(0, length - 1));
  const sentence = head.lastIndexOf('. ');
  if (sentence >= length / 2) return head.slice(0, sentence + 1);
  const space = head.lastIndexOf(' ');
  return `${(space >= length / 2 ? head.slice(0, space) : head).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

/** Two parsers may differ on which of two equal keys counts: such a schema stays as it is. */
function standsTwice(members: readonly JsonMember[]): boolean {
  return new Set(members.map(({ key }) => key)).size !== members.length;
}
