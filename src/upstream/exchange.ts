import { errors, type Dispatcher } from 'undici';
import { mediaType } from '../relay/headers.ts';

/** The head of a backend's answer. */
export interface AnswerHead {
  readonly status: number;
  /** Lower case, without parameters; empty where there is none. */
  readonly mediaType: string;
  /** Bytes of the body where the backend said so. */
  readonly contentLength: number | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export type FailureKind =
  /** No connection: refused, unreachable, timed out, or TLS did not agree. */
  | 'connect'
  /** The connection ended or the answer was cut. */
  | 'cut'
  /** Nothing came for too long. */
  | 'timeout'
  /** Headers that no HTTP parser takes, or too many of them. */
  | 'garbage'
  /** Abandoned from our side. */
  | 'aborted';

export interface ExchangeFailure {
  readonly kind: FailureKind;
  /** False only when not one byte of the request can have left: repeating it elsewhere is safe. */
  readonly sent: boolean;
  readonly cause: Error;
  /** What the backend did, where the kind alone does not tell; ends the sentence "The server …". */
  readonly says?: string;
}

/** What becomes of one HTTP request to a backend. `fail` or `end` comes last, and only one of them. */
export interface Receiver {
  head(answer: AnswerHead): void;
  /** False holds the backend back until `resume()`. */
  data(chunk: Buffer): boolean;
  end(): void;
  fail(failure: ExchangeFailure): void;
}

export interface Outbound {
  readonly method: 'POST' | 'GET' | 'DELETE';
  /** As on the wire. */
  readonly path: string;
  /** Name, value, name, value, … */
  readonly headers: string[];
  readonly body?: string;
  /** Longest wait for the answer's head in milliseconds; 0 = none. */
  readonly firstByteTimeoutMs: number;
  /** Longest silence inside the answer's body in milliseconds; 0 = none. */
  readonly idleTimeoutMs: number;
  /** What the backend says before it answers is of no interest to the receiver. */
  readonly answerOnly?: boolean;
}

/** A request that is under way. */
export interface Sending {
  /** Lets the backend go on after `data` returned false. */
  resume(): void;
  /** Ends it from our side. The receiver hears `fail` with kind `aborted`, unless it was over. */
  abort(): void;
}

/** One HTTP request to one backend, on undici's lowest interface: no promise, no stream, no copy. */
export class Exchange implements Dispatcher.DispatchHandler, Sending {
  readonly #receiver: Receiver;
  #controller: Dispatcher.DispatchController | undefined;
  #over = false;
  #aborted = false;

  constructor(dispatcher: Dispatcher, outbound: Outbound, receiver: Receiver) {
    this.#receiver = receiver;
    dispatcher.dispatch(
      {
        method: outbound.method,
        path: outbound.path,
        headers: outbound.headers,
        body: outbound.body ?? null,
        headersTimeout: outbound.firstByteTimeoutMs,
        bodyTimeout: outbound.idleTimeoutMs,
      },
      this,
    );
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(): void {
    if (this.#over || this.#aborted) return;
    this.#aborted = true;
    // Without a controller the request still waits for a connection: onRequestStart cuts it then.
    this.#controller?.abort(new Error('abandoned'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#aborted) {
      controller.abort(new Error('abandoned'));
      return;
    }
    this.#controller = controller;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // 1xx is no answer yet (103 Early Hints).
    if (status < 200) return;
    const length = headers['content-length'];
    const type = headers['content-type'];
    this.#receiver.head({
      status,
      mediaType: mediaType(typeof type === 'string' ? type : undefined),
      contentLength: typeof length === 'string' ? Number(length) : undefined,
      headers,
    });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#receiver.data(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = true;
    this.#receiver.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, cause: Error): void {
    if (this.#over) return;
    this.#over = true;
    const sent = this.#controller !== undefined;
    this.#receiver.fail({ kind: this.#aborted ? 'aborted' : failureKind(cause, sent), sent, cause });
  }
}

function failureKind(cause: Error, sent: boolean): FailureKind {
  if (cause instanceof errors.HeadersTimeoutError || cause instanceof errors.BodyTimeoutError)
    return 'timeout';
  if (cause instanceof errors.HeadersOverflowError || cause instanceof errors.HTTPParserError)
    return 'garbage';
  return sent ? 'cut' : 'connect';
}
