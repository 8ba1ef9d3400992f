import type { RouterError } from '../errors.ts';
import type { RawJson } from '../model.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import { memberObject, memberText, type ScannedObject } from '../relay/json-scan.ts';
import { sseKeepAlive } from '../relay/sse.ts';

const keepAlive = Buffer.from(sseKeepAlive);

/** `params._meta` of a message. */
export function metaOf(request: RequestEnvelope): ScannedObject | undefined {
  return request.params && memberObject(request.text, request.params, '_meta');
}

/**
 * A request of a client that a child works on, and the HTTP answer that waits for it. The answer is JSON as long
 * as the response is all there is to say, and becomes an event stream with the first message before it, or when
 * it takes so long that somebody on the way could give up.
 */
export class ClientRequest {
  readonly id: RawJson;
  /** As the client spelled it; undefined where it wants no progress. */
  readonly progressToken: RawJson | undefined;
  readonly #answer: HttpAnswer;
  readonly #timer: NodeJS.Timeout;
  /** The client does not keep up. */
  #congested = false;

  constructor(request: RequestEnvelope, answer: HttpAnswer, keepAliveMs: number) {
    this.id = request.id;
    const meta = metaOf(request);
    this.progressToken = meta && (memberText(request.text, meta, 'progressToken') as RawJson | undefined);
    this.#answer = answer;
    this.#timer = setInterval(() => this.#keepAlive(), keepAliveMs).unref();
  }

  /** Somebody waits for the answer. A client of the session era may hang up without cancelling. */
  get awaited(): boolean {
    return !this.#answer.gone;
  }

  /** The client can be told something before the response. */
  get listening(): boolean {
    return this.awaited && this.#answer.takesStream;
  }

  /** A message before the response. One that is `optional` is left out while the client does not keep up. */
  say(text: string, optional = false): void {
    if (!this.listening || (optional && this.#congested)) return;
    this.#answer.beginStream();
    this.#answer.event(text);
    if (this.#answer.flush() || this.#congested) return;
    this.#congested = true;
    this.#answer.onceDrained(() => {
      this.#congested = false;
    });
  }

  /** The response. */
  finish(text: string): void {
    clearInterval(this.#timer);
    if (this.#answer.streaming) {
      this.#answer.event(text);
      this.#answer.end();
    } else this.#answer.send(200, text);
  }

  fail(error: RouterError): void {
    clearInterval(this.#timer);
    this.#answer.fail(this.id, error);
  }

  /** Cancelled: nothing more is sent (2025-11-25, cancellation). */
  drop(): void {
    clearInterval(this.#timer);
    this.#answer.beginStream();
    this.#answer.end();
  }

  #keepAlive(): void {
    if (!this.listening) return;
    if (this.#answer.streaming) this.#answer.write(keepAlive);
    else this.#answer.beginStream();
  }
}
