import { eventsAfter } from './memory-events.ts';
import type { RedisLink } from './redis-link.ts';
import type { EventsAfter, Sealing, StreamEvent } from './store.ts';

export interface RedisEventsOptions {
  readonly link: RedisLink;
  readonly sealing: Sealing;
  readonly maxAgeMs: number;
}

/**
 * Events in a Valkey or Redis, a stream each, so that another replica can read them. What is dropped for being
 * too much the writing replica decides, and names the oldest that stays. Its operations reject where the link fails.
 */
export class RedisEvents {
  readonly #link: RedisLink;
  readonly #sealing: Sealing;
  readonly #maxAgeMs: number;

  constructor({ link, sealing, maxAgeMs }: RedisEventsOptions) {
    this.#link = link;
    this.#sealing = sealing;
    this.#maxAgeMs = maxAgeMs;
  }

  async append(stream: string, event: StreamEvent, oldest: number): Promise<void> {
    const [id, fields] = this.#entry(stream, event);
    const trim = { strategy: 'MINID', strategyModifier: '=', threshold: oldest } as const;
    await this.#link.run(
      'append',
      (client) =>
        client
          .multi()
          .xAdd(key(stream), id, fields, { TRIM: trim })
          .pExpire(key(stream), this.#maxAgeMs)
          .exec(),
      event.text.length,
    );
  }

  /** Everything anew, where some of it may be missing. */
  async rewrite(stream: string, events: readonly StreamEvent[]): Promise<void> {
    const bytes = events.reduce((sum, event) => sum + event.text.length, 0);
    await this.#link.run(
      'append',
      (client) => {
        const transaction = client.multi().del(key(stream));
        for (const event of events) {
          const [id, fields] = this.#entry(stream, event);
          transaction.xAdd(key(stream), id, fields);
        }
        return transaction.pExpire(key(stream), this.#maxAgeMs).exec();
      },
      bytes,
    );
  }

  async after(stream: string, seq: number): Promise<EventsAfter> {
    const entries = await this.#link.run('read', (client) => client.xRange(key(stream), `${seq}-0`, '+'));
    const events: StreamEvent[] = [];
    for (const { id, message } of entries ?? []) {
      const own = Number(id.split('-')[0]);
      const text = this.#sealing.open(String(message[FIELD]), context(stream, own));
      // Sealed by another key ring: as good as not there.
      if (text === undefined) return { kind: 'gone' };
      events.push({ seq: own, text });
    }
    const last = events.at(-1)?.seq;
    return last === undefined ? { kind: 'gone' } : eventsAfter(events, seq, last);
  }

  async forget(stream: string): Promise<void> {
    await this.#link.run('forget', (client) => client.del(key(stream)));
  }

  #entry(stream: string, event: StreamEvent): [id: string, fields: Record<string, string>] {
    return [`${event.seq}-0`, { [FIELD]: this.#sealing.seal(event.text, context(stream, event.seq)) }];
  }
}

const FIELD = 'e';
const key = (stream: string): string => `mcp-router:events:${stream}`;
const context = (stream: string, seq: number): string => `event ${stream} ${seq}`;
