import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** The built program, as a user starts it. */
export interface Program {
  readonly process: ChildProcess;
  readonly output: () => string;
  /** Log lines so far, where the program logs JSON. */
  readonly logs: () => Record<string, unknown>[];
  /** Waits for the end; gives the exit status, or the signal's name. */
  readonly ended: Promise<number | string>;
  signal(signal: NodeJS.Signals): void;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function startProgram(args: readonly string[], env: Record<string, string> = {}): Program {
  const child = spawn(process.execPath, [cli, ...args], {
    env: { ...process.env, MCP_ROUTER_LOG_FORMAT: 'json', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return {
    process: child,
    output: () => output,
    logs: () =>
      output
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    ended: once(child, 'exit').then((args) => {
      const [code, signal] = args as [number | null, string | null];
      running.delete(child);
      return code ?? signal ?? 'unknown';
    }),
    signal: (signal) => void child.kill(signal),
  };
}

export async function runProgram(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ status: number | string; output: string }> {
  const program = startProgram(args, env);
  program.process.stdin?.end();
  const status = await program.ended;
  return { status, output: program.output() };
}
