/** What of JSON Schema a form is made of. Everything else is filled in as JSON. */

export type Schema = Readonly<Record<string, unknown>>;

export type Field =
  | { readonly kind: 'text'; readonly long: boolean }
  | { readonly kind: 'number'; readonly whole: boolean; readonly min?: number; readonly max?: number }
  | { readonly kind: 'yes-no' }
  | { readonly kind: 'one-of'; readonly values: readonly (string | number | boolean | null)[] }
  | { readonly kind: 'object'; readonly properties: readonly Property[] }
  | { readonly kind: 'json' };

export interface Property {
  readonly name: string;
  readonly title: string;
  readonly about?: string;
  readonly required: boolean;
  readonly preset: unknown;
  readonly field: Field;
}

const MAX_DEPTH = 3;
/** Between the names of a path; names themselves have dots and slashes. */
export const WITHIN = '\n';

export function isSchema(value: unknown): value is Schema {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** The arguments that a schema of an object names. */
export function propertiesOf(schema: Schema, depth = 0): readonly Property[] {
  const properties = isSchema(schema['properties']) ? schema['properties'] : {};
  const required = Array.isArray(schema['required']) ? (schema['required'] as unknown[]) : [];
  return Object.entries(properties).map(([name, value]) => {
    const property = isSchema(value) ? value : {};
    const { title, description } = property;
    return {
      name,
      title: typeof title === 'string' ? title : name,
      ...(typeof description === 'string' && { about: description }),
      required: required.includes(name),
      preset: property['default'],
      field: fieldOf(property, depth),
    };
  });
}

function fieldOf(schema: Schema, depth: number): Field {
  const values = schema['enum'];
  if (Array.isArray(values) && values.every(isPlain)) return { kind: 'one-of', values };
  const { type, minimum, maximum, maxLength } = schema;
  switch (type) {
    case 'string':
      return { kind: 'text', long: typeof maxLength === 'number' ? maxLength > 200 : false };
    case 'number':
    case 'integer':
      return {
        kind: 'number',
        whole: type === 'integer',
        ...(typeof minimum === 'number' && { min: minimum }),
        ...(typeof maximum === 'number' && { max: maximum }),
      };
    case 'boolean':
      return { kind: 'yes-no' };
    case 'object':
      return isSchema(schema['properties']) && depth < MAX_DEPTH
        ? { kind: 'object', properties: propertiesOf(schema, depth + 1) }
        : { kind: 'json' };
    default:
      return { kind: 'json' };
  }
}

function isPlain(value: unknown): value is string | number | boolean | null {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

export type Filled =
  | { readonly kind: 'filled'; readonly value: Readonly<Record<string, unknown>> }
  | { readonly kind: 'wrong'; readonly path: string; readonly message: string };

/**
 * Reads what was filled in.
 * @param texts by path; names joined by {@link WITHIN}
 */
export function readForm(
  properties: readonly Property[],
  texts: ReadonlyMap<string, string>,
  prefix = '',
): Filled {
  const value: Record<string, unknown> = {};
  for (const property of properties) {
    const path = `${prefix}${property.name}`;
    const read = readField(property, path, texts);
    if (read.kind === 'wrong') return read;
    if (read.value !== undefined) value[property.name] = read.value;
  }
  return { kind: 'filled', value };
}

type Read = { readonly kind: 'filled'; readonly value: unknown } | Extract<Filled, { kind: 'wrong' }>;

function readField(property: Property, path: string, texts: ReadonlyMap<string, string>): Read {
  const { field, required } = property;
  const wrong = (message: string): Read => ({ kind: 'wrong', path, message });
  if (field.kind === 'object') {
    const inside = `${path}${WITHIN}`;
    const touched = [...texts].some(([at, text]) => at.startsWith(inside) && text !== '');
    if (!required && !touched) return { kind: 'filled', value: undefined };
    return readForm(field.properties, texts, inside);
  }
  const text = texts.get(path) ?? '';
  if (text === '') {
    if (!required) return { kind: 'filled', value: undefined };
    if (field.kind === 'text') return { kind: 'filled', value: '' };
    return wrong(`${property.title} is needed.`);
  }
  switch (field.kind) {
    case 'text':
      return { kind: 'filled', value: text };
    case 'number': {
      const number = Number(text);
      if (!Number.isFinite(number) || (field.whole && !Number.isInteger(number))) {
        return wrong(`${property.title} must be a ${field.whole ? 'whole ' : ''}number.`);
      }
      return { kind: 'filled', value: number };
    }
    case 'yes-no':
      return { kind: 'filled', value: text === 'true' };
    case 'one-of':
      return { kind: 'filled', value: field.values.find((value) => JSON.stringify(value) === text) };
    case 'json':
      try {
        return { kind: 'filled', value: JSON.parse(text) as unknown };
      } catch {
        return wrong(`${property.title} must be JSON, such as ["a"] or {"b": 1}.`);
      }
  }
}

/** What stands in the form before anybody types. */
export function presetTexts(properties: readonly Property[], prefix = ''): Map<string, string> {
  const texts = new Map<string, string>();
  for (const { name, field, preset } of properties) {
    const path = `${prefix}${name}`;
    if (field.kind === 'object') {
      for (const [inner, text] of presetTexts(field.properties, `${path}${WITHIN}`)) texts.set(inner, text);
    } else if (preset !== undefined) {
      texts.set(path, field.kind === 'text' && typeof preset === 'string' ? preset : JSON.stringify(preset));
    }
  }
  return texts;
}
