import type { Clock } from '../model.ts';
import { Child, type ChildEnd, type ChildEvents, type ChildOptions } from './child.ts';

export interface SupervisorOptions extends ChildOptions {
  readonly onStart: (child: Child) => void;
  readonly onMessage: ChildEvents['message'];
  readonly onLost: ChildEvents['lost'];
  readonly onExit: (reason: string) => void;
  /** The command can't be started at all: there is no use in trying again. Only for the very first try. */
  readonly onHopeless: (reason: string) => void;
  readonly now: Clock;
}

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 30_000;
/** A child that worked for this long was a healthy one: the next pause is short again. */
const STABLE_MS = 30_000;

/** Keeps one child running: its end is followed by another start, after a pause that grows. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  #child: Child | undefined;
  /** When the child was seen to work; undefined until then. */
  #provenAt: number | undefined;
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
    const { command, args, log, onStart, onMessage, onLost } = this.#options;
    const child = new Child(this.#options, {
      message: onMessage,
      lost: onLost,
      exit: (end) => this.#ended(end),
    });
    this.#child = child;
    this.#provenAt = undefined;
    if (child.pid === undefined) return;
    this.#everStarted = true;
    log.info('server started', { pid: child.pid, command: [command, ...args].join(' ') });
    onStart(child);
  }

  /** The child works. A start alone proves nothing: a server that never gets ready starts, too. */
  proven(): void {
    this.#provenAt = this.#options.now();
  }

  /** Ends a child that is no use any more; it is started again as after a crash. */
  giveUpOn(child: Child, reason: string): void {
    if (this.#child !== child) return;
    child.kill();
    this.#ended({ reason, spawnFailed: false });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#child?.stop();
    this.#child = undefined;
  }

  #ended({ reason, spawnFailed }: ChildEnd): void {
    const { log, now, onExit, onHopeless } = this.#options;
    this.#child = undefined;
    if (this.#stopped) return;
    if (spawnFailed && !this.#everStarted) {
      onHopeless(reason);
      return;
    }
    onExit(reason);
    if (this.#provenAt !== undefined && now() - this.#provenAt > STABLE_MS) this.#failures = 0;
    const pauseMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures);
    this.#failures++;
    log.warn('server ended and is started again', { reason, inMs: pauseMs });
    this.#timer = setTimeout(() => this.start(), pauseMs);
  }
}
