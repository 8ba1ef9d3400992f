import { spawn, type ChildProcess } from 'node:child_process';
import type { Log, RawJson } from '../model.ts';
import { EnvelopeError, readEnvelope, type Envelope } from '../relay/envelope.ts';
import type { Limits } from './limits.ts';
import { answeredId, asLine, LineSplitter, type Line } from './lines.ts';

/** How a child ended, as the rest of a sentence that begins with "The server". */
export interface ChildEnd {
  readonly reason: string;
  /** It never ran: there is no such command, or it may not be run. */
  readonly spawnFailed: boolean;
}

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly limits: Limits;
  readonly log: Log;
}

export interface ChildEvents {
  message(message: Envelope): void;
  /** A response was longer than a line may be and is lost; `id` is that of its request. */
  lost(id: RawJson): void;
  /** Called once, after the last message; not after `stop` or `kill`. */
  exit(end: ChildEnd): void;
}

/** Longest line of stderr that is logged whole. */
const MAX_LOG_LINE_BYTES = 8192;
/** How long the last output of a process that has ended may take to be read. */
const LAST_WORDS_MS = 1000;

/** Every child that lives: they lead groups of their own, and would outlive a process that exits at once. */
const living = new Set<Child>();
process.on('exit', () => {
  for (const child of living) child.kill();
});

/**
 * A stdio MCP server as a process: one JSON-RPC message a line (2025-11-25, transports: stdio). What it prints
 * besides messages is logged and ignored. It leads a process group, so that a wrapper such as npx ends with what
 * it started.
 *
 * The SDK's transport would rebuild messages (9007199254740993 arrives as …992, a message with an unknown member
 * not at all), needs 9 s for a line of 40 MB, and ends the process without its group.
 */
export class Child {
  /** The process is gone. */
  readonly ended: Promise<void>;
  readonly #options: ChildOptions;
  readonly #events: ChildEvents;
  readonly #process: ChildProcess;
  /** Nothing is reported any more. */
  #silent = false;

  constructor(options: ChildOptions, events: ChildEvents) {
    this.#options = options;
    this.#events = events;
    // stdin and its like are missing where the system is out of file descriptors.
    this.#process = spawn(options.command, options.args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...options.env },
      detached: true,
    });
    living.add(this);
    const { stdin, stdout, stderr } = this.#process;
    const heard = new LineSplitter(options.limits.maxLineBytes, (line) => this.#hear(line));
    const logged = new LineSplitter(MAX_LOG_LINE_BYTES, (line) => this.#logLine(line));
    stdout?.on('data', (chunk: Buffer) => heard.push(chunk));
    stderr?.on('data', (chunk: Buffer) => logged.push(chunk));
    stderr?.on('end', () => logged.end());
    // A child that is gone is reported by its end, not by the broken pipe.
    stdin?.on('error', () => undefined);
    this.ended = this.#watch();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Sends one message. False where the child reads too slowly for it. */
  send(text: string): boolean {
    const { stdin } = this.#process;
    // A child that has ended is reported in a moment.
    if (this.#silent || !stdin?.writable) return true;
    if (stdin.writableLength > this.#options.limits.maxWaitingBytes) return false;
    stdin.write(`${asLine(text)}\n`);
    return true;
  }

  /** Closes its input, and helps where that does not end it. */
  async stop(): Promise<void> {
    this.#silent = true;
    this.#process.stdin?.end();
    const { graceMs } = this.#options.limits;
    const term = setTimeout(() => this.#signal('SIGTERM'), graceMs);
    const kill = setTimeout(() => this.#signal('SIGKILL'), 2 * graceMs);
    await this.ended;
    clearTimeout(term);
    clearTimeout(kill);
  }

  /** Ends it at once, with all that it started. */
  kill(): void {
    this.#silent = true;
    this.#signal('SIGKILL');
  }

  #watch(): Promise<void> {
    return new Promise((resolve) => {
      const over = (end: ChildEnd): void => {
        living.delete(this);
        resolve();
        if (this.#silent) return;
        this.#silent = true;
        this.#events.exit(end);
      };
      this.#process.once('error', (error) => {
        if (this.#process.pid === undefined) {
          over({ reason: `could not be started: ${error.message}`, spawnFailed: true });
        }
      });
      this.#process.once('exit', (code, signal) => {
        // What it started must not stay, and holds stdout open. The group's number cannot have been given to
        // another one yet: the process was reaped in this turn.
        this.#signal('SIGKILL');
        const reason = signal === null ? `ended with status ${code ?? 0}` : `was ended by ${signal}`;
        const end = (): void => over({ reason, spawnFailed: false });
        // `exit` may come before the last output was read; `close` comes after it.
        const late = setTimeout(end, LAST_WORDS_MS);
        this.#process.once('close', () => {
          clearTimeout(late);
          end();
        });
      });
    });
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // The group is gone already.
    }
  }

  #hear(line: Line): void {
    if (this.#silent) return;
    const { log } = this.#options;
    if (line.kind === 'too-long') {
      const id = answeredId(line);
      log.error('the server printed a line that is too long; it is left out', {
        bytes: line.bytes,
        limit: this.#options.limits.maxLineBytes,
        begin: line.head.slice(0, 200),
      });
      if (id !== undefined) this.#events.lost(id);
      return;
    }
    const text = line.text.trim();
    if (text === '') return;
    let message: Envelope;
    try {
      message = readEnvelope(text);
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      log.warn('the server printed something on stdout that is no MCP message', { line: text.slice(0, 500) });
      return;
    }
    this.#events.message(message);
  }

  #logLine(line: Line): void {
    const text = line.kind === 'line' ? line.text.trimEnd() : `${line.head}…`;
    if (text !== '') this.#options.log.info('the server says', { stderr: text });
  }
}
