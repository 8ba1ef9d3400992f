import { RouterError } from '../errors.ts';
import type { Log, RawJson } from '../model.ts';
import type { Envelope, RequestEnvelope } from '../relay/envelope.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import { memberText } from '../relay/json-scan.ts';
import { Child, type ChildOptions } from './child.ts';
import type { Host, HostedSession } from './host.ts';

export interface SessionHostOptions extends Pick<ChildOptions, 'command' | 'args' | 'env'> {
  readonly initializeTimeoutMs: number;
  readonly log: Log;
}

/** Messages kept for a client that has no stream open; the oldest go first. */
const MAX_WAITING = 1000;

/**
 * A child for each client session, which is that client's alone: its own `initialize` goes through with all its
 * capabilities, and the server may ask it anything. Nothing is rewritten.
 */
export class SessionHost implements Host {
  readonly #options: SessionHostOptions;
  readonly #sessions = new Set<ChildSession>();
  #lastStartFailed = false;

  constructor(options: SessionHostOptions) {
    this.#options = options;
  }

  /** The last child that was asked for came up. */
  get healthy(): boolean {
    return !this.#lastStartFailed;
  }

  get running(): number {
    let running = 0;
    for (const session of this.#sessions) running += session.running;
    return running;
  }

  get children(): number {
    return this.#sessions.size;
  }

  open(request: RequestEnvelope, answer: HttpAnswer, opened: (session: HostedSession) => void): void {
    const session: ChildSession = new ChildSession(this.#options, request, answer, {
      // The session exists for the client from the child's answer on: one that fails leaves nothing behind.
      up: () => {
        this.#lastStartFailed = false;
        opened(session);
      },
      failed: () => {
        this.#lastStartFailed = true;
      },
      over: () => this.#sessions.delete(session),
    });
    this.#sessions.add(session);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#sessions].map((session) => session.stop()));
  }
}

interface Life {
  readonly up: () => void;
  readonly failed: () => void;
  readonly over: () => void;
}

class ChildSession implements HostedSession {
  readonly #child: Child;
  readonly #life: Life;
  readonly #log: Log;
  /** The client's requests under way, newest last. */
  readonly #pending = new Map<RawJson, HttpAnswer>();
  /** Set until `initialize` is answered. */
  #opening: { id: RawJson; timer: NodeJS.Timeout } | undefined;
  #stream: HttpStream | undefined;
  readonly #waiting: string[] = [];
  #gone = false;

  constructor(options: SessionHostOptions, request: RequestEnvelope, answer: HttpAnswer, life: Life) {
    this.#life = life;
    this.#log = options.log;
    const timer = setTimeout(
      () => this.#lost('did not answer initialize in time'),
      options.initializeTimeoutMs,
    );
    this.#opening = { id: request.id, timer };
    this.#pending.set(request.id, answer);
    const { command, args, env, log } = options;
    this.#child = new Child({
      command,
      args,
      env,
      log,
      onMessage: (message) => this.#hear(message),
      onExit: (reason) => this.#lost(reason),
    });
    this.#child.send(request.text);
  }

  get running(): number {
    return this.#pending.size;
  }

  request(request: RequestEnvelope, answer: HttpAnswer): void {
    if (this.#gone) {
      throw new RouterError('SESSION_NOT_FOUND', 'The server of this session has ended. Initialize again.');
    }
    this.#pending.set(request.id, answer);
    this.#child.send(request.text);
  }

  tell(message: Exclude<Envelope, RequestEnvelope>): void {
    if (message.kind === 'notification' && message.method === 'notifications/cancelled') {
      const id = message.params && memberText(message.text, message.params, 'requestId');
      const answer = this.#pending.get(id as RawJson);
      this.#pending.delete(id as RawJson);
      answer?.beginStream();
      answer?.end();
    }
    this.#child.send(message.text);
  }

  listen(stream: HttpStream | undefined): void {
    this.#stream = stream;
    if (stream) for (const text of this.#waiting.splice(0)) stream.send(text);
  }

  close(): void {
    void this.stop();
  }

  async stop(): Promise<void> {
    this.#gone = true;
    await this.#child.stop();
    this.#end('was stopped');
  }

  #hear(message: Envelope): void {
    if (message.kind !== 'response') {
      this.#speak(message.text);
      return;
    }
    const answer = this.#pending.get(message.id);
    if (!answer) return;
    this.#pending.delete(message.id);
    if (this.#opening?.id === message.id) {
      clearTimeout(this.#opening.timer);
      this.#opening = undefined;
      if (message.failed) {
        answer.send(200, message.text);
        void this.stop();
        return;
      }
      this.#life.up();
    }
    if (answer.streaming) {
      answer.event(message.text);
      answer.end();
    } else {
      answer.send(200, message.text);
    }
  }

  /**
   * What the server says by itself. Over stdio nothing tells which request it belongs to; the newest one under
   * way is the likeliest, and its client is there to hear it. Else the client's own stream.
   */
  #speak(text: string): void {
    const newest = [...this.#pending.values()].findLast((answer) => answer.takesStream && !answer.gone);
    if (newest && !this.#opening) {
      newest.beginStream();
      newest.event(text);
      newest.flush();
    } else if (this.#stream) this.#stream.send(text);
    else {
      this.#waiting.push(text);
      if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    }
  }

  #lost(reason: string): void {
    if (this.#gone) return;
    this.#gone = true;
    if (this.#opening) this.#life.failed();
    this.#log.warn('the server of a session ended', { reason });
    this.#child.kill();
    this.#end(reason);
  }

  #end(reason: string): void {
    if (this.#opening) clearTimeout(this.#opening.timer);
    const sentence = this.#opening
      ? `The server ${reason}. The wrapper's log has its output.`
      : `The server ${reason} while it worked on this. The call may or may not have been executed.`;
    for (const [id, answer] of this.#pending) answer.fail(id, new RouterError('BACKEND_FAILED', sentence));
    this.#pending.clear();
    this.#stream?.end();
    this.#life.over();
  }
}
