import type { CatalogItem, Tool } from '../model.ts';
import { indexTerms, nameTerms } from './words.ts';

/** What of a tool is searched, each field with its own say. */
export const fieldNames = ['name', 'service', 'title', 'description', 'arguments', 'argumentTexts'] as const;
export type FieldName = (typeof fieldNames)[number];
export type FieldTerms = Readonly<Record<FieldName, readonly string[]>>;

/**
 * More of a text is not searched: a description stuffed with keywords gains nothing, and no server fills the
 * index.
 */
const LIMITS: Readonly<Record<FieldName, number>> = {
  name: 24,
  service: 12,
  title: 24,
  description: 120,
  arguments: 80,
  argumentTexts: 160,
};
const MAX_TEXT = 4000;
const MAX_ARGUMENTS = 60;
const MAX_DEPTH = 4;

/** The terms of a tool by field. A definition that is no JSON object has but its name. */
export function fieldTerms({ item, canonical }: CatalogItem<Tool>, namespace: string): FieldTerms {
  const definition = parseObject(item.json);
  const found: ArgumentWords = { names: [], texts: [] };
  collectArguments(definition['inputSchema'], found, 0);
  const annotations = isObject(definition['annotations']) ? definition['annotations'] : {};
  const terms: Record<FieldName, readonly string[]> = {
    name: nameTerms(item.key),
    service: serviceTerms(namespace, canonical),
    title: indexTerms(text(definition['title'] ?? annotations['title'])),
    description: indexTerms(text(definition['description'])),
    arguments: found.names.flatMap(nameTerms),
    argumentTexts: found.texts.flatMap(indexTerms),
  };
  for (const field of fieldNames) terms[field] = terms[field].slice(0, LIMITS[field]);
  return terms;
}

/** Words of a namespace that say nothing about it. */
const generic = new Set(['mcp', 'server', 'servic', 'api', 'tool']);

/** The terms of a service's name: `mcp-server-gitlab` → gitlab. Never empty unless the name is. */
export function serviceTerms(namespace: string, fallback = ''): readonly string[] {
  const all = indexTerms(namespace);
  const telling = all.filter((term) => !generic.has(term));
  if (telling.length > 0) return telling;
  return all.length > 0 ? all : nameTerms(fallback);
}

interface ArgumentWords {
  readonly names: string[];
  readonly texts: string[];
}

function collectArguments(schema: unknown, found: ArgumentWords, depth: number): void {
  if (!isObject(schema) || depth > MAX_DEPTH) return;
  const properties = schema['properties'];
  if (isObject(properties)) {
    for (const [name, property] of Object.entries(properties)) {
      if (found.names.length >= MAX_ARGUMENTS) return;
      found.names.push(name);
      if (!isObject(property)) continue;
      found.texts.push(text(property['description']), ...enumWords(property['enum']));
      collectArguments(property, found, depth + 1);
    }
  }
  collectArguments(schema['items'], found, depth + 1);
  for (const keyword of ['anyOf', 'oneOf', 'allOf']) {
    const branches = schema[keyword];
    if (Array.isArray(branches)) for (const branch of branches) collectArguments(branch, found, depth + 1);
  }
}

function enumWords(values: unknown): string[] {
  if (!Array.isArray(values)) return [];
  return values.filter((value): value is string => typeof value === 'string').slice(0, 12);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT) : '';
}

function parseObject(json: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(json);
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
