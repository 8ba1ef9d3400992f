import type { Clock, Log } from '../model.ts';
import type { Envelope } from '../relay/envelope.ts';
import { Child, type ChildOptions } from './child.ts';

export interface SupervisorOptions extends Pick<ChildOptions, 'command' | 'args' | 'env'> {
  readonly onStart: (child: Child) => void;
  readonly onMessage: (message: Envelope) => void;
  readonly onExit: (reason: string) => void;
  /** The command can't be started at all: there is no use in trying again. Only for the very first try. */
  readonly onHopeless: (reason: string) => void;
  readonly log: Log;
  readonly now: Clock;
}

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 30_000;
/** A child that lived this long was a healthy one: the next pause is short again. */
const STABLE_MS = 30_000;

/** Keeps one child running: a crash is followed by another start, after a pause that grows. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  #child: Child | undefined;
  #startedAt = 0;
  #everStarted = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  get child(): Child | undefined {
    return this.#child;
  }

  start(): void {
    const { command, args, env, log, onStart, onMessage, now } = this.#options;
    this.#startedAt = now();
    const child = new Child({
      command,
      args,
      env,
      log,
      onMessage,
      onExit: (reason, failed) => this.#exited(reason, failed),
    });
    this.#child = child;
    if (child.pid === undefined) return;
    this.#everStarted = true;
    log.info('server started', { pid: child.pid, command: [command, ...args].join(' ') });
    onStart(child);
  }

  /** Ends a child that is no use any more; it is started again as after a crash. */
  giveUpOn(child: Child, reason: string): void {
    if (this.#child !== child) return;
    child.kill();
    this.#exited(reason, false);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#child?.stop();
    this.#child = undefined;
  }

  #exited(reason: string, spawnFailed: boolean): void {
    const { log, now, onExit, onHopeless } = this.#options;
    this.#child = undefined;
    if (this.#stopped) return;
    if (spawnFailed && !this.#everStarted) {
      onHopeless(reason);
      return;
    }
    onExit(reason);
    if (now() - this.#startedAt > STABLE_MS) this.#failures = 0;
    const pauseMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures);
    this.#failures++;
    log.warn('server ended and is started again', { reason, inMs: pauseMs });
    this.#timer = setTimeout(() => this.start(), pauseMs);
  }
}
