import { RouterError } from '../errors.ts';
import type { RawJson } from '../model.ts';
import type { Envelope, NotificationEnvelope, RequestEnvelope, ResponseEnvelope } from '../relay/envelope.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import { memberText } from '../relay/json-scan.ts';
import { Child, type ChildEnd, type ChildOptions } from './child.ts';
import { ClientRequest } from './client-request.ts';
import { brokenOff, congested, tooLong, type HostedSession, type Opened } from './host.ts';
import { Outbox } from './outbox.ts';

export interface ChildSessionOptions extends ChildOptions {
  readonly initializeTimeoutMs: number;
}

/** What a session tells its host. */
export interface ChildSessionEvents {
  /** The child did not come up. */
  failed(end: ChildEnd): void;
  /** The session has ended by itself. */
  over(): void;
}

interface Opening {
  readonly id: RawJson;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (opened: Opened) => void;
  readonly reject: (error: RouterError) => void;
}

/** A child that is one client's alone. Its ids, tokens and messages are the client's: nothing is rewritten. */
export class ChildSession implements HostedSession {
  /** The child's answer to the client's own `initialize`. */
  readonly opened: Promise<Opened>;
  readonly #options: ChildSessionOptions;
  readonly #events: ChildSessionEvents;
  readonly #child: Child;
  /** The client's requests under way, newest last. */
  readonly #running = new Map<RawJson, ClientRequest>();
  readonly #outbox = new Outbox();
  /** Set until `initialize` is answered. */
  #opening: Opening | undefined;
  #over = false;

  constructor(options: ChildSessionOptions, request: RequestEnvelope, events: ChildSessionEvents) {
    this.#options = options;
    this.#events = events;
    this.opened = new Promise((resolve, reject) => {
      const late = { reason: 'did not answer initialize in time', spawnFailed: false };
      const timer = setTimeout(() => this.#lost(late), options.initializeTimeoutMs);
      this.#opening = { id: request.id, timer, resolve, reject };
    });
    this.#child = new Child(options, {
      message: (message) => this.#hear(message),
      lost: (id) => this.#tooLong(id),
      exit: (end) => this.#lost(end),
    });
    this.#child.send(request.text);
  }

  get running(): number {
    let running = 0;
    for (const request of this.#running.values()) if (request.awaited) running++;
    return running;
  }

  get busy(): boolean {
    return this.#running.size > 0;
  }

  request(request: RequestEnvelope, answer: HttpAnswer): void {
    if (this.#over) {
      throw new RouterError('SESSION_NOT_FOUND', 'The server of this session has ended. Initialize again.');
    }
    if (this.#running.has(request.id)) {
      throw new RouterError('INVALID_REQUEST', 'Another request with this id is still under way.');
    }
    if (!this.#child.send(request.text)) throw congested();
    this.#running.set(request.id, new ClientRequest(request, answer, this.#options.limits.keepAliveMs));
  }

  tell(message: Exclude<Envelope, RequestEnvelope>): void {
    this.#child.send(message.text);
    if (message.kind !== 'notification' || message.method !== 'notifications/cancelled') return;
    const id = message.params && memberText(message.text, message.params, 'requestId');
    this.#running.get(id as RawJson)?.drop();
    this.#running.delete(id as RawJson);
  }

  listen(stream: HttpStream | undefined): void {
    this.#outbox.listen(stream);
  }

  close(error: RouterError): void {
    void this.stop(error);
  }

  /** The child's process is gone. */
  get gone(): Promise<void> {
    return this.#child.ended;
  }

  /** Resolves when the child is gone. */
  async stop(error: RouterError): Promise<void> {
    this.#end(error);
    await this.#child.stop();
  }

  #hear(message: Envelope): void {
    switch (message.kind) {
      case 'response':
        this.#response(message);
        return;
      case 'request':
        this.#say(message.text);
        return;
      case 'notification':
        this.#notification(message);
    }
  }

  #response(message: ResponseEnvelope): void {
    if (this.#opening?.id === message.id) {
      this.#answerOpening(this.#opening, message);
      return;
    }
    this.#running.get(message.id)?.finish(message.text);
    this.#running.delete(message.id);
  }

  #answerOpening({ timer, resolve }: Opening, message: ResponseEnvelope): void {
    clearTimeout(timer);
    this.#opening = undefined;
    if (!message.failed) {
      resolve({ kind: 'opened', session: this, response: message.text });
      return;
    }
    resolve({ kind: 'refused', response: message.text });
    this.close(new RouterError('BACKEND_FAILED', 'The server refused to initialize.'));
  }

  #notification(message: NotificationEnvelope): void {
    const { text, params } = message;
    if (message.method === 'notifications/progress') {
      const token = params && memberText(text, params, 'progressToken');
      const request = [...this.#running.values()].find(({ progressToken }) => progressToken === token);
      // Without one the call is over, and so is its progress.
      if (token !== undefined) request?.say(text, true);
      return;
    }
    const ofTheSession = /\/(?:list_changed|updated|complete|status)$/.test(message.method);
    if (ofTheSession) this.#outbox.send(text);
    else this.#say(text);
  }

  /**
   * What the server says while it works. Over stdio nothing tells which request it belongs to; the newest one is
   * the likeliest, and its client is there to hear it. Else the client's own stream.
   */
  #say(text: string): void {
    const newest = [...this.#running.values()].findLast((request) => request.listening);
    if (newest) newest.say(text);
    else this.#outbox.send(text);
  }

  #tooLong(id: RawJson): void {
    this.#running.get(id)?.fail(tooLong(this.#options.limits.maxLineBytes));
    this.#running.delete(id);
  }

  #lost(end: ChildEnd): void {
    if (this.#over) return;
    this.#options.log.warn('the server of a session ended', { reason: end.reason });
    this.#child.kill();
    if (this.#opening) this.#events.failed(end);
    this.#end(brokenOff(end.reason), `The server ${end.reason}. The wrapper's log has its output.`);
  }

  #end(error: RouterError, sentence = error.message): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#opening?.timer);
    this.#opening?.reject(new RouterError(error.code, sentence, error.details));
    this.#opening = undefined;
    for (const request of this.#running.values()) request.fail(error);
    this.#running.clear();
    this.#events.over();
  }
}
