import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { endWithMe } from '../../src/cli/demo/end-with-me.ts';
import { eventually } from './eventually.ts';
import { findRedis } from './redis-binary.ts';
import { freePort } from './servers.ts';

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly socketUrl: string;
  /** Everything that it holds, as text: keys, types and raw values. */
  dump(): Promise<string>;
  command(...words: string[]): Promise<unknown>;
  /** It is there and takes connections, but does nothing. */
  freeze(): void;
  thaw(): void;
  /** As `kill -9` does; nothing of what it held remains. */
  kill(): Promise<void>;
  /** On the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A server of its own for a test, on loopback, with everything in memory. */
export async function startRedis(
  extra: readonly string[] = [],
  password?: string,
  at?: number,
): Promise<RedisServer> {
  const program = await findRedis((line) => void process.stderr.write(`${line}\n`));
  const folder = await mkdtemp(join(tmpdir(), 'mcp-consul-router-redis-'));
  const port = at ?? (await freePort());
  const socket = join(folder, 'redis.sock');
  const credentials = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
  const url = `redis://${credentials}127.0.0.1:${port}/0`;
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const started = spawn(
      program,
      ['--port', String(port), '--bind', '127.0.0.1', '--unixsocket', socket, '--save', '', '--dir', folder]
        .concat(password === undefined ? [] : ['--requirepass', password])
        .concat(extra),
      { stdio: 'ignore' },
    );
    child = started;
    endWithMe(started, folder);
    await eventually(() => command('PING'));
  };
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  async function command(...words: string[]): Promise<unknown> {
    const client = createClient({ url, socket: { reconnectStrategy: false } });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await client.sendCommand(words);
    } finally {
      client.destroy();
    }
  }
  await start();
  return {
    url,
    port,
    socketUrl: `unix://${credentials}${socket}?db=0`,
    command,
    async dump() {
      const lines: string[] = [];
      for (const key of (await command('KEYS', '*')) as string[]) {
        const type = String(await command('TYPE', key));
        const read = { hash: ['HGETALL', key], stream: ['XRANGE', key, '-', '+'] }[type] ?? ['GET', key];
        lines.push(`${key} ${type} ${JSON.stringify(await command(...read))}`);
      }
      return lines.sort().join('\n');
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    kill,
    async restart() {
      await kill();
      await start();
    },
    async stop() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
