import { RouterError } from '../errors.ts';
import {
  errorResponse,
  replaceMember,
  resultResponse,
  type Envelope,
  type NotificationEnvelope,
  type RequestEnvelope,
  type ResponseEnvelope,
} from '../relay/envelope.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import { memberString } from '../relay/json-scan.ts';
import type { Child } from './child.ts';
import { brokenOff, tooLong, type Health, type Host, type Opened } from './host.ts';
import { InFlight } from './in-flight.ts';
import { introduce, listsOf, ownInitialize, type ClientInfo } from './introduction.ts';
import { Pulse } from './pulse.ts';
import { SharedSession, type SharedChild } from './shared-session.ts';
import { Supervisor, type SupervisorOptions } from './supervisor.ts';
import { isLevel, Wishes, type Level } from './wishes.ts';

export interface SharedHostOptions extends Omit<
  SupervisorOptions,
  'onStart' | 'onMessage' | 'onLost' | 'onExit'
> {
  readonly clientInfo: ClientInfo;
  readonly initializeTimeoutMs: number;
}

/**
 * One child for all sessions. It is initialized once, by us and with no client capabilities: a second
 * `initialize` breaks some servers, and with many clients behind it nobody could say whom it asks. Request ids
 * and progress tokens are made anew, so that clients may all use 1.
 */
export class SharedHost implements Host, SharedChild {
  readonly #options: SharedHostOptions;
  readonly #supervisor: Supervisor;
  readonly #sessions = new Set<SharedSession>();
  readonly #inFlight: InFlight;
  readonly #wishes = new Wishes<SharedSession>();
  readonly #pulse: Pulse;
  /** The log level that the child was told last. */
  #level: Level | undefined;
  /** The child's answer to `initialize`; undefined while it is not up. */
  #initialized: ResponseEnvelope | undefined;
  #everUp = false;
  /** Why it is not up. */
  #reason = 'is starting';

  constructor(options: SharedHostOptions) {
    this.#options = options;
    this.#supervisor = new Supervisor({
      ...options,
      onStart: (child) => this.#greet(child),
      onMessage: (message) => this.#hear(message),
      onLost: (id) => this.#inFlight.lost(id, tooLong(options.limits.maxLineBytes)),
      onExit: (reason) => this.#lost(reason),
    });
    this.#inFlight = new InFlight(
      (text) => this.#supervisor.child?.send(text) ?? true,
      options.limits.keepAliveMs,
    );
    this.#pulse = new Pulse({
      ping: () => new Promise((resolve) => this.#ask('ping', undefined, resolve)),
      busy: () => this.running > 0,
      limits: options.limits,
      now: options.now,
    });
  }

  start(): void {
    this.#supervisor.start();
  }

  async health(): Promise<Health> {
    if (!this.#initialized) return { kind: 'down', reason: this.#reason };
    return this.#pulse.check();
  }

  get running(): number {
    return this.#inFlight.running;
  }

  // eslint-disable-next-line typescript/require-await -- the other host has to wait for a child
  async open(request: RequestEnvelope): Promise<Opened> {
    const initialized = this.#up();
    const session = new SharedSession(this);
    this.#sessions.add(session);
    return { kind: 'opened', session, response: introduce(initialized, request) };
  }

  async stop(): Promise<void> {
    await this.#supervisor.stop();
    this.#inFlight.failAll(new RouterError('DRAINING', 'The server is shutting down.'));
  }

  busy(session: SharedSession): boolean {
    return this.#inFlight.busy(session);
  }

  request(session: SharedSession, request: RequestEnvelope, answer: HttpAnswer): void {
    this.#up();
    switch (request.method) {
      case 'logging/setLevel':
        this.#setLevel(session, request, answer);
        return;
      case 'resources/subscribe':
        this.#subscribe(session, request, answer);
        return;
      case 'resources/unsubscribe':
        this.#unsubscribe(session, request, answer);
        return;
      default:
        this.#inFlight.forward(session, request, answer);
    }
  }

  tell(session: SharedSession, message: Exclude<Envelope, RequestEnvelope>): void {
    // The child was greeted once, has no roots of clients, and asks nothing that a client could answer.
    if (message.kind === 'notification' && message.method === 'notifications/cancelled') {
      this.#inFlight.cancelled(session, message);
    }
  }

  close(session: SharedSession, error: RouterError): void {
    this.#sessions.delete(session);
    this.#inFlight.abandon(session, error);
    for (const uri of this.#wishes.forget(session)) this.#ask('resources/unsubscribe', { uri });
    this.#adjustLevel();
  }

  /** @throws {RouterError} while the child is not up. */
  #up(): ResponseEnvelope {
    if (this.#initialized) return this.#initialized;
    throw new RouterError(
      'NO_HEALTHY_INSTANCE',
      `The server is not up: it ${this.#reason}. Try again in a moment.`,
      { retryAfterMs: 1000 },
    );
  }

  // What sessions want to hear.

  #setLevel(session: SharedSession, request: RequestEnvelope, answer: HttpAnswer): void {
    const level = request.params && memberString(request.text, request.params, 'level');
    if (!isLevel(level)) {
      // The child refuses it in its own words.
      this.#inFlight.forward(session, request, answer);
      return;
    }
    const before = this.#wishes.levelOf(session);
    this.#wishes.setLevel(session, level);
    const wanted = this.#wishes.wantedLevel ?? level;
    if (wanted === this.#level) {
      answer.send(200, resultResponse(request.id, '{}'));
      return;
    }
    this.#inFlight.forward(session, request, answer, {
      edit: replaceMember(request.params, 'level', JSON.stringify(wanted)),
      answered: (succeeded) => {
        if (succeeded) this.#level = wanted;
        else this.#wishes.setLevel(session, before);
      },
    });
  }

  #subscribe(session: SharedSession, request: RequestEnvelope, answer: HttpAnswer): void {
    const uri = request.params && memberString(request.text, request.params, 'uri');
    if (uri !== undefined && !this.#wishes.subscribe(session, uri)) {
      answer.send(200, resultResponse(request.id, '{}'));
      return;
    }
    this.#inFlight.forward(session, request, answer, {
      answered: (succeeded) => {
        if (uri === undefined) return;
        if (succeeded) this.#wishes.confirm(uri);
        else this.#wishes.unsubscribe(session, uri);
      },
    });
  }

  #unsubscribe(session: SharedSession, request: RequestEnvelope, answer: HttpAnswer): void {
    const uri = request.params && memberString(request.text, request.params, 'uri');
    if (uri === undefined || this.#wishes.unsubscribe(session, uri)) {
      this.#inFlight.forward(session, request, answer);
    } else answer.send(200, resultResponse(request.id, '{}'));
  }

  /** The child talks no more than somebody wants. */
  #adjustLevel(): void {
    const level = this.#wishes.wantedLevel;
    if (level === undefined || level === this.#level || !this.#initialized) return;
    this.#level = level;
    this.#ask('logging/setLevel', { level });
  }

  // The child's life.

  #greet(child: Child): void {
    const { initializeTimeoutMs, clientInfo } = this.#options;
    const giveUp = (): void => this.#supervisor.giveUpOn(child, 'did not answer initialize in time');
    const timer = setTimeout(giveUp, initializeTimeoutMs);
    this.#inFlight.ask(
      (id) => ownInitialize(id, clientInfo),
      (response) => {
        clearTimeout(timer);
        if (response) this.#greeted(response, child);
      },
    );
  }

  #greeted(response: ResponseEnvelope, child: Child): void {
    if (response.failed) {
      this.#options.log.error('the server refused initialize', { answer: response.text.slice(0, 500) });
      this.#supervisor.giveUpOn(child, 'refused initialize');
      return;
    }
    this.#initialized = response;
    this.#supervisor.proven();
    child.send('{"jsonrpc":"2.0","method":"notifications/initialized"}');
    if (this.#everUp) this.#replay(response);
    this.#everUp = true;
  }

  /** A new process knows nothing of what the sessions had asked the old one, and may offer something else. */
  #replay(initialized: ResponseEnvelope): void {
    this.#adjustLevel();
    for (const uri of this.#wishes.uris) this.#ask('resources/subscribe', { uri });
    for (const list of listsOf(initialized)) {
      this.#broadcast(`{"jsonrpc":"2.0","method":"notifications/${list}/list_changed"}`);
    }
  }

  #lost(reason: string): void {
    this.#initialized = undefined;
    this.#level = undefined;
    this.#reason = reason;
    this.#inFlight.failAll(brokenOff(reason));
  }

  #ask(method: string, params: unknown, answered: () => void = () => undefined): void {
    this.#inFlight.ask((id) => JSON.stringify({ jsonrpc: '2.0', id, method, params }), answered);
  }

  // What the child says.

  #hear(message: Envelope): void {
    this.#pulse.heard();
    if (message.kind === 'response') this.#inFlight.response(message);
    else if (message.kind === 'notification') this.#notification(message);
    else this.#refuse(message);
  }

  #refuse(request: RequestEnvelope): void {
    const answer =
      request.method === 'ping'
        ? resultResponse(request.id, '{}')
        : errorResponse(request.id, {
            code: -32601,
            message: 'Many clients share this server, so none can be asked. Run it with --per-session.',
          });
    this.#supervisor.child?.send(answer);
  }

  #notification(message: NotificationEnvelope): void {
    const { text, params } = message;
    switch (message.method) {
      case 'notifications/progress':
        this.#inFlight.progress(message);
        return;
      case 'notifications/message': {
        const level = params && memberString(text, params, 'level');
        for (const session of this.#sessions) if (this.#wishes.hears(session, level)) session.send(text);
        return;
      }
      case 'notifications/resources/updated': {
        const uri = params && memberString(text, params, 'uri');
        if (uri !== undefined) for (const session of this.#wishes.listeners(uri)) session.send(text);
        return;
      }
      // A task id opens the task to whoever knows it (2025-11-25, tasks: security); clients poll anyway.
      case 'notifications/tasks/status':
        return;
      default:
        this.#broadcast(text);
    }
  }

  #broadcast(text: string): void {
    for (const session of this.#sessions) session.send(text);
  }
}
