import type { RouterError } from '../errors.ts';
import type { Envelope, RequestEnvelope } from '../relay/envelope.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import type { HostedSession } from './host.ts';
import { Outbox } from './outbox.ts';

/** What a session of a shared child leaves to the one who knows the child. */
export interface SharedChild {
  busy(session: SharedSession): boolean;
  request(session: SharedSession, request: RequestEnvelope, answer: HttpAnswer): void;
  tell(session: SharedSession, message: Exclude<Envelope, RequestEnvelope>): void;
  close(session: SharedSession, error: RouterError): void;
}

/** One client's part of a child that is shared. */
export class SharedSession implements HostedSession {
  readonly #child: SharedChild;
  readonly #outbox = new Outbox();

  constructor(child: SharedChild) {
    this.#child = child;
  }

  get busy(): boolean {
    return this.#child.busy(this);
  }

  request(request: RequestEnvelope, answer: HttpAnswer): void {
    this.#child.request(this, request, answer);
  }

  tell(message: Exclude<Envelope, RequestEnvelope>): void {
    this.#child.tell(this, message);
  }

  listen(stream: HttpStream | undefined): void {
    this.#outbox.listen(stream);
  }

  send(text: string): void {
    this.#outbox.send(text);
  }

  close(error: RouterError): void {
    this.#child.close(this, error);
  }
}
