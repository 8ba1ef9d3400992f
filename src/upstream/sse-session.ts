import { randomUUID } from 'node:crypto';
import type { RawJson } from '../model.ts';
import {
  EnvelopeError,
  errorResponse,
  readEnvelope,
  resultResponse,
  type Envelope,
  type NotificationEnvelope,
  type RequestEnvelope,
  type ResponseEnvelope,
} from '../relay/envelope.ts';
import { JSON_TYPE, SESSION_HEADER, VERSION_HEADER } from '../relay/headers.ts';
import { memberText } from '../relay/json-scan.ts';
import {
  Exchange,
  type AnswerHead,
  type ExchangeFailure,
  type Outbound,
  type Receiver,
  type Sending,
} from './exchange.ts';
import { abandoned, answerNow } from './sse-answer-now.ts';
import { SseDelivery } from './sse-delivery.ts';
import { SseRequest, type RequestEnd } from './sse-request.ts';
import { progressTokenOf, SseRequests } from './sse-requests.ts';
import { SseStream, type SseSite, type StreamEnd, type StreamHearer } from './sse-stream.ts';
import { Unheard } from './sse-unheard.ts';

/** For messages of the router's own, which nobody waits for. */
const TELL_TIMEOUT_MS = 10_000;
/** For a stream that may be dead to show that it is not. */
const DOUBT_MS = 5000;
/** For the stream to open, where the one who asks sets no limit. */
const OPENING_MS = 10_000;
/** Of the asker's patience: the rest is for saying what was missing. */
const OPENING_SHARE = 0.9;

/**
 * One session with a server of the HTTP+SSE transport: one event stream, opened by `initialize` and alive as long
 * as the session. Every message to the server is posted. Everything that it says comes on the stream, and goes to
 * whom it concerns:
 *
 * - an answer to the request with its id, progress to the request with its token;
 * - anything else to the one call that runs. With none or several, to the session's listener; without a listener
 *   to the latest call: the client reads all its streams.
 */
export class SseSession implements StreamHearer {
  readonly id = `sse-${randomUUID()}`;
  readonly #site: SseSite;
  readonly #onOver: (session: SseSession) => void;
  readonly #requests = new SseRequests();
  readonly #unheard = new Unheard((question) => this.#refuse(question));
  /** Beside those of MCP: credentials, trace context. */
  #headers: readonly string[] = [];
  #stream: SseStream | undefined;
  /** Where messages are posted to; undefined until the server has said it. */
  #path: string | undefined;
  /** `initialize`, until the stream is open. */
  #opening: { readonly request: SseRequest; readonly outbound: Outbound } | undefined;
  #listener: SseDelivery | undefined;
  #doubtTimer: NodeJS.Timeout | undefined;
  #leaving = false;
  #over = false;

  /** `onOver`: the session is not known any more, for whatever reason. Called once. */
  constructor(site: SseSite, onOver: (session: SseSession) => void) {
    this.#site = site;
    this.#onOver = onOver;
  }

  /**
   * Opens the stream and posts `initialize` as soon as the server has said where to. Without a result of it the
   * session is over: nobody learns of it, so nobody would end it.
   */
  begin(initialize: RequestEnvelope, outbound: Outbound, receiver: Receiver): Sending {
    this.#headers = without(outbound.headers, ['accept', 'content-type', SESSION_HEADER, VERSION_HEADER]);
    const onEnd = (how: RequestEnd): void => {
      if (how !== 'result') this.end();
    };
    const request = this.#enter(initialize, outbound, receiver, onEnd, { [SESSION_HEADER]: this.id });
    this.#opening = { request, outbound };
    const patienceMs = Math.ceil((outbound.firstByteTimeoutMs || OPENING_MS) * OPENING_SHARE);
    this.#stream = new SseStream(this.#site, this.#headers, patienceMs, this);
    return request;
  }

  /** A message of the client, or of the router in its place. */
  post(message: Envelope, outbound: Outbound, receiver: Receiver): Sending {
    if (message.kind !== 'request') {
      return new Exchange(this.#site.calls(), this.#posted(outbound), receiver);
    }
    if (this.#requests.has(message.id)) {
      const error = { code: -32600, message: 'Another request with this id is still running.' };
      return answerNow(receiver, 400, errorResponse(message.id, error));
    }
    const bytesBefore = this.#stream?.bytes;
    const request = this.#enter(message, outbound, receiver, (how) => {
      if (how === 'given-up') this.#cancel(message.id);
      else if (how === 'aborted' && request.taken && this.#stream?.bytes === bytesBefore) this.#doubt();
    });
    request.post(this.#site.calls(), this.#posted(outbound));
    if (request.hears) this.#handOver((text) => request.message(text), 'questions');
    return request;
  }

  /** The stream on which the server speaks by itself: one a session. */
  listen(receiver: Receiver): Sending {
    if (this.#listener) return answerNow(receiver, 409, '');
    const delivery = new SseDelivery(receiver);
    this.#listener = delivery;
    queueMicrotask(() => delivery.begin());
    this.#handOver((text) => delivery.message(text), 'all');
    return {
      resume: () => delivery.resume(),
      abort: () => {
        if (delivery.over) return;
        delivery.drop();
        if (this.#listener === delivery) this.#listener = undefined;
        abandoned(receiver);
      },
    };
  }

  /** Closes the stream, and so ends the session (2024-11-05, transports: HTTP with SSE). */
  end(): void {
    this.#conclude({ kind: 'cut', cause: new Error('the session was ended') });
  }

  /** Ends the session with the last request that runs in it. */
  endWhenIdle(): void {
    this.#leaving = true;
    if (this.#requests.size === 0) this.end();
  }

  // --- What comes on the stream -------------------------------------------------------------------------------

  open(path: string): void {
    this.#path = path;
    const opening = this.#opening;
    this.#opening = undefined;
    opening?.request.post(this.#site.calls(), this.#posted(opening.outbound));
  }

  event(data: string): void {
    let message: Envelope;
    try {
      message = readEnvelope(data);
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      // Meant as a message, so it is the answer that the one call waits for. Anything else is chatter.
      if (/^\s*[{[]/.test(data)) this.#requests.only()?.message(data);
      return;
    }
    if (message.kind === 'response') this.#answered(message);
    // Whether the router is there is for the router to say.
    else if (message.method === 'ping' && message.kind === 'request')
      this.#tell(resultResponse(message.id, '{}'));
    else this.#said(message);
  }

  over(end: StreamEnd): void {
    const opening = this.#opening?.request;
    if (end.kind === 'refused') {
      opening?.refuse(end.head, end.body);
      this.end();
    } else {
      opening?.giveUp({ ...end.failure, sent: false });
      this.#conclude(end.failure);
    }
  }

  #answered(message: ResponseEnvelope): void {
    // An error whose request the server could not read has no id.
    const unread = message.failed && message.id === 'null';
    const request = unread ? this.#requests.only() : this.#requests.withId(message.id);
    // Without one it was cancelled or took too long: nobody waits for the answer any more.
    request?.answer(message.text, message.failed);
  }

  #said(message: RequestEnvelope | NotificationEnvelope): void {
    if (message.method === 'notifications/progress') {
      const token = message.params && memberText(message.text, message.params, 'progressToken');
      const request = token === undefined ? undefined : this.#requests.withToken(token);
      // A task reports also after its call was answered (2025-11-25, tasks: progress).
      (request ?? this.#listener)?.message(message.text);
      return;
    }
    const hearer = this.#requests.only() ?? this.#listener ?? this.#requests.latest();
    if (hearer) hearer.message(message.text);
    else this.#unheard.keep(message);
  }

  #handOver(give: (text: string) => void, which: 'questions' | 'all'): void {
    const kept = this.#unheard.take(which);
    if (kept.length === 0) return;
    // A receiver hears nothing before it knows what it sent.
    queueMicrotask(() => {
      for (const message of kept) give(message.text);
    });
  }

  // --- Requests and their ends --------------------------------------------------------------------------------

  #enter(
    message: RequestEnvelope,
    outbound: Outbound,
    receiver: Receiver,
    onEnd: (how: RequestEnd) => void,
    headers: AnswerHead['headers'] = {},
  ): SseRequest {
    const request = new SseRequest({
      receiver,
      headers,
      progressToken: progressTokenOf(message),
      hears: outbound.answerOnly !== true,
      onEnd: (how) => {
        this.#requests.delete(message.id);
        onEnd(how);
        if (this.#leaving && this.#requests.size === 0) this.end();
      },
    });
    this.#requests.add(message.id, request);
    return request;
  }

  /**
   * A request was taken and given up, and not one byte has come meanwhile. So looks a stream that a proxy dropped
   * in silence, and every later call would wait as long. A server that is there answers a ping.
   */
  #doubt(): void {
    if (this.#doubtTimer || this.#over) return;
    const before = this.#stream?.bytes;
    this.#tell('{"jsonrpc":"2.0","id":"mcp-router-alive","method":"ping"}');
    this.#doubtTimer = setTimeout(() => {
      this.#doubtTimer = undefined;
      if (this.#stream?.bytes !== before) return;
      this.#conclude({ kind: 'cut', cause: new Error('the stream is silent, also when pinged') });
    }, DOUBT_MS);
    this.#doubtTimer.unref();
  }

  /** Whatever runs has been sent, and its answer will not come. */
  #conclude(failure: Omit<ExchangeFailure, 'sent'>): void {
    if (this.#over) return;
    this.#over = true;
    this.#opening = undefined;
    clearTimeout(this.#doubtTimer);
    this.#unheard.take('all');
    this.#stream?.close();
    this.#onOver(this);
    const kind = failure.kind === 'garbage' ? 'garbage' : 'cut';
    for (const request of this.#requests.all()) request.giveUp({ ...failure, kind, sent: true });
    this.#listener?.end();
    this.#listener = undefined;
  }

  // --- Posting ------------------------------------------------------------------------------------------------

  #cancel(requestId: RawJson): void {
    const params = `{"requestId":${requestId},"reason":"The client does not read what comes."}`;
    this.#tell(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`);
  }

  #refuse(question: RequestEnvelope): void {
    const message = 'The client has no call running and no stream open on which it could be asked.';
    this.#tell(errorResponse(question.id, { code: -32603, message }));
  }

  #tell(text: string): void {
    if (this.#over || this.#path === undefined) return;
    const nobody = { head: () => undefined, data: () => true, end: () => undefined, fail: () => undefined };
    const outbound: Outbound = {
      method: 'POST',
      path: this.#path,
      headers: ['content-type', JSON_TYPE, ...this.#headers],
      body: text,
      firstByteTimeoutMs: TELL_TIMEOUT_MS,
      idleTimeoutMs: TELL_TIMEOUT_MS,
    };
    void new Exchange(this.#site.calls(), outbound, nobody);
  }

  #posted(outbound: Outbound): Outbound {
    return {
      ...outbound,
      path: this.#path ?? outbound.path,
      headers: without(outbound.headers, [SESSION_HEADER]),
    };
  }
}

/** Header pairs without those of these names. */
function without(headers: readonly string[], names: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const [name = '', value = ''] = headers.slice(at, at + 2);
    if (!names.includes(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}
