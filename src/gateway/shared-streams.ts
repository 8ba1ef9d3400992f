import type { HttpStream } from '../relay/http-stream.ts';
import type { StreamHearer } from '../relay/stream-log.ts';
import type { EventLog } from '../store/store.ts';
import type { SessionId } from './sealed-id.ts';

/** Events as the store numbers them: the first one says that there is a stream, the last one that it is over. */
const OPENED = '';
const OVER = '.';
/** How often a stream that another replica writes is looked at. */
const LOOK_MS = 250;

/**
 * The streams of requests, as far as other replicas need them: a client that lost one here goes on with it there
 * (2025-11-25, transports: resumability).
 */
export class SharedStreams {
  readonly #events: EventLog;

  constructor(events: EventLog) {
    this.#events = events;
  }

  /** Hears what is written on a stream of this replica. */
  open(session: SessionId, stream: string): StreamHearer {
    const key = keyOf(session, stream);
    let last = 1;
    this.#events.append(key, { seq: last, text: OPENED });
    return {
      event: (text) => this.#events.append(key, { seq: ++last, text }),
      over: () => this.#events.append(key, { seq: ++last, text: OVER }),
    };
  }

  /**
   * Goes on with a stream that another replica writes, or wrote.
   * @param after number of the last event that the client has
   * @returns undefined where what came after it is not kept anywhere
   */
  async find(
    session: SessionId,
    stream: string,
    after: number,
  ): Promise<((to: HttpStream) => void) | undefined> {
    const key = keyOf(session, stream);
    const first = await this.#events.after(key, after + 1);
    if (first.kind === 'gone') return undefined;
    return (to) => void this.#follow(key, after + 1, to);
  }

  async #follow(key: string, after: number, to: HttpStream): Promise<void> {
    let seq = after;
    while (!to.gone) {
      const found = await this.#events.after(key, seq);
      // Too old, or the store is lost: the client comes back and is told so.
      if (found.kind === 'gone') break;
      for (const event of found.events) {
        seq = event.seq;
        if (event.text === OVER) {
          to.end();
          return;
        }
        if (event.text !== OPENED) to.write(event.text);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS).unref());
    }
    to.end();
  }
}

const keyOf = (session: SessionId, stream: string): string => `${session}.${stream}`;
