import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { parseEventId, StreamLog } from '../relay/stream-log.ts';
import type { SessionId } from './sealed-id.ts';

/** Of streams that are over: how long, and how many bytes together, they wait for a client that lost them. */
const KEPT_MS = 60_000;
const MAX_KEPT_BYTES = 64 << 20;
const MAX_STREAM_BYTES = 1 << 20;

/** The event streams of all sessions, while they run and for a short while after. */
export class EventLogs {
  /** Streams of different processes never have the same name. */
  readonly #prefix = randomBytes(6).toString('base64url').replaceAll('-', '_');
  readonly #running = new Map<string, StreamLog>();
  readonly #over = new LRUCache<string, StreamLog>({ maxSize: MAX_KEPT_BYTES, ttl: KEPT_MS });
  #last = 0;

  open(session: SessionId, maxBytes = MAX_STREAM_BYTES): StreamLog {
    const log = new StreamLog(`${this.#prefix}${(++this.#last).toString(36)}`, session, maxBytes);
    this.#running.set(log.id, log);
    return log;
  }

  /** The stream is over; it may still be asked for. */
  close(log: StreamLog): void {
    log.end();
    this.#running.delete(log.id);
    if (log.bytes > 0) this.#over.set(log.id, log, { size: log.bytes });
  }

  /** The stream that an event id belongs to, if this session had it. */
  find(
    lastEventId: string,
    session: SessionId,
  ): { readonly log: StreamLog; readonly after: number } | undefined {
    const id = parseEventId(lastEventId);
    const log = id && (this.#running.get(id.stream) ?? this.#over.get(id.stream));
    return log?.session === session ? { log, after: id?.number ?? 0 } : undefined;
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
