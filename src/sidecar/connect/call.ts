import { RouterError } from '../../errors.ts';
import type { Clock, Log, Random } from '../../model.ts';
import { errorResponse, type RequestEnvelope, type ResponseEnvelope } from '../../relay/envelope.ts';
import type { ExchangeFailure } from '../../upstream/exchange.ts';
import { idKey, requestsIn, type ClientMessage } from './client-message.ts';
import type { FromServer } from './from-server.ts';
import type { Link, Sending } from './link.ts';
import type { Manner } from './manner.ts';
import type { Output } from './output.ts';
import * as problem from './problems.ts';
import { Cursor, Pauses } from './reconnect.ts';
import { rpcErrorIn } from './rpc-error.ts';
import type { Running } from './running.ts';
import { Transfer, type Outcome } from './transfer.ts';

export interface CallParts {
  readonly link: Link;
  readonly output: Output;
  readonly fromServer: FromServer;
  readonly running: Running;
  readonly log: Log;
  readonly now: Clock;
  readonly random: Random;
}

/** Tries of one request: a reason to refuse it may be mended, and behind it another one may appear. */
const MAX_TRIES = 3;

/**
 * A request of the client, or a batch with requests, from its POST to its response. The stream of the response
 * may break and be resumed; whatever happens, each request is answered exactly once, or cancelled.
 */
export class Call {
  readonly text: string;
  readonly keys: readonly string[];
  /** Resolves when all its requests are answered, or not wanted any more. */
  readonly done: Promise<void>;
  readonly #parts: CallParts;
  readonly #manner: Manner;
  /** The requests that are not answered yet, by key. */
  readonly #open: Map<string, RequestEnvelope>;
  readonly #cursor = new Cursor();
  readonly #pauses: Pauses;
  #transfer: Transfer | undefined;
  /** Until the stream is resumed, or its rest is not waited for any more. */
  #timer: NodeJS.Timeout | undefined;
  #tries = 0;
  /** The server had begun to answer. */
  #opened = false;
  #resuming = false;
  #heardAt = 0;
  #over = false;
  readonly #settled = Promise.withResolvers<void>();

  constructor(
    message: Extract<ClientMessage, { kind: 'request' | 'batch' }>,
    manner: Manner,
    parts: CallParts,
  ) {
    this.text = message.text;
    this.#open = new Map(requestsIn(message).map((request) => [idKey(request.id), request]));
    this.keys = [...this.#open.keys()];
    this.#manner = manner;
    this.#parts = parts;
    this.#pauses = new Pauses(parts.link.limits, parts.now, parts.random);
    this.done = this.#settled.promise;
  }

  get endless(): boolean {
    return this.#manner.endless ?? false;
  }

  start(): void {
    this.#tries++;
    this.#send({
      method: 'POST',
      headers: this.#manner.headers(),
      body: this.text,
      endless: this.endless,
    });
  }

  /** What the client shall read of a response; undefined where it waits for none with this id. */
  answered(response: ResponseEnvelope): string | undefined {
    const key = idKey(response.id);
    const request = this.#open.get(key);
    if (!request) return undefined;
    this.#close(key);
    if (this.#open.size === 0) {
      clearTimeout(this.#timer);
      // The stream should end now; breaking it off would cost its connection.
      this.#timer = setTimeout(() => this.#settle(), this.#parts.link.limits.afterwordMs).unref();
    }
    return this.#manner.answered(response, request);
  }

  /** The client does not want one response any more. Resolves when the server has been told. */
  async cancel(key: string, notification: string): Promise<void> {
    if (!this.#open.has(key) || this.#manner.uncancellable) return;
    this.#close(key);
    await this.#manner.cancel(notification);
    if (this.#open.size === 0) this.#settle();
  }

  /** Connect ends: what is not answered yet never will be. */
  end(): void {
    const { output } = this.#parts;
    for (const request of this.#open.values()) {
      const farewell = this.#manner.farewell?.(request);
      output.send(farewell ?? errorResponse(request.id, problem.ending().toRpc()));
    }
    this.#settle();
  }

  #send(sending: Sending): void {
    const { link, output, fromServer, now } = this.#parts;
    const hear = this.#manner.hear.bind(this.#manner);
    this.#transfer = new Transfer(
      link,
      output,
      sending,
      {
        opened: (head) => {
          this.#opened = true;
          this.#heardAt = now();
          this.#pauses.opened();
          if (!this.#resuming) this.#manner.opened?.(head);
        },
        message: (text) => fromServer.relay(text, hear),
        over: (outcome) => this.#ended(outcome),
      },
      this.#cursor,
    );
  }

  #ended(outcome: Outcome): void {
    if (this.#over) return;
    if (this.#open.size === 0) {
      this.#settle();
      return;
    }
    const { url } = this.#parts.link;
    switch (outcome.kind) {
      case 'complete':
        if (outcome.streamed) this.#goOn(problem.brokeOff(url));
        else this.#fail(problem.garbage(url, 'ended its answer without a response'));
        return;
      case 'unreadable':
        this.#fail(outcome.error);
        return;
      case 'failed':
        this.#failed(outcome.failure);
        return;
      case 'refused':
        if (this.#resuming) this.#notResumed(outcome.refusal);
        else void this.#refused(outcome.refusal);
    }
  }

  #failed(failure: ExchangeFailure): void {
    const { url, timeoutMs } = this.#parts.link;
    if (failure.kind === 'timeout' && !this.endless) this.#giveUp();
    else if (failure.kind === 'cut' || (this.#resuming && failure.kind !== 'garbage')) {
      this.#goOn(problem.brokeOff(url, failure.cause));
    } else this.#fail(problem.failed(url, failure, timeoutMs));
  }

  /** The stream ended before the response: it is opened again, if it can be. */
  #goOn(error: RouterError): void {
    const { link, now } = this.#parts;
    if (this.#transfer?.streaming) this.#heardAt = now();
    if (!this.#opened || !this.#manner.resume(this.#cursor)) {
      this.#fail(error);
      return;
    }
    if (!this.endless && link.timeoutMs > 0 && now() - this.#heardAt > link.timeoutMs) {
      this.#giveUp();
      return;
    }
    this.#timer = setTimeout(() => this.#resume(error), this.#pauses.next(this.#cursor.retryMs));
  }

  #resume(error: RouterError): void {
    const sending = this.#manner.resume(this.#cursor);
    if (!sending) {
      this.#fail(error);
      return;
    }
    this.#resuming = true;
    this.#send(sending.method === 'POST' ? { ...sending, body: this.text } : sending);
  }

  /** The server does not go on with a stream that it began. */
  #notResumed(refusal: problem.Refusal): void {
    const { url, credentials } = this.#parts.link;
    const { status } = refusal.head;
    const later = status >= 500 || status === 429 || status === 409 || status === 408;
    if (later || (status === 401 && credentials.renew())) this.#goOn(problem.refused(url, refusal));
    else if (this.endless) this.#refuse(refusal);
    else this.#fail(status === 404 ? problem.sessionLost(url) : problem.brokeOff(url));
  }

  /** The server did not take the request: nothing was executed. */
  async #refused(refusal: problem.Refusal): Promise<void> {
    try {
      const mended = this.#tries < MAX_TRIES && (await this.#manner.mend(refusal));
      if (this.#over || this.#open.size === 0) return;
      if (mended) this.start();
      else this.#refuse(refusal);
    } catch (error) {
      if (!(error instanceof RouterError)) throw error;
      if (!this.#over) this.#fail(error);
    }
  }

  #refuse(refusal: problem.Refusal): void {
    const { status } = refusal.head;
    const denied = status === 401 || status === 403 || status === 407;
    const rpcError = denied ? undefined : rpcErrorIn(refusal.body);
    if (rpcError === undefined) this.#fail(problem.refused(this.#parts.link.url, refusal));
    else this.#answerAll((request) => `{"jsonrpc":"2.0","id":${request.id},"error":${rpcError}}`);
  }

  /** The server was silent for too long. */
  #giveUp(): void {
    const { link, log } = this.#parts;
    const reason = `no sign of life for ${link.timeoutMs} ms`;
    for (const { id } of this.#open.values()) {
      const told = this.#manner.cancel(
        `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id},"reason":"${reason}"}}`,
      );
      told?.catch((error: unknown) => log.debug('the server could not be told to cancel', { error }));
    }
    this.#fail(problem.silent(link.url, link.timeoutMs));
  }

  #fail(error: RouterError): void {
    this.#answerAll((request) => errorResponse(request.id, error.toRpc()));
  }

  #answerAll(answer: (request: RequestEnvelope) => string): void {
    for (const request of this.#open.values()) this.#parts.output.send(answer(request));
    this.#settle();
  }

  #close(key: string): void {
    this.#open.delete(key);
    this.#parts.running.remove(key);
    if (this.#open.size === 0) this.#settled.resolve();
  }

  #settle(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#transfer?.abort();
    for (const key of this.#open.keys()) this.#parts.running.remove(key);
    this.#open.clear();
    this.#parts.running.release(this);
    this.#settled.resolve();
  }
}
