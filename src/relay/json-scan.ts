/**
 * Finds its way through JSON text without building values, so that a message can be renamed in place and
 * everything else passes byte for byte: numbers beyond 2^53, key order, unknown fields.
 *
 * For well-formed JSON the spans are exact. Malformed JSON *inside* a skipped value is not noticed here: it is
 * passed on and the receiver refuses it. What is interpreted (top level and params) is checked strictly, and a
 * key that stands twice is refused, since two parsers may differ on which one counts.
 */

export class JsonScanError extends Error {
  constructor(message: string, at: number) {
    super(`${message} at offset ${at}`);
    this.name = 'JsonScanError';
  }
}

/** The members of one object: `text.slice(starts[i], ends[i])` is the value of `keys[i]`. */
export interface ScannedObject {
  readonly keys: readonly string[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** Offset behind the closing brace. */
  readonly end: number;
}

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Offset of the next character that is not white space; the text's length if there is none. */
export function skipSpace(text: string, at: number): number {
  let index = at;
  for (; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code !== SPACE && code !== LF && code !== CR && code !== TAB) break;
  }
  return index;
}

/** Offset behind the string literal that begins at `at`. */
function skipString(text: string, at: number): number {
  let close = at;
  for (;;) {
    close = text.indexOf('"', close + 1);
    if (close < 0) throw new JsonScanError('string without end', at);
    let slash = close - 1;
    while (text.charCodeAt(slash) === BACKSLASH) slash--;
    if ((close - slash) % 2 === 1) return close + 1;
  }
}

/** Offset behind the value that begins at `at` (no white space before it). */
export function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return skipString(text, at);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return skipLiteral(text, at);
  let depth = 0;
  let index = at;
  while (index < text.length) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) {
      index = skipString(text, index);
      continue;
    }
    index++;
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if ((code === CLOSE_BRACE || code === CLOSE_BRACKET) && --depth === 0) return index;
  }
  throw new JsonScanError('value without end', at);
}

/** `true`, `false`, `null` or a number. */
function skipLiteral(text: string, at: number): number {
  let index = at;
  for (; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || code <= SPACE) break;
  }
  if (index === at || !literal.test(text.slice(at, index))) throw new JsonScanError('no value', at);
  return index;
}

const literal = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;

/** Decodes the string literal in `text[start, end)`, quotes included. */
export function decodeString(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  return inner.includes('\\') ? (JSON.parse(text.slice(start, end)) as string) : inner;
}

/** True if a string literal begins at `at`. */
export function isString(text: string, at: number): boolean {
  return text.charCodeAt(at) === QUOTE;
}

/** True if an object begins at `at`. */
export function isObject(text: string, at: number): boolean {
  return text.charCodeAt(at) === OPEN_BRACE;
}

/** True if an array begins at `at`. */
export function isArray(text: string, at: number): boolean {
  return text.charCodeAt(at) === OPEN_BRACKET;
}

/** Up to here looking through a list is faster than a set. */
const FEW_KEYS = 16;

/**
 * The members of the object that begins at `at`.
 * @throws {JsonScanError} where it is not an object, ends early, or has a key twice.
 */
export function scanObject(text: string, at: number): ScannedObject {
  if (!isObject(text, at)) throw new JsonScanError('no object', at);
  const keys: string[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  let seen: Set<string> | undefined;
  let index = skipSpace(text, at + 1);
  if (text.charCodeAt(index) === CLOSE_BRACE) return { keys, starts, ends, end: index + 1 };
  for (;;) {
    if (!isString(text, index)) throw new JsonScanError('no key', index);
    const keyEnd = skipString(text, index);
    const key = decodeString(text, index, keyEnd);
    if (seen ? seen.has(key) : keys.includes(key)) {
      throw new JsonScanError(`key "${key.slice(0, 40)}" stands twice`, index);
    }
    if (seen) seen.add(key);
    else if (keys.length === FEW_KEYS) seen = new Set([...keys, key]);
    index = skipSpace(text, keyEnd);
    if (text.charCodeAt(index) !== COLON) throw new JsonScanError('no colon', index);
    const start = skipSpace(text, index + 1);
    const end = skipValue(text, start);
    keys.push(key);
    starts.push(start);
    ends.push(end);
    index = skipSpace(text, end);
    const code = text.charCodeAt(index);
    if (code === CLOSE_BRACE) return { keys, starts, ends, end: index + 1 };
    if (code !== COMMA) throw new JsonScanError('no comma', index);
    index = skipSpace(text, index + 1);
  }
}

/**
 * The items of the array that begins at `at`, as spans.
 * @throws {JsonScanError} where it is not an array, ends early, or has more than `limit` items.
 */
export function scanArray(text: string, at: number, limit: number): readonly (readonly [number, number])[] {
  if (!isArray(text, at)) throw new JsonScanError('no array', at);
  const items: [number, number][] = [];
  let index = skipSpace(text, at + 1);
  if (text.charCodeAt(index) === CLOSE_BRACKET) return items;
  for (;;) {
    if (items.length === limit) throw new JsonScanError(`more than ${limit} items`, index);
    const end = skipValue(text, index);
    items.push([index, end]);
    index = skipSpace(text, end);
    const code = text.charCodeAt(index);
    if (code === CLOSE_BRACKET) return items;
    if (code !== COMMA) throw new JsonScanError('no comma', index);
    index = skipSpace(text, index + 1);
  }
}

/** Index of `key` among the members, or −1. */
export function memberIndex(object: ScannedObject, key: string): number {
  return object.keys.indexOf(key);
}

/** The text of the member's value, or undefined. */
export function memberText(text: string, object: ScannedObject, key: string): string | undefined {
  const index = object.keys.indexOf(key);
  return index < 0 ? undefined : text.slice(object.starts[index], object.ends[index]);
}

/** The decoded value of a string member; undefined where it is missing or no string. */
export function memberString(text: string, object: ScannedObject, key: string): string | undefined {
  const index = object.keys.indexOf(key);
  const start = object.starts[index];
  const end = object.ends[index];
  if (start === undefined || end === undefined || !isString(text, start)) return undefined;
  return decodeString(text, start, end);
}

/** The members of an object member; undefined where it is missing or no object. */
export function memberObject(text: string, object: ScannedObject, key: string): ScannedObject | undefined {
  const start = object.starts[object.keys.indexOf(key)];
  return start === undefined || !isObject(text, start) ? undefined : scanObject(text, start);
}

/** One replacement in a text: `[start, end)` gives way to `insert`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly insert: string;
}

/** The text with all edits made; they must not overlap. */
export function splice(text: string, edits: readonly Edit[]): string {
  if (edits.length === 0) return text;
  const ordered = edits.length === 1 ? edits : edits.toSorted((a, b) => a.start - b.start);
  let result = '';
  let from = 0;
  for (const edit of ordered) {
    result += text.slice(from, edit.start) + edit.insert;
    from = edit.end;
  }
  return result + text.slice(from);
}
