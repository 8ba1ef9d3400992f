/**
 * JSON text as a tree of places in it, so that parts can be taken out or put together anew while everything else
 * stays byte for byte: numbers beyond 2^53, `1.0`, `-0`, key order, keys that stand twice.
 */

export type JsonNode =
  | {
      readonly kind: 'object';
      readonly start: number;
      readonly end: number;
      readonly members: readonly JsonMember[];
    }
  | {
      readonly kind: 'array';
      readonly start: number;
      readonly end: number;
      readonly items: readonly JsonNode[];
    }
  | { readonly kind: 'string' | 'literal'; readonly start: number; readonly end: number };

export interface JsonMember {
  readonly key: string;
  /** Where the key's opening quote is. */
  readonly start: number;
  readonly value: JsonNode;
}

const MAX_DEPTH = 200;
const BACKSLASH = 0x5c;

/** True for what may stand between tokens: space, tab, line feed, carriage return. */
export function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** Offset behind the string literal that begins at `at`. The text is known to be JSON. */
export function stringEnd(text: string, at: number): number {
  let close = at;
  for (;;) {
    close = text.indexOf('"', close + 1);
    if (close < 0) return text.length;
    let slash = close - 1;
    while (text.charCodeAt(slash) === BACKSLASH) slash--;
    if ((close - slash) % 2 === 1) return close + 1;
  }
}

/** Whether a text is one JSON object or array; nothing else is worth shaping. */
export function isJsonContainer(text: string): boolean {
  const first = text.trimStart()[0];
  if (first !== '{' && first !== '[') return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The tree of a text; undefined where it is no JSON object or array, or nested deeper than 200. */
export function parseJsonText(text: string): JsonNode | undefined {
  if (!isJsonContainer(text)) return undefined;
  const reader = new Reader(text);
  return reader.read(0);
}

/** Reads a text that is known to be JSON. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(depth: number): JsonNode | undefined {
    if (depth > MAX_DEPTH) return undefined;
    this.#skipSpace();
    const start = this.#at;
    switch (this.#text[start]) {
      case '{':
        return this.#object(start, depth);
      case '[':
        return this.#array(start, depth);
      case '"':
        this.#at = stringEnd(this.#text, start);
        return { kind: 'string', start, end: this.#at };
      default:
        while (this.#at < this.#text.length && !/[\s,\]}]/.test(this.#text[this.#at] ?? '')) this.#at++;
        return { kind: 'literal', start, end: this.#at };
    }
  }

  #object(start: number, depth: number): JsonNode | undefined {
    const members: JsonMember[] = [];
    for (this.#at++, this.#skipSpace(); this.#text[this.#at] !== '}'; this.#skipComma()) {
      const keyStart = this.#at;
      this.#at = stringEnd(this.#text, keyStart);
      const key = JSON.parse(this.#text.slice(keyStart, this.#at)) as string;
      this.#skipSpace();
      this.#at++;
      const value = this.read(depth + 1);
      if (!value) return undefined;
      members.push({ key, start: keyStart, value });
    }
    return { kind: 'object', start, end: ++this.#at, members };
  }

  #array(start: number, depth: number): JsonNode | undefined {
    const items: JsonNode[] = [];
    for (this.#at++, this.#skipSpace(); this.#text[this.#at] !== ']'; this.#skipComma()) {
      const item = this.read(depth + 1);
      if (!item) return undefined;
      items.push(item);
    }
    return { kind: 'array', start, end: ++this.#at, items };
  }

  #skipComma(): void {
    this.#skipSpace();
    if (this.#text[this.#at] === ',') this.#at++;
    this.#skipSpace();
  }

  #skipSpace(): void {
    while (isSpace(this.#text.charCodeAt(this.#at))) this.#at++;
  }
}

/** The value of a node, as JSON.parse gives it. */
export function valueOf(text: string, node: JsonNode): unknown {
  return JSON.parse(text.slice(node.start, node.end));
}

export type JsonPath = readonly (string | number)[];
/**
 * What becomes of a value: true = it stays as it is written, false = it goes, with its key, a text = that text
 * stands in its place.
 */
export type Fate = (path: JsonPath, node: JsonNode) => boolean | string;

/**
 * A tree's text without white space. `fate` is asked about every member and item, with the keys and positions that
 * lead to it; the tree itself stays.
 */
export function writeJson(
  text: string,
  node: JsonNode,
  fate: Fate = () => true,
  path: JsonPath = [],
): string {
  const parts: string[] = [];
  const add = (before: string, step: string | number, value: JsonNode): void => {
    const inner = [...path, step];
    const decided = fate(inner, value);
    if (decided === true) parts.push(before + writeJson(text, value, fate, inner));
    else if (decided !== false) parts.push(before + decided);
  };
  switch (node.kind) {
    case 'object':
      for (const { key, start, value } of node.members) {
        add(`${text.slice(start, stringEnd(text, start))}:`, key, value);
      }
      return `{${parts.join(',')}}`;
    case 'array':
      for (const [at, item] of node.items.entries()) add('', at, item);
      return `[${parts.join(',')}]`;
    case 'string':
    case 'literal':
      return text.slice(node.start, node.end);
  }
}
