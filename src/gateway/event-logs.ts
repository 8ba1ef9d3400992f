import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { HttpStream } from '../relay/http-stream.ts';
import { parseEventId, StreamLog } from '../relay/stream-log.ts';
import type { SessionId } from './sealed-id.ts';
import type { SharedStreams } from './shared-streams.ts';

/** Of streams that are over: how long, and how many bytes together, they wait for a client that lost them. */
const KEPT_MS = 60_000;
const MAX_KEPT_BYTES = 64 << 20;
const MAX_STREAM_BYTES = 1 << 20;

/** Whose events a stream has. Its name begins with it, so that every process can tell, also of streams it never had. */
const marks = { request: 'r', news: 'n' } as const;

/** Where a client that lost a stream goes on. */
export type Resumption =
  | { readonly kind: 'request'; readonly log: StreamLog; readonly after: number }
  /** The stream of a request that is not kept any more, was another process's, or another session's. */
  | { readonly kind: 'gone' }
  /** The client's own stream. */
  | { readonly kind: 'news'; readonly log: StreamLog | undefined; readonly after: number };

/** The event streams of all sessions, while they run and for a short while after. */
export class EventLogs {
  /** Streams of different processes never have the same name. */
  readonly #prefix = randomBytes(6).toString('base64url').replaceAll('-', '_');
  readonly #running = new Map<string, StreamLog>();
  readonly #shared: SharedStreams | undefined;
  readonly #over = new LRUCache<string, StreamLog>({ maxSize: MAX_KEPT_BYTES, ttl: KEPT_MS });
  #last = 0;

  /** @param shared where replicas share streams */
  constructor(shared?: SharedStreams) {
    this.#shared = shared;
  }

  open(session: SessionId, of: keyof typeof marks, maxBytes = MAX_STREAM_BYTES): StreamLog {
    const id = `${marks[of]}${this.#prefix}${(++this.#last).toString(36)}`;
    const hearer = of === 'request' ? this.#shared?.open(session, id) : undefined;
    const log = new StreamLog(id, session, maxBytes, hearer);
    this.#running.set(log.id, log);
    return log;
  }

  /** The stream is over; it may still be asked for. */
  close(log: StreamLog): void {
    log.end();
    this.#running.delete(log.id);
    if (log.bytes > 0) this.#over.set(log.id, log, { size: log.bytes });
  }

  /** What an event id of this session means. An id in nobody's form is taken for one of the client's own stream. */
  find(lastEventId: string, session: SessionId): Resumption {
    const id = parseEventId(lastEventId);
    const log = id && (this.#running.get(id.stream) ?? this.#over.get(id.stream));
    const own = log?.session === session ? log : undefined;
    const after = id?.number ?? 0;
    if (!id?.stream.startsWith(marks.request)) return { kind: 'news', log: own, after };
    return own ? { kind: 'request', log: own, after } : { kind: 'gone' };
  }

  /**
   * The stream of a request that another replica had: writes what came after the event with this id, and what comes.
   * Undefined where it is kept nowhere.
   */
  async findElsewhere(
    lastEventId: string,
    session: SessionId,
  ): Promise<((to: HttpStream) => void) | undefined> {
    const id = parseEventId(lastEventId);
    return id && this.#shared?.find(session, id.stream, id.number);
  }

  /** Forgets what has waited long enough. To be called now and then. */
  sweep(): void {
    this.#over.purgeStale();
  }

  /** Streams that run. */
  get running(): number {
    return this.#running.size;
  }
}
