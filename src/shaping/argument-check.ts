import { Validator, type Schema } from '@cfworker/json-schema';
import { parseJsonText } from './json-text.ts';
import { slimSchema } from './slim-schema.ts';

/**
 * Whether arguments fit a tool's input schema, so that a model which called by `call_tool` gets the schema back and
 * mends its call in one turn. The backend is the judge in the end: what is costly or doubtful is not looked at here.
 */
export type ArgumentCheck = (value: unknown) => readonly string[];

const MAX_SCHEMA = 64 * 1024;
const MAX_PROBLEMS = 5;
/** A pattern of a server's making could run for minutes over text of a model's making; comparing all with all, too. */
const costly: ReadonlySet<string> = new Set(['pattern', 'patternProperties', 'uniqueItems', 'format']);
/** Where leaving something out of a schema makes it refuse more instead of less. */
const turning: ReadonlySet<string> = new Set(['not', 'oneOf', 'if', 'maxContains']);
/** These mean the properties that no pattern took. */
const leftOver: ReadonlySet<string> = new Set(['additionalProperties', 'unevaluatedProperties']);
const nothingToSay: ArgumentCheck = () => [];

/** A check for a tool's original definition; it finds nothing wrong where the schema can't be used. */
export function argumentCheck(toolJson: string): ArgumentCheck {
  if (toolJson.length > MAX_SCHEMA) return nothingToSay;
  try {
    const { inputSchema } = JSON.parse(toolJson) as { inputSchema?: unknown };
    if (!isRecord(inputSchema)) return nothingToSay;
    const removed = new Set<string>();
    const cheap = withoutCostly(inputSchema, removed);
    if (removed.size > 0 && usesAny(inputSchema, turning)) return nothingToSay;
    if (removed.has('patternProperties') && usesAny(inputSchema, leftOver)) return nothingToSay;
    const validator = new Validator(cheap as Schema, dialectOf(inputSchema), false);
    return (value) => problems(validator, value);
  } catch {
    return nothingToSay;
  }
}

function problems(validator: Validator, value: unknown): readonly string[] {
  try {
    const { valid, errors } = validator.validate(value);
    if (valid) return [];
    // The last ones are the innermost: what is wrong, and not only where.
    return errors
      .filter(({ keyword }) => keyword !== 'properties' && keyword !== 'items')
      .slice(0, MAX_PROBLEMS)
      .map(({ instanceLocation, error }) => `${instanceLocation.replace(/^#/, 'arguments')}: ${error}`);
  } catch {
    return [];
  }
}

function dialectOf(schema: Readonly<Record<string, unknown>>): '7' | '2020-12' {
  return String(schema['$schema']).includes('draft-07') ? '7' : '2020-12';
}

function withoutCostly(value: unknown, removed: Set<string>): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutCostly(item, removed));
  if (!isRecord(value)) return value;
  const kept: [string, unknown][] = [];
  for (const [key, inner] of Object.entries(value)) {
    // With an object it is a property of that name; only patterns themselves come as one.
    if (costly.has(key) && (key === 'patternProperties' || !isRecord(inner))) removed.add(key);
    else kept.push([key, withoutCostly(inner, removed)]);
  }
  return Object.fromEntries(kept);
}

function usesAny(value: unknown, keywords: ReadonlySet<string>): boolean {
  if (Array.isArray(value)) return value.some((item) => usesAny(item, keywords));
  if (!isRecord(value)) return false;
  return Object.entries(value).some(([key, inner]) => keywords.has(key) || usesAny(inner, keywords));
}

/** What a model is told: what is wrong, and the schema it is to follow. */
export function wrongArgumentsText(name: string, wrong: readonly string[], toolJson: string): string {
  const tool = parseJsonText(toolJson);
  const schema =
    tool?.kind === 'object' ? tool.members.find(({ key }) => key === 'inputSchema')?.value : undefined;
  const shown = schema ? slimSchema(toolJson, schema, { name }) : '{}';
  return `Wrong arguments for ${name}:\n${wrong.map((line) => `- ${line}`).join('\n')}\nNothing was called. Its input schema is:\n${shown}`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
