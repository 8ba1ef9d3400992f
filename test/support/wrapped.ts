import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Log, LogFields } from '../../src/model.ts';
import { wrap, type WrapOptions, type Wrapped } from '../../src/sidecar/run.ts';
import { eventually } from './eventually.ts';

/** A server that does what the test tells it; see the file for the modes that it takes as an argument. */
export const telling = fileURLToPath(new URL('../fixtures/telling-server.mjs', import.meta.url));

export interface Started {
  readonly url: string;
  readonly healthUrl: string;
  readonly logs: { readonly level: keyof Log; readonly message: string; readonly fields?: LogFields }[];
  readonly server: Wrapped;
}

const running = new Set<Wrapped>();

/** Wraps a script on a free port; one child for all is up when this resolves. */
export async function startWrapped(
  args: readonly string[],
  more: Partial<WrapOptions> & { readonly await?: 'healthy' | 'listening' } = {},
): Promise<Started> {
  const logs: Started['logs'] = [];
  const write = (level: keyof Log) => (message: string, fields?: LogFields) =>
    void logs.push({ level, message, ...(fields && { fields }) });
  const { await: until = 'healthy', ...options } = more;
  const server = await wrap({
    command: process.execPath,
    args,
    env: process.env,
    perSession: false,
    listen: { host: '127.0.0.1', port: 0 },
    path: '/mcp',
    origins: { loopback: true, allowedHosts: [], allowedOrigins: [] },
    initializeTimeoutMs: 5000,
    drainTimeoutMs: 1000,
    sessionIdleMs: 60_000,
    maxSessions: 100,
    maxBodyBytes: 1 << 20,
    clientInfo: { name: 'test', version: '1' },
    onHopeless: (reason) => write('error')('hopeless', { reason }),
    log: { error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug') },
    now: () => performance.now(),
    ...options,
    limits: { lingerMs: 0, ...options.limits },
  });
  running.add(server);
  const url = `http://127.0.0.1:${server.port}/mcp`;
  const healthUrl = `http://127.0.0.1:${server.port}/healthz`;
  if (until === 'healthy') await eventually(async () => (await fetch(healthUrl)).status === 200);
  return { url, healthUrl, logs, server };
}

/** For `afterEach`. */
export async function stopWrapped(): Promise<void> {
  const all = [...running];
  running.clear();
  await Promise.all(all.map((server) => server.stop()));
}

/** Whether the process lives; one that has ended and was not reaped yet (state Z) does not. */
export function alive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
