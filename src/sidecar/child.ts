import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Log } from '../model.ts';
import { EnvelopeError, readEnvelope, type Envelope } from '../relay/envelope.ts';

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly onMessage: (message: Envelope) => void;
  /** Called once. `reason` is a sentence about how it ended. */
  readonly onExit: (reason: string, spawnFailed: boolean) => void;
}

/** A line of more than this is no message. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;
/** How long a child may take to end after its input was closed, and again after SIGTERM. */
const GRACE_MS = 2000;

/**
 * A stdio MCP server as a process: one JSON-RPC message a line (2025-11-25, transports: stdio). What it prints
 * besides messages is logged and ignored. It leads a process group, so that a wrapper such as npx ends with what
 * it started.
 */
export class Child {
  readonly #options: ChildOptions;
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  #rest: Buffer[] = [];
  #restBytes = 0;
  readonly #exited: Promise<void>;
  #over = false;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.#process = spawn(options.command, options.args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...options.env },
      detached: true,
    });
    this.#process.stdout.on('data', (chunk: Buffer) => this.#hear(chunk));
    this.#process.stderr.on('data', (chunk: Buffer) => this.#logLines(chunk));
    // A child that is gone is reported by its exit, not by the broken pipe.
    this.#process.stdin.on('error', () => undefined);
    this.#exited = new Promise((resolve) => {
      const end = (reason: string, spawnFailed: boolean): void => {
        resolve();
        if (this.#over) return;
        this.#over = true;
        options.onExit(reason, spawnFailed);
      };
      this.#process.once('error', (error) => end(`could not be started: ${error.message}`, true));
      this.#process.once('exit', (code, signal) => {
        end(signal === null ? `ended with status ${code ?? 0}` : `was ended by ${signal}`, false);
      });
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Sends one message; line ends inside it are white space in JSON. */
  send(text: string): void {
    if (this.#over || !this.#process.stdin.writable) return;
    this.#process.stdin.write(`${text.includes('\n') ? text.replaceAll(/[\r\n]+/g, ' ') : text}\n`);
  }

  /** Closes its input, and helps where that does not end it. `onExit` is not called. */
  async stop(): Promise<void> {
    this.#over = true;
    this.#process.stdin.end();
    const term = setTimeout(() => this.#signal('SIGTERM'), GRACE_MS);
    const kill = setTimeout(() => this.#signal('SIGKILL'), 2 * GRACE_MS);
    await this.#exited;
    clearTimeout(term);
    clearTimeout(kill);
    // Grandchildren that did not notice.
    this.#signal('SIGKILL');
  }

  /** At once; for when this process itself has to go. */
  kill(): void {
    this.#over = true;
    this.#signal('SIGKILL');
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

  #hear(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, from);
      if (end < 0) break;
      this.#line(this.#take(chunk.subarray(from, end)));
      from = end + 1;
    }
    if (from === chunk.length) return;
    this.#rest.push(chunk.subarray(from));
    this.#restBytes += chunk.length - from;
    if (this.#restBytes <= MAX_LINE_BYTES) return;
    this.#options.log.error('the server printed a line without end; it is ended', { bytes: this.#restBytes });
    this.#rest = [];
    this.#restBytes = 0;
    this.#signal('SIGKILL');
  }

  #take(tail: Buffer): string {
    if (this.#rest.length === 0) return tail.toString();
    const line = Buffer.concat([...this.#rest, tail]).toString();
    this.#rest = [];
    this.#restBytes = 0;
    return line;
  }

  #line(line: string): void {
    const text = line.trim();
    if (text === '' || this.#over) return;
    try {
      this.#options.onMessage(readEnvelope(text));
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      this.#options.log.warn('the server printed something on stdout that is no MCP message', {
        line: text.slice(0, 500),
      });
    }
  }

  #logLines(chunk: Buffer): void {
    for (const line of chunk.toString().split('\n')) {
      if (line.trim() !== '') this.#options.log.info('server', { stderr: line.trimEnd().slice(0, 2000) });
    }
  }
}
