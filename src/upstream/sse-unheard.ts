import type { NotificationEnvelope, RequestEnvelope } from '../relay/envelope.ts';

type Message = RequestEnvelope | NotificationEnvelope;

const KEEP_MS = 10_000;
const MAX_KEPT = 32;
/** A server that logs all the time must not take the places of its questions. */
const MAX_NOTICES = 16;

/**
 * What a server says while nobody listens. Servers ask for roots as soon as a session is open, which is before
 * the call that opened it, so their words are kept for a moment. A question that nobody hears is refused then:
 * the server must not wait for ever.
 */
export class Unheard {
  readonly #kept = new Map<Message, NodeJS.Timeout>();
  readonly #refuse: (question: RequestEnvelope) => void;
  #notices = 0;

  constructor(refuse: (question: RequestEnvelope) => void) {
    this.#refuse = refuse;
  }

  keep(message: Message): void {
    const notice = message.kind === 'notification';
    if (this.#kept.size >= MAX_KEPT || (notice && this.#notices >= MAX_NOTICES)) {
      if (!notice) this.#refuse(message);
      return;
    }
    if (notice) this.#notices++;
    const timer = setTimeout(() => {
      this.#forget(message);
      if (!notice) this.#refuse(message);
    }, KEEP_MS);
    this.#kept.set(message, timer.unref());
  }

  /** Hands out what is kept: to a call only the questions, since notices of another moment are none of its own. */
  take(which: 'questions' | 'all'): readonly Message[] {
    const taken = [...this.#kept.keys()].filter(({ kind }) => which === 'all' || kind === 'request');
    for (const message of taken) this.#forget(message);
    return taken;
  }

  #forget(message: Message): void {
    clearTimeout(this.#kept.get(message));
    this.#kept.delete(message);
    if (message.kind === 'notification') this.#notices--;
  }
}
