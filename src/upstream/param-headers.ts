import type { ParamHeader } from '../model.ts';

/**
 * The arguments that a tool wants mirrored into headers: `x-mcp-header` in its input schema (2026-07-28,
 * transports/streamable-http, schema extension).
 * @returns a sentence where an annotation breaks a rule; a modern client must not show such a tool.
 */
export function readParamHeaders(inputSchema: unknown): readonly ParamHeader[] | string {
  const headers: ParamHeader[] = [];
  const reachable = countReachable(inputSchema, [], headers);
  if (typeof reachable === 'string') return reachable;
  if (countAll(inputSchema, 0) !== headers.length) {
    return 'x-mcp-header stands where no plain argument is (only chains of "properties" count)';
  }
  const names = new Set(headers.map((header) => header.name.toLowerCase()));
  return names.size === headers.length ? headers : 'x-mcp-header gives two arguments the same header';
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const MAX_DEPTH = 50;

type Schema = Readonly<Record<string, unknown>>;

function isSchema(value: unknown): value is Schema {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function countReachable(schema: unknown, path: readonly string[], into: ParamHeader[]): string | undefined {
  if (!isSchema(schema) || path.length > MAX_DEPTH) return undefined;
  const name = schema['x-mcp-header'];
  if (name !== undefined) {
    if (typeof name !== 'string' || !TOKEN.test(name)) return 'x-mcp-header is no header name';
    if (path.length === 0) return 'x-mcp-header stands on the arguments as a whole';
    const { type } = schema;
    if (type !== 'string' && type !== 'integer' && type !== 'boolean') {
      return `x-mcp-header "${name}" is for a string, an integer or a boolean`;
    }
    into.push({ name, path });
  }
  const { properties } = schema;
  if (!isSchema(properties)) return undefined;
  for (const [key, property] of Object.entries(properties)) {
    const problem = countReachable(property, [...path, key], into);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Wherever the annotation stands, also where it must not. */
function countAll(value: unknown, depth: number): number {
  if (depth > MAX_DEPTH || value === null || typeof value !== 'object') return 0;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + countAll(item, depth + 1), 0);
  let count = 0;
  for (const [key, item] of Object.entries(value)) {
    // An argument that happens to bear the name is no annotation.
    if (key === 'x-mcp-header' && typeof item === 'string') count++;
    else if (key !== 'enum' && key !== 'const' && key !== 'default' && key !== 'examples')
      count += countAll(item, depth + 1);
  }
  return count;
}
