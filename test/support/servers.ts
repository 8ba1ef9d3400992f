import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export interface RunningServer {
  readonly port: number;
  readonly process: ChildProcess;
  /** Ends it and waits for that. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a program and waits for a line on stdout or stderr. */
export async function startProcess(
  args: readonly string[],
  env: Record<string, string>,
  port: number,
  ready: RegExp,
): Promise<RunningServer> {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      output += chunk.toString();
      if (ready.test(output)) resolve();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it was ready:\n${output}`)));
  });
  return {
    port,
    process: child,
    async stop(signal = 'SIGKILL') {
      running.delete(child);
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await once(child, 'exit');
    },
  };
}

const everything = fileURLToPath(
  import.meta.resolve('@modelcontextprotocol/server-everything/dist/index.js'),
);

/** server-everything over its own Streamable HTTP. */
export async function startEverything(port?: number): Promise<RunningServer> {
  const at = port ?? (await freePort());
  return startProcess([everything, 'streamableHttp'], { PORT: String(at) }, at, /listening on port/);
}

/** server-everything over HTTP+SSE of 2024-11-05; its stream is at `/sse`. */
export async function startEverythingSse(port?: number): Promise<RunningServer> {
  const at = port ?? (await freePort());
  return startProcess([everything, 'sse'], { PORT: String(at) }, at, /is running on port/);
}
