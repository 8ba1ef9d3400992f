import type { HttpStream } from './http-stream.ts';
import { formatSse } from './sse.ts';

/** Events of one stream that are kept; the last always is, whatever its size. */
const MAX_EVENTS = 256;
/** What a client is told to wait before it comes back. */
export const RETRY_MS = 1000;

/** Whoever keeps a stream for others, too. */
export interface StreamHearer {
  /** One event as it goes over the wire; they come in the order of their numbers. */
  event(text: string): void;
  over(): void;
}

/**
 * What was sent on one event stream, for a client that lost it and comes back with `Last-Event-ID` (2025-11-25,
 * transports: resumability). Ids are the router's own: `<stream>.<number>`.
 */
export class StreamLog {
  readonly id: string;
  /** The session that may read it. */
  readonly session: string;
  readonly #texts: string[] = [];
  /** Number of the first text that is kept. */
  #first = 1;
  #bytes = 0;
  #ended = false;
  #follower: HttpStream | undefined;
  /** Whoever sends now stops when another connection takes over. */
  #onTakenOver: (() => void) | undefined;

  readonly #maxBytes: number;
  readonly #hearer: StreamHearer | undefined;

  constructor(id: string, session: string, maxBytes: number, hearer?: StreamHearer) {
    this.id = id;
    this.session = session;
    this.#maxBytes = maxBytes;
    this.#hearer = hearer;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** An event without data that gives a client an id to come back with, for what comes from now on. */
  prime(): string {
    return `id: ${this.id}.${this.#first - 1 + this.#texts.length}\nretry: ${RETRY_MS}\ndata: \n\n`;
  }

  /** @returns the event as it goes over the wire */
  append(data: string): string {
    const text = formatSse(data, `${this.id}.${this.#first + this.#texts.length}`);
    this.#texts.push(text);
    this.#bytes += text.length;
    while (this.#texts.length > 1 && (this.#texts.length > MAX_EVENTS || this.#bytes > this.#maxBytes)) {
      this.#bytes -= this.#texts.shift()?.length ?? 0;
      this.#first++;
    }
    this.#hearer?.event(text);
    this.#follower?.write(text);
    return text;
  }

  /** Everything after event number `after` is still here. */
  keeps(after: number): boolean {
    return after + 1 >= this.#first && after < this.#first + this.#texts.length;
  }

  /** Told when another connection takes the stream over. */
  onTakenOver(stop: () => void): void {
    this.#onTakenOver = stop;
  }

  /** Sends what came after event number `after`, and from now on what comes. */
  resume(stream: HttpStream, after: number): void {
    this.#onTakenOver?.();
    this.#onTakenOver = undefined;
    this.#follower?.end();
    this.#follower = stream;
    for (const text of this.#texts.slice(Math.max(0, after + 1 - this.#first))) stream.write(text);
    if (this.#ended) stream.end();
  }

  /** The connection is gone. */
  leave(stream: HttpStream): void {
    if (this.#follower === stream) this.#follower = undefined;
  }

  end(): void {
    if (!this.#ended) this.#hearer?.over();
    this.#ended = true;
    this.#follower?.end();
    this.#follower = undefined;
  }
}

/** Undefined for an id that no stream of ours has. */
export function parseEventId(id: string): { readonly stream: string; readonly number: number } | undefined {
  const parts = /^([A-Za-z0-9_-]{1,32})\.(\d{1,9})$/.exec(id);
  return parts ? { stream: parts[1] ?? '', number: Number(parts[2]) } : undefined;
}
