import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { environment } from '../../config/environment.ts';

/** A program of the demo: `ready` resolves when it says that it is. */
export interface Program {
  readonly name: string;
  readonly pid: number | undefined;
  /** What it printed last, for an error message. */
  readonly output: () => string;
  kill(signal: NodeJS.Signals): Promise<void>;
}

/** This program itself: from source in a checkout, built where it is installed. */
const cli = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../cli.ts' : '../../cli.js', import.meta.url),
);

/** Programs that the demo started, all ended with it. */
export class Programs {
  readonly #running = new Set<ChildProcess>();

  constructor() {
    // Whatever ends the demo.
    process.on('exit', () => {
      for (const child of this.#running) child.kill('SIGKILL');
    });
  }

  /** Starts a Node script and waits until it prints what `ready` matches. */
  async start(
    name: string,
    script: string,
    args: readonly string[],
    env: Record<string, string>,
    ready: RegExp,
  ): Promise<Program> {
    const child = spawn(process.execPath, [script, ...args], {
      env: { ...environment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    let output = '';
    await new Promise<void>((resolve, reject) => {
      const hear = (chunk: Buffer): void => {
        output = (output + chunk.toString()).slice(-5000);
        if (ready.test(output)) resolve();
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.once('exit', (code) =>
        reject(new Error(`${name} ended with status ${code} before it was ready:\n${output}`)),
      );
    });
    return {
      name,
      pid: child.pid,
      output: () => output,
      kill: (signal) => this.#kill(child, signal),
    };
  }

  /** Starts one of this program's own commands. */
  startCommand(
    name: string,
    args: readonly string[],
    env: Record<string, string>,
    ready: RegExp,
  ): Promise<Program> {
    return this.start(name, cli, args, env, ready);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running].map((child) => this.#kill(child, 'SIGTERM')));
  }

  async #kill(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill(signal);
      const lazy = setTimeout(() => child.kill('SIGKILL'), 8000);
      await exited;
      clearTimeout(lazy);
    }
    this.#running.delete(child);
  }
}

/** The script of an npm package that came with this one's development dependencies. */
export function packageScript(name: string, file: string): string {
  try {
    return fileURLToPath(import.meta.resolve(`${name}/${file}`));
  } catch (error) {
    throw new Error(`The demo runs ${name}, which is not installed. Run: npm install --no-save ${name}`, {
      cause: error,
    });
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await once(server.close(), 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
