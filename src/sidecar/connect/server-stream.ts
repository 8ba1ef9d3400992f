import { describeError } from '../../errors.ts';
import type { NotificationEnvelope, RequestEnvelope } from '../../relay/envelope.ts';
import { SSE_TYPE } from '../../relay/headers.ts';
import type { Heard } from './from-server.ts';
import { forgotten, refused, type Refusal } from './problems.ts';
import { Cursor, Pauses } from './reconnect.ts';
import type { SessionParts } from './session.ts';
import type { OpenSession } from './session-state.ts';
import { Transfer, type Outcome } from './transfer.ts';

export interface StreamOwner {
  hear(message: RequestEnvelope | NotificationEnvelope, generation: number): Heard;
  /** @throws {RouterError} */
  renew(generation: number): Promise<void>;
  /** The stream was gone, and what the server said meanwhile may be lost. */
  lookAgain(): void;
}

/** The stream on which the server speaks by itself (GET), opened again for as long as the session lasts. */
export class ServerStream {
  readonly #parts: SessionParts;
  readonly #owner: StreamOwner;
  #session: OpenSession | undefined;
  #transfer: Transfer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #cursor = new Cursor();
  #pauses: Pauses;
  /** It was open in this session: the server has such streams. */
  #known = false;
  /** The last trouble was logged. */
  #reported = false;

  constructor(parts: SessionParts, owner: StreamOwner) {
    this.#parts = parts;
    this.#owner = owner;
    this.#pauses = new Pauses(parts.link.limits, parts.now, parts.random);
  }

  open(session: OpenSession): void {
    this.stop();
    this.#session = session;
    this.#cursor = new Cursor();
    this.#pauses = new Pauses(this.#parts.link.limits, this.#parts.now, this.#parts.random);
    this.#known = false;
    this.#try(session);
  }

  stop(): void {
    this.#session = undefined;
    clearTimeout(this.#timer);
    this.#transfer?.abort();
    this.#transfer = undefined;
  }

  #try(session: OpenSession): void {
    const { link, output, fromServer } = this.#parts;
    const resumption = this.#cursor.resumption ?? [];
    this.#transfer = new Transfer(
      link,
      output,
      { method: 'GET', headers: ['accept', SSE_TYPE, ...session.headers, ...resumption], endless: true },
      {
        opened: (head) => {
          if (head.mediaType === SSE_TYPE) this.#opened(resumption.length > 0);
        },
        message: (text) => fromServer.relay(text, (message) => this.#owner.hear(message, session.generation)),
        over: (outcome) => void this.#over(outcome, session),
      },
      this.#cursor,
    );
  }

  #opened(resumed: boolean): void {
    const again = this.#known;
    this.#known = true;
    this.#reported = false;
    const outage = this.#pauses.opened();
    // A server that was away may have forgotten what it would have to replay.
    if (again && (outage || !resumed)) this.#owner.lookAgain();
  }

  async #over(outcome: Outcome, session: OpenSession): Promise<void> {
    if (session !== this.#session) return;
    if (outcome.kind === 'refused' && this.#known && session.id !== undefined && forgotten(outcome.refusal)) {
      try {
        // Opens this stream anew, in the new session.
        await this.#owner.renew(session.generation);
      } catch (error) {
        this.#report(describeError(error));
      }
    } else if (this.#hopeless(outcome)) {
      this.#parts.log.info('the server offers no stream of its own', { url: this.#parts.link.url });
      return;
    } else if (outcome.kind === 'failed') this.#report(describeError(outcome.failure.cause));
    if (session !== this.#session) return;
    this.#timer = setTimeout(() => this.#try(session), this.#pauses.next(this.#cursor.retryMs));
  }

  /** Another try would end as this one did. */
  #hopeless(outcome: Outcome): boolean {
    switch (outcome.kind) {
      case 'complete':
        return !outcome.streamed;
      case 'refused':
        return this.#refusedForGood(outcome.refusal);
      case 'unreadable':
        return !this.#known;
      case 'failed':
        return false;
    }
  }

  #refusedForGood(refusal: Refusal): boolean {
    const { link } = this.#parts;
    const { status } = refusal.head;
    const denied = status === 401 || status === 403;
    if (status === 401) link.credentials.renew();
    if (denied || status === 408 || status === 409 || status === 429 || status >= 500) {
      this.#report(refused(link.url, refusal).message);
      return false;
    }
    return true;
  }

  /** Once for each time that it is gone: the tries themselves are no news. */
  #report(error: string): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#parts.log.warn("the server's stream is gone; it is tried again", {
      url: this.#parts.link.url,
      error,
    });
  }
}
