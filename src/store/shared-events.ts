import type { MemoryEvents } from './memory-events.ts';
import type { RedisEvents } from './redis-events.ts';
import type { RedisLink } from './redis-link.ts';
import type { EventLog, EventsAfter, StreamEvent } from './store.ts';

/**
 * Events in the memory of the replica that writes them, and in the shared store for the others. A stream of which
 * something did not arrive there is written anew as soon as that is possible.
 */
export class SharedEvents implements EventLog {
  readonly #memory: MemoryEvents;
  readonly #redis: RedisEvents;
  readonly #link: RedisLink;

  constructor(redis: RedisEvents, memory: MemoryEvents, link: RedisLink) {
    this.#redis = redis;
    this.#memory = memory;
    this.#link = link;
    link.onUp(() => {
      for (const stream of memory.allBehind()) void this.#rewrite(stream);
    });
  }

  append(stream: string, event: StreamEvent): void {
    this.#memory.append(stream, event);
    const oldest = this.#memory.kept(stream)[0]?.seq;
    // Larger than all of the memory for events: nobody can resume there.
    if (oldest === undefined) return;
    if (!this.#link.up) this.#memory.setBehind(stream, true);
    else if (this.#memory.isBehind(stream)) void this.#rewrite(stream);
    else void this.#try(stream, this.#redis.append(stream, event, oldest));
  }

  async after(stream: string, seq: number): Promise<EventsAfter> {
    const here = this.#memory.read(stream, seq);
    if (here.kind === 'events') return here;
    try {
      return await this.#redis.after(stream, seq);
    } catch {
      return { kind: 'gone' };
    }
  }

  forget(stream: string): void {
    this.#memory.forget(stream);
    // Where the store is lost, age does it.
    void this.#redis.forget(stream).catch(() => undefined);
  }

  #rewrite(stream: string): Promise<void> {
    this.#memory.setBehind(stream, false);
    return this.#try(stream, this.#redis.rewrite(stream, this.#memory.kept(stream)));
  }

  async #try(stream: string, written: Promise<void>): Promise<void> {
    try {
      await written;
    } catch {
      this.#memory.setBehind(stream, true);
    }
  }
}
