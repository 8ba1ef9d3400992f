import { randomUUID } from 'node:crypto';
import type { RouterError } from '../errors.ts';
import type {
  Clock,
  InstanceId,
  ItemKind,
  ParamHeader,
  Random,
  RawJson,
  RoutingTable,
  ServiceName,
  Target,
  UpstreamName,
} from '../model.ts';
import {
  EnvelopeError,
  readEnvelope,
  resultResponse,
  type NotificationEnvelope,
  type RequestEnvelope,
  type ResponseEnvelope,
} from '../relay/envelope.ts';
import { JSON_TYPE, SSE_TYPE } from '../relay/headers.ts';
import { memberText } from '../relay/json-scan.ts';
import { MODERN_VERSION, type Member } from '../relay/modern.ts';
import { SseLimitError, SseParser, type SseEvent } from '../relay/sse.ts';
import type { Done, HealthBook, Outcome } from '../routing/health-book.ts';
import { pick, type Pick } from '../routing/pick.ts';
import type { BackendSession } from '../upstream/backend-sessions.ts';
import type { Connections } from '../upstream/connections.ts';
import type { AnswerHead, ExchangeFailure, Receiver, Sending } from '../upstream/exchange.ts';
import { sessionStream } from '../upstream/listen.ts';
import { answers, judge, legacyStatus, resultOf, retryAfterMs, type CallResult } from './answer-check.ts';
import * as problem from './call-errors.ts';
import type { Answer } from '../relay/answer.ts';
import type { Bridge, BridgedCall, Caller, HeldCall, InputRequired, RunningCall, Said } from './bridge.ts';
import type { Deadlines } from './deadlines.ts';
import type { Drains } from './drains.ts';
import { HOLD_MS } from './held-calls.ts';
import { Hedge, type Attempt } from './hedge.ts';
import { withId } from './modern-result.ts';
import type { Authorized } from './authorize.ts';
import { OpenQuestions, PlayedQuestions } from './questions.ts';
import type { RetryBudget } from './retry-budget.ts';
import type { Waiter, WaitingRoom } from './waiting-room.ts';
import type { Wanted } from './sight.ts';

/** Where a client's request goes, and what of it the backend shall read. */
export interface Destination {
  /** What the rules are asked about; without, it is about a service as a whole. */
  readonly wanted?: DestinationWanted | undefined;
  readonly service: ServiceName;
  /** What is called, where a service's instances may differ on it. */
  readonly item?: { readonly kind: ItemKind; readonly key: UpstreamName };
  /** This instance and no other has what is asked for. */
  readonly only?: InstanceId;
  /** The request under the backend's own names. */
  readonly text: string;
  /** What `Mcp-Name` mirrors of the request, in the backend's own spelling. */
  readonly name?: string;
  /** Arguments that have to be mirrored into headers where the client did not. */
  readonly mirrored?: readonly ParamHeader[];
  /** It was named inside a call of `call_tool`: the client knows nothing of arguments to mirror. */
  readonly indirect?: true;
  /** What the client was asked for, as members of `params`. */
  readonly inputs?: readonly Member[];
  /** Executing it twice does no harm: it only reads, or it is idempotent. */
  readonly repeatable: boolean;
  /** Nothing changes by it, so it may also be at work twice at a time. */
  readonly onlyReads?: boolean;
  /** For metrics and audit: a canonical name, or the method. */
  readonly label: string;
  /** Names in the answer that have to be changed back. Where it is missing the answer passes untouched. */
  readonly rewrite?: ((text: string, backend: BackendSession) => string) | undefined;
  /** Told of the answer before it goes to the client. */
  readonly onAnswer?: ((failed: boolean, backend: BackendSession) => void) | undefined;
  /** Where to ask next if this one answers with an error. */
  readonly otherwise?: (() => Destination | undefined) | undefined;
}

export interface DestinationWanted extends Wanted {
  /** The arguments don't count: what may be had with some of them may be had. */
  readonly whateverArgs?: true;
  /** The answer where it is not there, or not for this caller. */
  readonly unknown: () => RouterError;
}

export interface CallPorts {
  readonly connections: Connections;
  readonly book: HealthBook;
  readonly deadlines: Deadlines;
  readonly budget: RetryBudget;
  readonly waiting: WaitingRoom;
  readonly drains: Drains;
  readonly limits: CallLimits;
  /** Silence on a client's stream after which it gets a comment. */
  readonly keepAliveMs: number;
  readonly now: Clock;
  readonly random: Random;
  readonly observer: CallObserver;
}

/** All in milliseconds; 0: no limit, and for `hedgeAfterMs` never. */
export interface CallLimits {
  /** From the request to the first byte of an instance's answer. */
  readonly firstByteMs: number;
  /** Of the call with all its attempts. */
  readonly totalMs: number;
  /** Of a wait for room at an instance. */
  readonly queueMs: number;
  readonly hedgeAfterMs: number;
}

export interface CallObserver {
  /** Told once about every call. */
  callEnded(call: CallEnd): void;
  /** A request could have been sent again, but too many were already. */
  retryDenied?(service: ServiceName): void;
  hedgeEnded?(service: ServiceName, result: 'won' | 'lost'): void;
}

export interface CallEnd {
  readonly method: string;
  readonly label: string;
  readonly service: ServiceName;
  /** The last one tried. */
  readonly instance: InstanceId | undefined;
  readonly result: CallResult;
  readonly attempts: number;
  readonly durationMs: number;
  readonly caller: Caller;
  /** Why the last attempt that failed did. */
  readonly trouble: string | undefined;
}

/** How often a request may be sent. */
const MAX_ATTEMPTS = 3;
/** How many instances may be tried in vain; those that could not be reached cost next to nothing. */
const MAX_TRIES = 10;
/** Of an answer that is no MCP answer; enough for a JSON-RPC error. */
const MAX_REFUSAL_BYTES = 64 * 1024;
const MAX_EVENT_BYTES = 64 * 1024 * 1024;
/** Before a lost stream is opened again, where the backend does not say. */
const RESUME_MS = 500;

/** A person who is asked needs time. */
const QUESTION_MS = 10 * 60_000;
/** Rounds of questions before a call is answered; more is a server that asks for ever. */
const MAX_ROUNDS = 32;

type Body = 'none' | 'json' | 'sse' | 'refusal';

/**
 * One request of a client, from the pick to the last byte of the answer: **the hot path**. It tries instances
 * until one takes the request, streams the answer back as it comes, and ends exactly once.
 *
 * What is safe to repeat (docs/architecture.md): nothing was sent; the backend said that it does not know the
 * session; or the request only reads or is idempotent, and nothing of an answer has reached the client.
 */
export class Call implements Receiver, RunningCall, BridgedCall, HeldCall, Waiter {
  readonly #ports: CallPorts;
  readonly #table: RoutingTable;
  readonly #caller: Caller;
  readonly request: RequestEnvelope;
  #to: Authorized;
  #answer: Answer;
  readonly #startedAt: number;
  readonly #timeoutMs: number;

  // The present attempt.
  #target: Target | undefined;
  #done: Done | undefined;
  #sentAt: number | undefined;
  #bridge: Bridge | undefined;
  #backend: BackendSession | undefined;
  #exchange: Sending | undefined;
  #head: AnswerHead | undefined;
  #body: Body = 'none';
  #held: Buffer[] = [];
  #heldBytes = 0;
  #parser: SseParser | undefined;
  /** Where the backend's event stream can be taken up again (2025-11-25, transports: resumability). */
  #lastEventId: string | undefined;
  #retryMs: number | undefined;
  /** The stream was lost and is opened again: the request itself is not sent any more. */
  #resumed = false;

  // The whole call.
  #attempts = 0;
  /** Attempts whose request was out when they failed. */
  #broke = 0;
  readonly #tried = new Set<InstanceId>();
  #renewed = false;
  #lastError: RouterError | undefined;
  /** Waits for room at an instance. */
  #waitingSince: number | undefined;
  #hedge: Hedge | undefined;
  #hedgeTimer: NodeJS.Timeout | undefined;
  /** Asked in a result (2026-07-28, MRTR): the call waits for the client's next request. */
  #open: OpenQuestions | undefined;
  #heldSince: number | undefined;
  /** The end that came while the call was held. */
  #pending: (() => void) | undefined;
  /** The client's latest request; its answer bears this id. */
  #clientId: RawJson;
  /** Asked on the client's stream, for a backend that does not wait meanwhile. */
  #played: PlayedQuestions | undefined;
  #rounds = 0;
  /** A message of an answer has reached the client: nothing can be repeated any more. */
  #forwarded = false;
  #clientKeepsUp = true;
  #over = false;
  #lastSignAt: number;

  constructor(
    ports: CallPorts,
    table: RoutingTable,
    caller: Caller,
    request: RequestEnvelope,
    to: Authorized,
    answer: Answer,
  ) {
    this.#ports = ports;
    this.#table = table;
    this.#caller = caller;
    this.request = request;
    this.#clientId = request.id;
    this.#to = to;
    this.#answer = answer;
    this.#startedAt = ports.now();
    this.#lastSignAt = this.#startedAt;
    this.#timeoutMs = table.services.get(to.service)?.settings.timeoutMs ?? 60_000;
  }

  get service(): ServiceName {
    return this.#to.service;
  }

  get at(): InstanceId | undefined {
    return this.#target?.instance.id;
  }

  start(): void {
    this.#caller.began(this.request.id, this);
    this.#ports.deadlines.add(this);
    this.#ports.budget.earn(this.#to.service);
    this.#watchClient();
    this.#attempt();
  }

  /** In the stateless era, hanging up is cancelling; in the session era it is not. */
  #watchClient(): void {
    if (this.#caller.era === 'legacy') return;
    const answer = this.#answer;
    answer.onGone(() => {
      if (answer === this.#answer) this.cancel(undefined);
    });
  }

  /** Picks an instance and sends the request, waits for room, or gives up. */
  #attempt(): void {
    const { service } = this.#to;
    const picked = this.#pick(this.#tried);
    if (picked.kind !== 'full') this.#go(picked);
    else if (this.#ports.waiting.join(service, this)) this.#waitingSince = this.#ports.now();
    else this.#fail(problem.full(service, 0));
  }

  tryNow(): boolean {
    const picked = this.#pick(this.#tried);
    if (picked.kind === 'full') return false;
    this.#waitingSince = undefined;
    this.#go(picked);
    return true;
  }

  #stopWaiting(): void {
    if (this.#waitingSince === undefined) return;
    this.#waitingSince = undefined;
    this.#ports.waiting.leave(this.#to.service, this);
  }

  #pick(except: ReadonlySet<InstanceId>): Pick {
    const { service, item, only } = this.#to;
    const stateful = this.#table.services.get(service)?.settings.session !== 'stateless';
    const pinned = only ?? (stateful ? this.#caller.pinned(service) : undefined);
    const { affinity } = this.#caller;
    return pick(
      this.#table,
      {
        service,
        except,
        ...(item && { item }),
        ...(only !== undefined && { only }),
        ...(affinity !== undefined && { affinity }),
        ...(pinned !== undefined && { pinned }),
      },
      this.#ports.book,
      this.#ports.random,
    );
  }

  #go(picked: Exclude<Pick, { kind: 'full' }>): void {
    const { service } = this.#to;
    if (picked.kind === 'resting') {
      this.#fail(this.#lastError ?? problem.resting(service, picked.retryAfterMs));
      return;
    }
    if (picked.kind !== 'picked') {
      this.#fail(this.#lastError ?? problem.nobody(service, picked));
      return;
    }
    this.#attempts++;
    this.#target = picked.target;
    this.#done = picked.done;
    const bridge = this.#caller.bridge(picked.target, this.#to, this);
    this.#bridge = bridge;
    const ready = bridge.ready();
    if (ready) this.#send(bridge, ready);
    else void this.#openFirst(bridge);
    this.#hedgeLater();
  }

  // --- A second attempt beside the first (hedging) ---------------------------------------------------------

  #hedgeLater(): void {
    const { hedgeAfterMs } = this.#ports.limits;
    if (hedgeAfterMs === 0 || this.#hedgeTimer || this.#over) return;
    const { onlyReads, only, service } = this.#to;
    const stateless = this.#table.services.get(service)?.settings.session === 'stateless';
    if (onlyReads !== true || only !== undefined || !stateless) return;
    this.#hedgeTimer = setTimeout(() => this.#hedgeNow(), hedgeAfterMs).unref();
  }

  #hedgeNow(): void {
    const target = this.#target;
    const { budget, connections, now, observer } = this.#ports;
    const { service } = this.#to;
    if (this.#over || this.#head || this.#waitingSince !== undefined || !target) return;
    const picked = this.#pick(new Set([...this.#tried, target.instance.id]));
    if (picked.kind !== 'picked') return;
    if (!budget.spend(service)) {
      picked.done('abandoned');
      return;
    }
    this.#hedge = new Hedge({
      connections,
      target: picked.target,
      done: picked.done,
      bridge: this.#caller.bridge(picked.target, this.#to, this),
      forwarded: this.#answer.forwarded,
      now,
      onWin: (hedge, attempt) => {
        this.#cancelAtBackend('"another instance was faster"' as RawJson);
        this.#settle('abandoned');
        this.#takeOver(hedge, attempt);
        observer.hedgeEnded?.(service, 'won');
        return this;
      },
      onLost: () => {
        this.#hedge = undefined;
        observer.hedgeEnded?.(service, 'lost');
        this.#ports.waiting.freed(service);
      },
    });
    this.#hedge.start();
  }

  /** The hedge is the call's attempt from now on. */
  #takeOver(hedge: Hedge, attempt: Attempt): void {
    hedge.handTo(this);
    this.#hedge = undefined;
    this.#stopWaiting();
    this.#target = attempt.target;
    this.#done = attempt.done;
    this.#bridge = attempt.bridge;
    this.#backend = attempt.backend;
    this.#exchange = attempt.exchange;
    this.#sentAt = attempt.sentAt;
    this.#head = undefined;
    this.#body = 'none';
    this.#held = [];
    this.#heldBytes = 0;
  }

  #dropHedge(): void {
    clearTimeout(this.#hedgeTimer);
    const hedge = this.#hedge;
    if (!hedge) return;
    this.#hedge = undefined;
    hedge.drop('"another instance was faster"' as RawJson);
    this.#ports.observer.hedgeEnded?.(this.#to.service, 'lost');
    this.#ports.waiting.freed(this.#to.service);
  }

  async #openFirst(bridge: Bridge): Promise<void> {
    let backend: BackendSession;
    try {
      backend = await bridge.open();
    } catch (error) {
      // Whatever happened, nothing of the call itself was sent.
      this.#elsewhere(problem.noSession(this.#to.service, error), 'failed');
      return;
    }
    if (this.#over) bridge.release?.();
    else this.#send(bridge, backend);
  }

  #send(bridge: Bridge, backend: BackendSession): void {
    this.#backend = backend;
    this.#sentAt = this.#ports.now();
    this.#head = undefined;
    this.#body = 'none';
    this.#held = [];
    this.#heldBytes = 0;
    const { endpoint } = backend.instance;
    const { headers, body } = bridge.outgoing(backend, this.#answer.forwarded);
    this.#exchange = this.#ports.connections.send(
      endpoint,
      {
        method: 'POST',
        path: endpoint.path,
        headers,
        body,
        // Deadlines are kept here: progress resets them, a keep-alive comment does not.
        firstByteTimeoutMs: 0,
        idleTimeoutMs: 0,
      },
      this,
    );
  }

  // --- Receiver: what the backend answers -----------------------------------------------------------------

  head(head: AnswerHead): void {
    this.#head = head;
    if (!this.#resumed) this.#lastSignAt = this.#ports.now();
    if (head.status === 200 && head.mediaType === JSON_TYPE) this.#body = 'json';
    else if (head.status === 200 && head.mediaType === SSE_TYPE) this.#beginEvents();
    else this.#body = 'refusal';
    if (this.#body !== 'refusal') this.#dropHedge();
  }

  data(chunk: Buffer): boolean {
    switch (this.#body) {
      case 'json':
        return this.#jsonData(chunk);
      case 'sse':
        return this.#eventData(chunk);
      case 'refusal':
      case 'none':
        if (this.#heldBytes < MAX_REFUSAL_BYTES) this.#hold(chunk);
        return true;
    }
  }

  end(): void {
    if (this.#over || this.#pending) return;
    switch (this.#body) {
      case 'json':
        this.#jsonEnd();
        return;
      case 'sse':
        // The answer would have ended the call. A server may end the connection and be asked again.
        if (this.#comeBack('ended')) return;
        this.#broken(problem.cut(this.#to.service, this.#nature), 'failed');
        return;
      case 'refusal':
      case 'none':
        this.#refused();
    }
  }

  fail(failure: ExchangeFailure): void {
    if (this.#over || this.#pending || failure.kind === 'aborted') return;
    if (this.#comeBack('cut')) return;
    if (failure.sent) this.#broken(problem.failed(this.#to.service, failure, this.#nature), 'failed');
    else this.#elsewhere(problem.unreachable(this.#to.service), 'failed');
  }

  // --- A JSON answer: passed on as it comes; one that arrives whole goes out in one write -----------------

  #jsonData(chunk: Buffer): boolean {
    this.#lastSignAt = this.#ports.now();
    // What has to be read goes out whole, and so does an answer to a stream that an earlier attempt began.
    if (this.#answer.streaming || this.#reads) {
      this.#hold(chunk);
      return true;
    }
    if (this.#forwarded) return this.#keepingUp(this.#answer.write(chunk));
    if (this.#held.length === 0) {
      this.#hold(chunk);
      return true;
    }
    this.#forwarded = true;
    this.#answer.beginJson(this.#head?.contentLength);
    for (const held of this.#held) this.#answer.write(held);
    this.#held = [];
    return this.#keepingUp(this.#answer.write(chunk));
  }

  #jsonEnd(): void {
    if (this.#forwarded && !this.#answer.streaming) {
      this.#answer.end();
      this.#finish('answered', 'ok');
      return;
    }
    const [first] = this.#held;
    const whole = this.#held.length === 1 && first ? first : Buffer.concat(this.#held);
    if (!answers(whole, this.request.id)) {
      this.#broken(problem.garbage(this.#to.service), 'failed');
      return;
    }
    this.#deliver(whole);
  }

  /** The answer has to be read before it goes to the client. */
  get #reads(): boolean {
    const { rewrite, onAnswer, otherwise } = this.#to;
    return (rewrite ?? onAnswer ?? otherwise ?? this.#bridge?.answer) !== undefined;
  }

  /** The backend's answer, whole and with the right id. */
  #deliver(whole: Buffer | string, status = 200): void {
    if (this.#waits(() => this.#deliver(whole, status))) return;
    const result = resultOf(whole);
    const next = result === 'rpc-error' && !this.#forwarded ? this.#to.otherwise?.() : undefined;
    if (next) {
      this.#redirect(next);
      return;
    }
    const backend = this.#backend;
    let text: Buffer | string = whole;
    if (backend && this.#reads) {
      this.#to.onAnswer?.(result === 'rpc-error', backend);
      text = whole.toString();
      if (this.#bridge?.answer) {
        const bridged = this.#bridge.answer(text, backend);
        if (bridged.kind === 'ask') {
          this.#play(bridged.inputs);
          return;
        }
        text = bridged.text;
      }
      if (this.#to.rewrite) text = this.#to.rewrite(text, backend);
    }
    if (this.#clientId !== this.request.id) text = withId(text.toString(), this.#clientId);
    if (this.#answer.streaming) {
      this.#answer.event(text.toString());
      this.#answer.end();
    } else {
      this.#answer.send(status, text);
    }
    this.#finish('answered', result);
  }

  /** The one that was asked does not have it; the next may. */
  #redirect(next: Authorized): void {
    this.#settle('answered');
    this.#to = next;
    this.#attempts = 0;
    this.#broke = 0;
    this.#tried.clear();
    this.#renewed = false;
    this.#attempt();
  }

  // --- What the client is asked on the way (design: each edge on its own) ----------------------------------

  heard(message: RequestEnvelope | NotificationEnvelope, backend: BackendSession): void {
    if (!this.#over && this.#bridge) this.#said(this.#bridge.message(message, backend));
    this.#answer.flush();
  }

  #said(said: Said): void {
    switch (said.kind) {
      case 'nothing':
        return;
      case 'event':
        // While the client has no request open there is nowhere to put it.
        if (this.#heldSince !== undefined || !this.#answer.takesStream) return;
        this.#forwarded = true;
        this.#answer.beginStream();
        this.#answer.event(said.text);
        return;
      case 'question':
        this.#open ??= new OpenQuestions();
        this.#open.add(said.question);
        // Servers ask several things at once: those that come together are put together.
        queueMicrotask(() => this.#askInResult());
    }
  }

  /** Answers the client's request with the questions; its next request brings what it says. */
  #askInResult(): void {
    if (this.#over || this.#heldSince !== undefined || !this.#open || this.#open.size === 0) return;
    const state = this.#caller.hold?.(this);
    if (state === undefined) return;
    this.#heldSince = this.#ports.now();
    // Whatever comes now, the call has begun to act.
    this.#forwarded = true;
    const text = resultResponse(this.#clientId, this.#open.result(state));
    if (this.#answer.streaming) {
      this.#answer.event(text);
      this.#answer.end();
    } else {
      this.#answer.send(200, text);
    }
  }

  /** The client's next request, with what it was asked for. */
  resume(request: RequestEnvelope, answer: Answer): void {
    this.#heldSince = undefined;
    this.#clientId = request.id;
    this.#answer = answer;
    this.#lastSignAt = this.#ports.now();
    this.#watchClient();
    const responses = request.params && memberText(request.text, request.params, 'inputResponses');
    for (const { id, result } of this.#open?.answer(responses) ?? []) {
      if (this.#backend) this.#bridge?.reply?.(this.#backend, id, `"result":${result}`);
    }
    if (this.#pending) this.#pending();
    else this.#askInResult();
  }

  /** The end comes while nobody is there to take it: it is kept for the client's next request. */
  #waits(end: () => void): boolean {
    if (this.#heldSince === undefined) return false;
    this.#settle('answered');
    this.#pending ??= () => {
      this.#pending = undefined;
      end();
    };
    return true;
  }

  /** A stateless backend wants to know something first: asked on the stream, then the call is made again. */
  #play(inputs: InputRequired): void {
    if (++this.#rounds > MAX_ROUNDS) {
      this.#fail(problem.asksForEver(this.#to.service), 'answered');
      return;
    }
    if (inputs.requests.length > 0 && !this.#answer.takesStream) {
      this.#fail(problem.cannotAsk(this.#to.service), 'answered');
      return;
    }
    this.#settle('answered');
    this.#played = new PlayedQuestions(inputs, `mcp-router/ask/${randomUUID()}`);
    if (this.#played.complete) {
      this.#playedOut(this.#played);
      return;
    }
    this.#forwarded = true;
    this.#answer.beginStream();
    for (const event of this.#played.events) this.#answer.event(event);
    this.#answer.flush();
  }

  answered(response: ResponseEnvelope): boolean {
    this.#lastSignAt = this.#ports.now();
    const played = this.#played;
    const taken = played?.take(response) ?? 'foreign';
    if (!played || taken === 'foreign') return false;
    if (taken === 'refused') this.#fail(problem.notAnswered(this.#to.service));
    else if (played.complete) this.#playedOut(played);
    return true;
  }

  #playedOut(played: PlayedQuestions): void {
    this.#played = undefined;
    this.#redirect({ ...this.#to, inputs: played.inputs() });
  }

  // --- An event stream: each message passed on at once, until the answer ----------------------------------

  #beginEvents(): void {
    this.#body = 'sse';
    this.#parser = new SseParser((event) => this.#event(event), MAX_EVENT_BYTES);
    if (this.#answer.takesStream) this.#answer.beginStream();
  }

  #eventData(chunk: Buffer): boolean {
    try {
      this.#parser?.push(chunk);
    } catch (error) {
      if (!(error instanceof EnvelopeError || error instanceof SseLimitError)) throw error;
      this.#exchange?.abort();
      this.#broken(problem.garbage(this.#to.service), 'failed');
    }
    return this.#keepingUp(this.#over || this.#answer.flush());
  }

  #event({ data, id, retry }: SseEvent): void {
    if (id !== undefined) this.#lastEventId = id;
    if (retry !== undefined) this.#retryMs = retry;
    // An event without data primes a client for resuming (2025-11-25, transports).
    if (this.#over || data === undefined || data === '') return;
    const message = readEnvelope(data);
    this.#lastSignAt = this.#ports.now();
    if (message.kind !== 'response') {
      if (this.#backend && this.#bridge) this.#said(this.#bridge.message(message, this.#backend));
      return;
    }
    if (message.id === this.request.id) this.#deliver(data);
  }

  /**
   * Takes the backend's stream up where it ended, after the pause that the backend wished for. Where it was the
   * backend that ended it, the client's connection is ended, too: the backend does not want it held.
   * @returns false where the backend gave no ids for that
   */
  #comeBack(lost: 'ended' | 'cut'): boolean {
    const streamed = this.#body === 'sse' || this.#resumed;
    if (!streamed || this.#lastEventId === undefined || this.#backend?.id === undefined) return false;
    this.#resumed = true;
    if (lost === 'ended') this.#answer.suspend();
    const pauseMs = this.#retryMs ?? RESUME_MS * (0.5 + this.#ports.random());
    setTimeout(() => this.#takeUp(), pauseMs).unref();
    return true;
  }

  #takeUp(): void {
    const backend = this.#backend;
    if (this.#over || !backend) return;
    const { endpoint } = backend.instance;
    this.#body = 'none';
    this.#exchange = this.#ports.connections.stream(
      endpoint,
      {
        ...sessionStream(backend)(this.#lastEventId),
        path: endpoint.path,
        firstByteTimeoutMs: 0,
        idleTimeoutMs: 0,
      },
      this,
    );
  }

  // --- Any other answer ------------------------------------------------------------------------------------

  #refused(): void {
    const head = this.#head;
    const backend = this.#backend;
    if (!head || !backend) return;
    if (this.#resumed) {
      if (head.status >= 500 || head.status === 429) this.#comeBack('cut');
      else this.#fail(problem.cut(this.#to.service, { ...this.#nature, repeatable: false }));
      return;
    }
    const text = Buffer.concat(this.#held).toString();
    const restMs = retryAfterMs(head);
    if (restMs !== undefined) {
      this.#ports.book.rest(backend.instance.id, restMs);
    }
    const verdict = judge(head, text, {
      service: this.#to.service,
      inSession: backend.id !== undefined,
      stateless: backend.protocolVersion === MODERN_VERSION,
    });
    switch (verdict.kind) {
      case 'session-unknown':
        this.#bridge?.forget(backend);
        if (this.#renewed) this.#elsewhere(verdict.error, 'failed');
        else this.#renew();
        return;
      case 'backend-error':
        // The backend's own words about this request; that it can say them shows that it is well.
        if (restMs !== undefined) this.#answer.setHeader('retry-after', String(Math.ceil(restMs / 1000)));
        // A session-era client takes some of them for the end of its session.
        this.#deliver(text, this.#caller.era === 'modern' ? head.status : legacyStatus(head.status));
        return;
      case 'failed':
        // It says when it will be well: that is no reason to eject it.
        this.#broken(verdict.error, restMs === undefined ? 'failed' : 'abandoned');
    }
  }

  /** The backend lost the session (a restart): the same instance again, in a new one. */
  #renew(): void {
    this.#renewed = true;
    this.#settle('answered');
    this.#attempt();
  }

  get #nature(): problem.Broken {
    return { repeatable: this.#to.repeatable, stateful: this.#stateful };
  }

  get #stateful(): boolean {
    return this.#table.services.get(this.#to.service)?.settings.session !== 'stateless';
  }

  // --- How attempts and the call end -----------------------------------------------------------------------

  /** The attempt may have been executed. Repeats it where that does no harm. */
  #broken(error: RouterError, outcome: Outcome): void {
    if (this.#over) return;
    const { budget, observer } = this.#ports;
    if (!this.#to.repeatable || this.#forwarded) this.#fail(error, outcome);
    else if (++this.#broke >= MAX_ATTEMPTS) this.#fail(error, outcome);
    else if (this.#hedge || budget.spend(this.#to.service)) {
      this.#elsewhere(error, outcome);
    } else {
      observer.retryDenied?.(this.#to.service);
      this.#fail(error, outcome);
    }
  }

  /** The attempt may safely be made at another instance. */
  #elsewhere(error: RouterError, outcome: Outcome): void {
    if (this.#over) return;
    this.#lastError = error;
    if (this.#target) this.#tried.add(this.#target.instance.id);
    this.#settle(outcome);
    const attempt = this.#hedge?.promote();
    if (this.#hedge && attempt) this.#takeOver(this.#hedge, attempt);
    else if (this.#attempts < MAX_TRIES) this.#attempt();
    else this.#fail(error);
  }

  #fail(error: RouterError, outcome: Outcome = 'failed'): void {
    if (this.#over || this.#waits(() => this.#fail(error, outcome))) return;
    this.#lastError = error;
    this.#answer.fail(this.#clientId, error);
    this.#finish(outcome, error.code);
  }

  #settle(outcome: Outcome): void {
    const done = this.#done;
    done?.(outcome, this.#sentAt);
    this.#done = undefined;
    this.#sentAt = undefined;
    if (this.#heldSince === undefined) this.#bridge?.release?.();
    if (done) this.#ports.waiting.freed(this.#to.service);
  }

  #finish(outcome: Outcome, result: CallResult): void {
    this.#over = true;
    this.#dropHedge();
    this.#stopWaiting();
    this.#settle(outcome);
    this.#held = [];
    this.#caller.ended(this.request.id, this);
    this.#ports.deadlines.delete(this);
    this.#ports.observer.callEnded({
      method: this.request.method,
      label: this.#to.label,
      service: this.#to.service,
      instance: this.#target?.instance.id,
      result,
      attempts: this.#attempts,
      durationMs: this.#ports.now() - this.#startedAt,
      caller: this.#caller,
      trouble: this.#lastError?.message,
    });
  }

  // --- Endings from our side ---------------------------------------------------------------------------------

  /** The client does not want the answer any more; after this it gets nothing (2025-11-25, cancellation). */
  cancel(reason: RawJson | undefined): void {
    if (this.#over) return;
    this.#cancelAtBackend(reason);
    this.#heldSince = undefined;
    this.#answer.beginStream();
    this.#answer.end();
    this.#finish('abandoned', 'cancelled');
  }

  /** Called by the deadlines now and then. */
  checkDeadline(now: number): void {
    if (this.#over) return;
    this.#answer.keepAlive(now, this.#ports.keepAliveMs);
    if (this.#heldSince !== undefined) {
      if (now - this.#heldSince > HOLD_MS) this.cancel('"the client did not answer"' as RawJson);
      return;
    }
    const { service } = this.#to;
    const { firstByteMs, totalMs, queueMs } = this.#ports.limits;
    if (this.#waitingSince !== undefined && now - this.#waitingSince >= queueMs) {
      this.#fail(problem.full(service, now - this.#waitingSince));
      return;
    }
    if (totalMs > 0 && now - this.#startedAt > totalMs) {
      this.#cancelAtBackend('"timed out"' as RawJson);
      this.#fail(problem.tookTooLong(service, totalMs), 'abandoned');
      return;
    }
    if (this.#target && this.#ports.drains.isOver(this.#target.instance, now)) {
      this.#cancelAtBackend('"the instance is taken out of service"' as RawJson);
      this.#broken(problem.drained(service, this.#to.repeatable), 'abandoned');
      return;
    }
    const asked = this.#played !== undefined || this.#caller.asked(service);
    if (firstByteMs > 0 && !asked && this.#firstByteOverdue(now, firstByteMs)) {
      this.#cancelAtBackend('"timed out"' as RawJson);
      this.#broken(problem.noFirstByte(service, firstByteMs), 'timed-out');
      return;
    }
    if (now - this.#lastSignAt <= (asked ? QUESTION_MS : this.#timeoutMs)) return;
    this.#cancelAtBackend('"timed out"' as RawJson);
    this.#fail(problem.timedOut(this.#to.service, this.#timeoutMs), 'timed-out');
  }

  #firstByteOverdue(now: number, limitMs: number): boolean {
    const sentAt = this.#sentAt;
    return sentAt !== undefined && !this.#head && !this.#resumed && now - sentAt > limitMs;
  }

  #cancelAtBackend(reason: RawJson | undefined): void {
    this.#exchange?.abort();
    if (this.#backend) this.#bridge?.cancel(this.#backend, reason);
  }

  #hold(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
  }

  /** Holds the backend back while the client is slower. */
  #keepingUp(ok: boolean): boolean {
    if (!ok && this.#clientKeepsUp && !this.#answer.gone) {
      this.#clientKeepsUp = false;
      this.#answer.onceDrained(() => {
        this.#clientKeepsUp = true;
        this.#exchange?.resume();
      });
    }
    return this.#clientKeepsUp;
  }
}
