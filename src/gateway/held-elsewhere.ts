import { RouterError } from '../errors.ts';
import type { Identity, ServiceName } from '../model.ts';
import type { Answer } from '../relay/answer.ts';
import { readEnvelope, type RequestEnvelope } from '../relay/envelope.ts';
import { GatheredAnswer, type Gathered } from '../relay/gathered-answer.ts';
import type { Holder, ReplicaId } from '../store/store.ts';
import { continuationLost, HOLD_MS, invalidState, type HeldCalls } from './held-calls.ts';

/** What one replica asks another: to go on with a call that it holds. */
interface Question {
  /** The client's request, to the byte. */
  readonly request: string;
  readonly requestState: string;
  /** Digest of who asks; the asking replica has made sure of it. */
  readonly identity: string;
  readonly service: ServiceName;
}

/**
 * Calls that wait at another replica for what their client answers here. The request goes there over the store, and
 * its answer comes back whole: what the server says on the way stays with the replica that holds the call.
 */
export class HeldElsewhere {
  readonly #holder: Holder;
  readonly #held: HeldCalls;

  constructor(holder: Holder, held: HeldCalls) {
    this.#holder = holder;
    this.#held = held;
    holder.serve((question) => this.#goOn(question));
  }

  /** Answers with what the holding replica answers, or with CONTINUATION_LOST. */
  async forward(
    replica: ReplicaId,
    request: RequestEnvelope,
    requestState: string,
    who: { readonly identity: Identity; readonly service: ServiceName },
    answer: Answer,
  ): Promise<void> {
    const question: Question = {
      request: request.text,
      requestState,
      identity: who.identity.digest,
      service: who.service,
    };
    const asked = await this.#holder.ask(replica, JSON.stringify(question), HOLD_MS);
    if (asked.kind !== 'answered') {
      answer.fail(request.id, continuationLost());
      return;
    }
    const { status, body } = JSON.parse(asked.answer) as Gathered;
    answer.send(status, body);
  }

  async #goOn(question: string): Promise<string> {
    const { request: text, requestState, identity, service } = JSON.parse(question) as Question;
    const request = readEnvelope(text);
    if (request.kind !== 'request') throw new TypeError('a request was to come');
    const answer = new GatheredAnswer();
    answer.era = 'modern';
    try {
      const found = this.#held.find(requestState, request, identity);
      if (found.kind !== 'held') throw continuationLost();
      if (found.call.service !== service) throw invalidState();
      found.call.resume(request, answer);
    } catch (error) {
      if (!(error instanceof RouterError)) throw error;
      answer.fail(request.id, error);
    }
    return JSON.stringify(await answer.whole);
  }
}
