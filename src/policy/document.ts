import { LineCounter, isCollection, isNode, isPair, parseDocument, type Document } from 'yaml';
import type { z } from 'zod';

/** A text that people wrote, and where it stands: a file, or a key of Consul's KV. */
export interface Source {
  readonly text: string;
  readonly place: string;
}

/** What is wrong in a document, and where. */
export interface Misfit {
  /** `policy.yaml:12:5`: line and column count from 1. */
  readonly place: string;
  /** `rules[3].who.groups`; empty for the document as a whole. */
  readonly path: string;
  readonly message: string;
}

export type ReadDocument<Value> =
  | { readonly kind: 'ok'; readonly value: Value }
  | { readonly kind: 'wrong'; readonly misfits: readonly Misfit[] };

const MAX_LENGTH = 4 * 1024 * 1024;

/**
 * Reads YAML or JSON by a schema. All errors are found at once, each with its place. Values are never shown: what
 * is wrong may be a secret.
 */
export function readDocument<Schema extends z.ZodType>(
  schema: Schema,
  source: Source,
): ReadDocument<z.output<Schema>> {
  const at = (line: number, column: number): string => `${source.place}:${line}:${column}`;
  if (source.text.length > MAX_LENGTH) {
    return {
      kind: 'wrong',
      misfits: [{ place: at(1, 1), path: '', message: `is longer than ${MAX_LENGTH} characters` }],
    };
  }
  const lines = new LineCounter();
  const document = parseDocument(source.text, { lineCounter: lines, prettyErrors: false });
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return at(Math.max(line, 1), Math.max(col, 1));
  };
  if (document.errors.length > 0) {
    const misfits = document.errors.map((error) => ({
      place: place(error.pos[0]),
      path: '',
      message: `is not YAML or JSON: ${error.message}`,
    }));
    return { kind: 'wrong', misfits };
  }
  const value = plainValue(document);
  if (value.kind === 'wrong') {
    return { kind: 'wrong', misfits: [{ place: at(1, 1), path: '', message: value.message }] };
  }
  const parsed = schema.safeParse(value.value);
  if (parsed.success) return { kind: 'ok', value: parsed.data };
  const misfits = parsed.error.issues.flatMap((issue) =>
    flatten(issue).map(({ path, of, message }) => {
      const found = locate(document, path, of);
      return { place: place(found.offset), path: spell(found.path), message };
    }),
  );
  return { kind: 'wrong', misfits };
}

/** For logs and the terminal: `policy.yaml:12:5 rules[3].effect: must be allow or deny`. */
export function describeMisfit({ place, path, message }: Misfit): string {
  return `${place}${path === '' ? '' : ` ${path}`}: ${message}`;
}

function plainValue(
  document: Document,
): { readonly kind: 'ok'; readonly value: unknown } | { readonly kind: 'wrong'; readonly message: string } {
  try {
    // An empty document is one that says nothing.
    return { kind: 'ok', value: (document.toJS({ maxAliasCount: 100 }) as unknown) ?? {} };
  } catch (error) {
    return { kind: 'wrong', message: `is not YAML or JSON: ${(error as Error).message}` };
  }
}

type Path = readonly PropertyKey[];

interface Flat {
  readonly path: Path;
  /** What is wrong: the name or what it stands for. */
  readonly of: 'key' | 'value';
  readonly message: string;
}

function flatten(issue: z.core.$ZodIssue): readonly Flat[] {
  if (issue.code !== 'unrecognized_keys') return [{ path: issue.path, of: 'value', message: issue.message }];
  return issue.keys.map((key) => ({ path: [...issue.path, key], of: 'key', message: 'is not known here' }));
}

/** Where a value begins, or what encloses it when it is missing; and its path as the document has it. */
function locate(
  document: Document,
  path: Path,
  of: 'key' | 'value',
): { readonly offset: number; readonly path: Path } {
  let node: unknown = document.contents;
  let offset = offsetOf(node) ?? 0;
  const real: PropertyKey[] = [];
  for (const [at, step] of path.entries()) {
    const pair = isCollection(node)
      ? node.items.find((item) => isPair(item) && keyText(item.key) === String(step))
      : undefined;
    const next: unknown = isPair(pair) ? pair.value : isCollection(node) ? node.get(step, true) : undefined;
    // A single value counts as a list of one: its index stands in no document.
    if (next === undefined && step === 0) continue;
    real.push(step);
    const key = isPair(pair) ? offsetOf(pair.key) : undefined;
    const value = offsetOf(next);
    offset = (of === 'key' && at === path.length - 1 ? (key ?? value) : (value ?? key)) ?? offset;
    node = next;
  }
  return { offset, path: real };
}

function offsetOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function keyText(key: unknown): string {
  return isNode(key) ? String((key as { value?: unknown }).value) : String(key);
}

function spell(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '');
}
