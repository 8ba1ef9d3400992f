import type { RouterError } from '../errors.ts';
import type { RawJson } from '../model.ts';
import {
  replaceMember,
  type NotificationEnvelope,
  type RequestEnvelope,
  type ResponseEnvelope,
} from '../relay/envelope.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import { memberText, splice, type Edit } from '../relay/json-scan.ts';
import { ClientRequest, metaOf } from './client-request.ts';
import { congested } from './host.ts';
import type { SharedSession } from './shared-session.ts';

type Pending =
  | {
      readonly kind: 'client';
      readonly session: SharedSession;
      readonly request: ClientRequest;
      readonly answered: ((succeeded: boolean) => void) | undefined;
    }
  | { readonly kind: 'own'; readonly answered: OwnAnswered };

/** Gets undefined where the child ended before it answered. */
export type OwnAnswered = (response: ResponseEnvelope | undefined) => void;

export interface Forwarding {
  /** A further change to the request. */
  readonly edit?: Edit | undefined;
  /** Told how it ended before the client is. */
  readonly answered?: (succeeded: boolean) => void;
}

/**
 * The requests under way at a child that many sessions share. Each has an id of ours, which is its progress token
 * as well, and is never used again, so that what a child says too late or of a former child reaches nobody.
 */
export class InFlight {
  readonly #send: (text: string) => boolean;
  readonly #keepAliveMs: number;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  /** `send`: to the child of this moment; false where it does not keep up. */
  constructor(send: (text: string) => boolean, keepAliveMs: number) {
    this.#send = send;
    this.#keepAliveMs = keepAliveMs;
  }

  /** Requests of clients that somebody waits for. */
  get running(): number {
    let running = 0;
    for (const pending of this.#pending.values()) {
      if (pending.kind === 'client' && pending.request.awaited) running++;
    }
    return running;
  }

  busy(session: SharedSession): boolean {
    return !this.#of(session).next().done;
  }

  /** @throws {RouterError} OVERLOADED */
  forward(
    session: SharedSession,
    request: RequestEnvelope,
    answer: HttpAnswer,
    { edit, answered }: Forwarding = {},
  ): void {
    const id = ++this.#lastId;
    const text = edited(
      request.text,
      replaceMember(request.members, 'id', String(id)),
      replaceMember(metaOf(request), 'progressToken', String(id)),
      edit,
    );
    if (!this.#send(text)) {
      answered?.(false);
      throw congested();
    }
    const waiting = new ClientRequest(request, answer, this.#keepAliveMs);
    this.#pending.set(id, { kind: 'client', session, request: waiting, answered });
  }

  /** A request of our own. */
  ask(text: (id: number) => string, answered: OwnAnswered = () => undefined): void {
    const id = ++this.#lastId;
    this.#pending.set(id, { kind: 'own', answered });
    this.#send(text(id));
  }

  response(message: ResponseEnvelope): void {
    const pending = this.#take(message.id);
    if (pending?.kind === 'own') pending.answered(message);
    else if (pending) {
      pending.answered?.(!message.failed);
      const { request } = pending;
      request.finish(edited(message.text, replaceMember(message.members, 'id', request.id)));
    }
  }

  /** The response is lost. */
  lost(id: RawJson, error: RouterError): void {
    const pending = this.#take(id);
    if (pending) fail(pending, error);
  }

  /** `notifications/progress` of the child. */
  progress(message: NotificationEnvelope): void {
    const token = message.params && memberText(message.text, message.params, 'progressToken');
    const pending = this.#pending.get(Number(token));
    if (pending?.kind !== 'client' || pending.request.progressToken === undefined) return;
    const edit = replaceMember(message.params, 'progressToken', pending.request.progressToken);
    pending.request.say(edited(message.text, edit), true);
  }

  /** `notifications/cancelled` of a client. */
  cancelled(session: SharedSession, message: NotificationEnvelope): void {
    const wanted = message.params && memberText(message.text, message.params, 'requestId');
    for (const [id, { request }] of this.#of(session)) {
      if (request.id !== wanted) continue;
      this.#pending.delete(id);
      this.#send(edited(message.text, replaceMember(message.params, 'requestId', String(id))));
      request.drop();
    }
  }

  /** The session is over: the child need not go on for it. */
  abandon(session: SharedSession, error: RouterError): void {
    for (const [id, pending] of this.#of(session)) {
      this.#pending.delete(id);
      const params = { requestId: id, reason: 'the client is gone' };
      this.#send(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params }));
      fail(pending, error);
    }
  }

  failAll(error: RouterError): void {
    const all = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of all) fail(pending, error);
  }

  *#of(session: SharedSession): Generator<[number, Extract<Pending, { kind: 'client' }>]> {
    for (const [id, pending] of this.#pending) {
      if (pending.kind === 'client' && pending.session === session) yield [id, pending];
    }
  }

  #take(id: RawJson): Pending | undefined {
    const pending = this.#pending.get(Number(id));
    this.#pending.delete(Number(id));
    return pending;
  }
}

function fail(pending: Pending, error: RouterError): void {
  if (pending.kind === 'own') {
    pending.answered(undefined);
    return;
  }
  pending.answered?.(false);
  pending.request.fail(error);
}

function edited(text: string, ...found: readonly (Edit | undefined)[]): string {
  return splice(
    text,
    found.filter((edit) => edit !== undefined),
  );
}
