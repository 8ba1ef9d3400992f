import { LRUCache } from 'lru-cache';
import type { Clock } from '../model.ts';
import type { EventBounds, EventLog, EventsAfter, StreamEvent } from './store.ts';

export interface MemoryEventsOptions {
  /** Of all streams together; the one that was used least lately makes room. */
  readonly maxTotalBytes: number;
  readonly bounds: EventBounds;
  readonly now: Clock;
}

interface Kept extends StreamEvent {
  readonly bytes: number;
  readonly at: number;
}

interface Log {
  /** By ascending `seq`, without a gap. */
  readonly events: Kept[];
  /** `seq` of the newest event ever, also when it is no longer kept. */
  last: number;
  bytes: number;
  /** Not all that is here has reached the shared store. */
  behind: boolean;
}

const ENTRY_BYTES = 100;

/** The events of streams that this process writes. */
export class MemoryEvents implements EventLog {
  readonly #bounds: EventBounds;
  readonly #now: Clock;
  readonly #logs: LRUCache<string, Log>;

  constructor({ maxTotalBytes, bounds, now }: MemoryEventsOptions) {
    this.#bounds = bounds;
    this.#now = now;
    this.#logs = new LRUCache({ maxSize: maxTotalBytes, ttl: bounds.maxAgeMs, perf: { now } });
  }

  append(stream: string, event: StreamEvent): void {
    let log = this.#logs.get(stream);
    // A number that does not follow begins anew: what came before could not be told apart from a gap.
    if (!log || event.seq !== log.last + 1) log = { events: [], last: 0, bytes: 0, behind: false };
    const bytes = Buffer.byteLength(event.text) + ENTRY_BYTES;
    log.events.push({ ...event, bytes, at: this.#now() });
    log.last = event.seq;
    log.bytes += bytes;
    this.#trim(log);
    this.#logs.set(stream, log, { size: log.bytes + stream.length });
  }

  after(stream: string, seq: number): Promise<EventsAfter> {
    return Promise.resolve(this.read(stream, seq));
  }

  read(stream: string, seq: number): EventsAfter {
    const log = this.#logs.get(stream);
    if (!log) return { kind: 'gone' };
    return eventsAfter(log.events, seq, log.last);
  }

  forget(stream: string): void {
    this.#logs.delete(stream);
  }

  /** Everything that is kept of a stream. */
  kept(stream: string): readonly StreamEvent[] {
    return this.#logs.get(stream)?.events ?? [];
  }

  isBehind(stream: string): boolean {
    return this.#logs.peek(stream)?.behind ?? false;
  }

  setBehind(stream: string, behind: boolean): void {
    const log = this.#logs.peek(stream);
    if (log) log.behind = behind;
  }

  /** Streams that the shared store does not have as they are here. */
  allBehind(): readonly string[] {
    return [...this.#logs.entries()].filter(([, log]) => log.behind).map(([stream]) => stream);
  }

  #trim(log: Log): void {
    const oldest = this.#now() - this.#bounds.maxAgeMs;
    for (;;) {
      const [first] = log.events;
      if (!first || log.events.length === 1) return;
      const over = log.events.length > this.#bounds.maxEvents || log.bytes > this.#bounds.maxBytes;
      if (!over && first.at >= oldest) return;
      log.events.shift();
      log.bytes -= first.bytes;
    }
  }
}

/** Those after `seq`, if none between is missing. `last` is the newest that there ever was. */
export function eventsAfter(kept: readonly StreamEvent[], seq: number, last: number): EventsAfter {
  if (seq > last) return { kind: 'gone' };
  const events = kept.filter((event) => event.seq > seq).map(({ seq: own, text }) => ({ seq: own, text }));
  const whole = events.every((event, index) => event.seq === seq + 1 + index);
  return whole && seq + events.length === last ? { kind: 'events', events } : { kind: 'gone' };
}
