/**
 * Server-sent events, both directions (HTML standard, section 9.2). Works on bytes: a chunk may end anywhere,
 * also inside a character or between CR and LF.
 */

export interface SseEvent {
  /** The `data` lines joined by LF; undefined for an event without data (comments, lone `id` or `retry`). */
  readonly data: string | undefined;
  /** `message` unless the event says otherwise. */
  readonly event: string;
  readonly id: string | undefined;
  /** Milliseconds. */
  readonly retry: number | undefined;
}

const LF = 0x0a;
const CR = 0x0d;

export class SseLimitError extends Error {
  constructor(limit: number) {
    super(`an event of more than ${limit} bytes`);
    this.name = 'SseLimitError';
  }
}

/** Splits a stream of bytes into events. Not reusable after an error. */
export class SseParser {
  readonly #onEvent: (event: SseEvent) => void;
  readonly #maxEventBytes: number;
  /** Bytes of a line whose end has not come yet. */
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** Bytes of the event so far, its finished lines. */
  #eventBytes = 0;
  #skipLf = false;
  #atStart = true;
  #data: string[] = [];
  #event = '';
  #id: string | undefined;
  #retry: number | undefined;

  constructor(onEvent: (event: SseEvent) => void, maxEventBytes: number) {
    this.#onEvent = onEvent;
    this.#maxEventBytes = maxEventBytes;
  }

  /** @throws {SseLimitError} when one event grows over the limit. */
  push(chunk: Buffer): void {
    let from = 0;
    // The LF of a CR LF that was cut between two chunks.
    if (this.#skipLf && chunk.length > 0) {
      if (chunk[0] === LF) from = 1;
      this.#skipLf = false;
    }
    // Both searches run ahead natively; a CR is looked for again only once the last one found is passed.
    let cr = chunk.indexOf(CR, from);
    while (from < chunk.length) {
      if (cr >= 0 && cr < from) cr = chunk.indexOf(CR, from);
      const lf = chunk.indexOf(LF, from);
      const end = cr >= 0 && (lf < 0 || cr < lf) ? cr : lf;
      if (end < 0) break;
      this.#line(this.#takeLine(chunk, from, end));
      if (chunk[end] === CR) {
        if (end + 1 === chunk.length) this.#skipLf = true;
        from = chunk[end + 1] === LF ? end + 2 : end + 1;
      } else {
        from = end + 1;
      }
    }
    if (from < chunk.length) {
      this.#rest.push(from === 0 ? chunk : chunk.subarray(from));
      this.#restBytes += chunk.length - from;
      this.#guard(this.#restBytes);
    }
  }

  #takeLine(chunk: Buffer, from: number, end: number): string {
    if (this.#rest.length === 0) return chunk.toString('utf8', from, end);
    this.#rest.push(chunk.subarray(from, end));
    const line = Buffer.concat(this.#rest).toString();
    this.#rest = [];
    this.#restBytes = 0;
    return line;
  }

  #guard(bytes: number): void {
    if (this.#eventBytes + bytes > this.#maxEventBytes) throw new SseLimitError(this.#maxEventBytes);
  }

  #line(line: string): void {
    if (line === '') {
      this.#dispatch();
      return;
    }
    this.#guard(line.length);
    this.#eventBytes += line.length;
    const text = this.#atStart && line.startsWith('\uFEFF') ? line.slice(1) : line;
    this.#atStart = false;
    if (text.startsWith('data:')) {
      this.#data.push(text.charCodeAt(5) === 0x20 ? text.slice(6) : text.slice(5));
      return;
    }
    const colon = text.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(text.charCodeAt(colon + 1) === 0x20 ? colon + 2 : colon + 1);
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#event = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.#retry = Number(value);
  }

  #dispatch(): void {
    this.#eventBytes = 0;
    const data = this.#data;
    const id = this.#id;
    const retry = this.#retry;
    const event = this.#event;
    if (data.length === 0 && id === undefined && retry === undefined && event === '') return;
    this.#data = [];
    this.#event = '';
    this.#id = undefined;
    this.#retry = undefined;
    this.#onEvent({
      data: data.length === 0 ? undefined : data.length === 1 ? data[0] : data.join('\n'),
      event: event === '' ? 'message' : event,
      id,
      retry,
    });
  }
}

/** One event as text. Line ends inside `data` become further `data` lines. */
export function formatSse(data: string, id?: string): string {
  const head = id === undefined ? 'event: message\ndata: ' : `id: ${id}\nevent: message\ndata: `;
  const body = /[\r\n]/.test(data) ? data.split(/\r\n|\r|\n/).join('\ndata: ') : data;
  return `${head}${body}\n\n`;
}

/** A comment: keeps a connection alive and is no event for the client (HTML standard, 9.2.7). */
export const sseKeepAlive = ': keep-alive\n\n';

/** Headers of every stream that we open; the last one keeps proxies such as nginx from holding events back. */
export const sseHeaders = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
} as const;
