import { RouterError } from '../errors.ts';
import type { Log, RawJson } from '../model.ts';
import {
  errorResponse,
  readEnvelope,
  replaceMember,
  resultResponse,
  type Envelope,
  type NotificationEnvelope,
  type RequestEnvelope,
  type ResponseEnvelope,
} from '../relay/envelope.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import { memberObject, memberString, memberText, splice, type Edit } from '../relay/json-scan.ts';
import { LATEST_LEGACY_VERSION, LEGACY_VERSIONS, negotiate } from '../relay/versions.ts';
import type { Child } from './child.ts';
import type { Host, HostedSession } from './host.ts';
import { Supervisor, type SupervisorOptions } from './supervisor.ts';

export interface SharedHostOptions extends Pick<
  SupervisorOptions,
  'command' | 'args' | 'env' | 'now' | 'onHopeless'
> {
  readonly clientInfo: { readonly name: string; readonly version: string };
  readonly initializeTimeoutMs: number;
  readonly log: Log;
}

/** A client's request on its way through the child, under an id of ours. */
interface Pending {
  readonly session: SharedSession;
  readonly id: RawJson;
  /** The client's progress token as it spelled it. */
  readonly progressToken: string | undefined;
  readonly answer: HttpAnswer | undefined;
}

/**
 * One child for all sessions. It is initialized once, by us and with no client capabilities: a second
 * `initialize` breaks some servers, and with many clients behind it nobody could say whom it asks. Request ids
 * and progress tokens are made anew, so that clients may all use 1.
 */
export class SharedHost implements Host {
  readonly #options: SharedHostOptions;
  readonly #supervisor: Supervisor;
  readonly #sessions = new Set<SharedSession>();
  readonly #pending = new Map<number, Pending>();
  /** How many sessions want updates of a resource. */
  readonly #subscriptions = new Map<string, number>();
  #level: string | undefined;
  #lastId = 0;
  /** The child's answer to `initialize`; undefined while it is not up. */
  #initialized: ResponseEnvelope | undefined;
  /** Our own `initialize` while it is under way. */
  #greeting: { id: number; child: Child; timer: NodeJS.Timeout } | undefined;

  constructor(options: SharedHostOptions) {
    this.#options = options;
    const { command, args, env, log, now, onHopeless } = options;
    this.#supervisor = new Supervisor({
      command,
      args,
      env,
      log,
      now,
      onHopeless,
      onStart: (child) => this.#greet(child),
      onMessage: (message) => this.#hear(message),
      onExit: (reason) => this.#lost(reason),
    });
  }

  start(): void {
    this.#supervisor.start();
  }

  get healthy(): boolean {
    return this.#initialized !== undefined;
  }

  get running(): number {
    return this.#pending.size;
  }

  open(request: RequestEnvelope, answer: HttpAnswer, opened: (session: HostedSession) => void): void {
    const initialized = this.#initialized;
    if (!initialized) throw notUp();
    const session = new SharedSession(this);
    this.#sessions.add(session);
    opened(session);
    answer.send(200, resultResponse(request.id, this.#resultFor(initialized, request)));
  }

  async stop(): Promise<void> {
    await this.#supervisor.stop();
    this.#failAll('The server is shutting down. The call may or may not have been executed.');
  }

  /** @internal */
  request(session: SharedSession, request: RequestEnvelope, answer: HttpAnswer): void {
    if (request.method === 'ping') {
      answer.send(200, resultResponse(request.id, '{}'));
      return;
    }
    const child = this.#supervisor.child;
    if (!child || !this.#initialized) throw notUp();
    if (request.method === 'logging/setLevel') this.#level = request.text;
    if (!this.#subscribes(session, request)) {
      answer.send(200, resultResponse(request.id, '{}'));
      return;
    }
    const id = ++this.#lastId;
    const meta = request.params && memberObject(request.text, request.params, '_meta');
    const progressToken = meta && memberText(request.text, meta, 'progressToken');
    this.#pending.set(id, { session, id: request.id, progressToken, answer });
    child.send(
      splice(
        request.text,
        edits(
          replaceMember(request.members, 'id', String(id)),
          replaceMember(meta, 'progressToken', String(id)),
        ),
      ),
    );
  }

  /** @internal */
  tell(session: SharedSession, message: Exclude<Envelope, RequestEnvelope>): void {
    // The child was greeted once, and it is asked nothing that a client could answer.
    if (message.kind !== 'notification' || message.method !== 'notifications/cancelled') return;
    const wanted = message.params && memberText(message.text, message.params, 'requestId');
    for (const [id, pending] of this.#pending) {
      if (pending.session !== session || pending.id !== wanted) continue;
      const edit = replaceMember(message.params, 'requestId', String(id));
      if (edit) this.#supervisor.child?.send(splice(message.text, [edit]));
      this.#pending.delete(id);
      // Nothing more is sent for a cancelled request.
      pending.answer?.beginStream();
      pending.answer?.end();
    }
  }

  /** @internal */
  close(session: SharedSession): void {
    this.#sessions.delete(session);
    for (const uri of session.subscribed) this.#unsubscribe(uri);
    for (const [id, pending] of this.#pending) if (pending.session === session) this.#pending.delete(id);
  }

  #resultFor(initialized: ResponseEnvelope, request: RequestEnvelope): string {
    const { text, members } = initialized;
    const result = memberObject(text, members, 'result');
    const own = (result && memberString(text, result, 'protocolVersion')) ?? LATEST_LEGACY_VERSION;
    const asked = negotiate(
      (request.params && memberString(request.text, request.params, 'protocolVersion')) ?? own,
    );
    // Not newer than what the child speaks.
    const order: readonly string[] = LEGACY_VERSIONS;
    const version = order.indexOf(asked) < order.indexOf(own) ? own : asked;
    const edit = replaceMember(result, 'protocolVersion', JSON.stringify(version));
    const whole = readEnvelope(splice(text, edits(edit)));
    return memberText(whole.text, whole.members, 'result') ?? '{}';
  }

  /** False where the child need not be asked: it keeps one subscription for all. */
  #subscribes(session: SharedSession, request: RequestEnvelope): boolean {
    const subscribe = request.method === 'resources/subscribe';
    if (!subscribe && request.method !== 'resources/unsubscribe') return true;
    const uri = request.params && memberString(request.text, request.params, 'uri');
    if (uri === undefined) return true;
    if (subscribe) {
      if (session.subscribed.has(uri)) return false;
      session.subscribed.add(uri);
      const count = (this.#subscriptions.get(uri) ?? 0) + 1;
      this.#subscriptions.set(uri, count);
      return count === 1;
    }
    if (!session.subscribed.delete(uri)) return false;
    return this.#countDown(uri);
  }

  /** True for the last one. */
  #countDown(uri: string): boolean {
    const count = (this.#subscriptions.get(uri) ?? 1) - 1;
    if (count > 0) this.#subscriptions.set(uri, count);
    else this.#subscriptions.delete(uri);
    return count <= 0;
  }

  #unsubscribe(uri: string): void {
    if (!this.#countDown(uri)) return;
    this.#own('resources/unsubscribe', { uri });
  }

  /** A request of our own; its answer interests nobody. */
  #own(method: string, params: Record<string, unknown>): void {
    const id = ++this.#lastId;
    this.#supervisor.child?.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
  }

  #greet(child: Child): void {
    const id = ++this.#lastId;
    const timer = setTimeout(() => {
      if (!this.#initialized) this.#supervisor.giveUpOn(child, 'did not answer initialize in time');
    }, this.#options.initializeTimeoutMs);
    this.#greeting = { id, child, timer };
    const params = {
      protocolVersion: LATEST_LEGACY_VERSION,
      capabilities: {},
      clientInfo: this.#options.clientInfo,
    };
    child.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'initialize', params }));
  }

  #greeted(response: ResponseEnvelope, greeting: { child: Child; timer: NodeJS.Timeout }): void {
    clearTimeout(greeting.timer);
    this.#greeting = undefined;
    if (response.failed) {
      this.#options.log.error('the server refused initialize', { answer: response.text.slice(0, 500) });
      this.#supervisor.giveUpOn(greeting.child, 'refused initialize');
      return;
    }
    const again = this.#initialized === undefined && this.#sessions.size > 0;
    this.#initialized = response;
    greeting.child.send('{"jsonrpc":"2.0","method":"notifications/initialized"}');
    if (!again) return;
    // A new process knows nothing of what the sessions had asked the old one.
    if (this.#level !== undefined) {
      const edit = replaceMember(readEnvelope(this.#level).members, 'id', String(++this.#lastId));
      greeting.child.send(splice(this.#level, edits(edit)));
    }
    for (const uri of this.#subscriptions.keys()) this.#own('resources/subscribe', { uri });
    for (const kind of ['tools', 'prompts', 'resources']) {
      this.#broadcast(`{"jsonrpc":"2.0","method":"notifications/${kind}/list_changed"}`);
    }
  }

  #hear(message: Envelope): void {
    switch (message.kind) {
      case 'response':
        this.#response(message);
        return;
      case 'notification':
        this.#notification(message);
        return;
      case 'request':
        this.#supervisor.child?.send(
          message.method === 'ping'
            ? resultResponse(message.id, '{}')
            : errorResponse(message.id, {
                code: -32601,
                message: 'Many clients share this server, so none can be asked. Run it with --per-session.',
              }),
        );
    }
  }

  #response(message: ResponseEnvelope): void {
    const id = Number(message.id);
    if (this.#greeting?.id === id) {
      this.#greeted(message, this.#greeting);
      return;
    }
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    const text = splice(message.text, edits(replaceMember(message.members, 'id', pending.id)));
    const { answer } = pending;
    if (!answer) return;
    if (answer.streaming) {
      answer.event(text);
      answer.end();
    } else {
      answer.send(200, text);
    }
  }

  #notification(message: NotificationEnvelope): void {
    if (message.method === 'notifications/progress') {
      this.#progress(message);
      return;
    }
    if (message.method === 'notifications/resources/updated') {
      const uri = message.params && memberString(message.text, message.params, 'uri');
      for (const session of this.#sessions)
        if (uri !== undefined && session.subscribed.has(uri)) session.send(message.text);
      return;
    }
    this.#broadcast(message.text);
  }

  #progress(message: NotificationEnvelope): void {
    const token = message.params && memberText(message.text, message.params, 'progressToken');
    const pending = this.#pending.get(Number(token));
    if (pending?.progressToken === undefined || !pending.answer?.takesStream) return;
    const edit = replaceMember(message.params, 'progressToken', pending.progressToken);
    pending.answer.beginStream();
    pending.answer.event(splice(message.text, edits(edit)));
    pending.answer.flush();
  }

  #broadcast(text: string): void {
    for (const session of this.#sessions) session.send(text);
  }

  #lost(reason: string): void {
    this.#initialized = undefined;
    if (this.#greeting) clearTimeout(this.#greeting.timer);
    this.#greeting = undefined;
    this.#failAll(
      `The server ${reason} while it worked on this. The call may or may not have been executed.`,
    );
  }

  #failAll(sentence: string): void {
    for (const { answer, id } of this.#pending.values())
      answer?.fail(id, new RouterError('BACKEND_FAILED', sentence));
    this.#pending.clear();
  }
}

class SharedSession implements HostedSession {
  readonly subscribed = new Set<string>();
  readonly #host: SharedHost;
  #stream: HttpStream | undefined;

  constructor(host: SharedHost) {
    this.#host = host;
  }

  request(request: RequestEnvelope, answer: HttpAnswer): void {
    this.#host.request(this, request, answer);
  }

  tell(message: Exclude<Envelope, RequestEnvelope>): void {
    this.#host.tell(this, message);
  }

  listen(stream: HttpStream | undefined): void {
    this.#stream = stream;
  }

  send(text: string): void {
    this.#stream?.send(text);
  }

  close(): void {
    this.#host.close(this);
  }
}

function notUp(): RouterError {
  return new RouterError('NO_HEALTHY_INSTANCE', 'The server is not up yet. Try again in a moment.', {
    retryAfterMs: 1000,
  });
}

function edits(...found: readonly (Edit | undefined)[]): readonly Edit[] {
  return found.filter((edit) => edit !== undefined);
}
