import type { RawJson } from '../model.ts';

export type Line =
  | { readonly kind: 'line'; readonly text: string }
  /** Over the limit: only both ends of it were kept. */
  | { readonly kind: 'too-long'; readonly bytes: number; readonly head: string; readonly tail: string };

const LF = 0x0a;
/** What is kept of either end of a line that is too long: enough for the envelope of a message. */
const END_BYTES = 512;

/** Splits a stream of bytes into lines without their ends. A chunk may end anywhere, also inside a character. */
export class LineSplitter {
  readonly #maxBytes: number;
  readonly #onLine: (line: Line) => void;
  /** The line whose end has not come yet; of one that is too long, its head and the chunks of its tail. */
  #parts: Buffer[] = [];
  #bytes = 0;
  #head: string | undefined;

  constructor(maxBytes: number, onLine: (line: Line) => void) {
    this.#maxBytes = maxBytes;
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, from)) {
      this.#add(chunk.subarray(from, end));
      this.#finish();
      from = end + 1;
    }
    this.#add(chunk.subarray(from));
  }

  /** The stream is over; what stands behind the last line end counts as a line. */
  end(): void {
    if (this.#bytes > 0) this.#finish();
  }

  #add(part: Buffer): void {
    if (part.length === 0) return;
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes <= this.#maxBytes) return;
    const kept = Buffer.concat(this.#parts);
    this.#head ??= kept.toString('utf8', 0, END_BYTES);
    // A copy: a slice would hold on to everything.
    this.#parts = [Buffer.from(kept.subarray(-END_BYTES))];
  }

  #finish(): void {
    const [first] = this.#parts;
    const text = first && this.#parts.length === 1 ? first.toString() : Buffer.concat(this.#parts).toString();
    const line: Line =
      this.#head === undefined
        ? { kind: 'line', text }
        : { kind: 'too-long', bytes: this.#bytes, head: this.#head, tail: text };
    this.#parts = [];
    this.#bytes = 0;
    this.#head = undefined;
    this.#onLine(line);
  }
}

/** The message as one line of stdio. In well-formed JSON, line ends stand between tokens only. */
export function asLine(message: string): string {
  // A lone CR ends a line for Python's readers.
  return /[\r\n]/.test(message) ? message.replaceAll(/[\r\n]/g, ' ') : message;
}

const id = String.raw`(-?\d+|"(?:[^"\\]|\\.)*")`;
const jsonrpc = String.raw`(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?`;
const idInFront = (next: string): RegExp =>
  new RegExp(String.raw`^\s*\{\s*${jsonrpc}(?:"id"\s*:\s*${id}\s*,\s*)?${jsonrpc}"(?:${next})"\s*:`);
const idAtEnd = new RegExp(String.raw`,\s*"id"\s*:\s*${id}\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`);
const ofResponse = idInFront('result|error');
const ofRequest = idInFront('method');

type TooLong = Extract<Line, { kind: 'too-long' }>;

/**
 * Which request a response answers of which only both ends are known; undefined where it is no response or
 * cannot be told. Serializers put the id before the result (Python, Go) or behind it (the TypeScript SDK).
 */
export function answeredId(line: TooLong): RawJson | undefined {
  return idOf(line, ofResponse);
}

/** The id of a request of which only both ends are known; undefined where it is none or cannot be told. */
export function askedId(line: TooLong): RawJson | undefined {
  return idOf(line, ofRequest);
}

function idOf(line: TooLong, beginning: RegExp): RawJson | undefined {
  const front = beginning.exec(line.head);
  if (!front) return undefined;
  return (front[1] ?? idAtEnd.exec(line.tail)?.[1]) as RawJson | undefined;
}
