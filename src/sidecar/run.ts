import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { RouterError } from '../errors.ts';
import type { Clock, Log } from '../model.ts';
import type { OriginRules } from '../relay/origin-check.ts';
import type { Host } from './host.ts';
import { HttpFace } from './http-face.ts';
import { SessionHost } from './session-host.ts';
import { SharedHost } from './shared-host.ts';

export interface WrapOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly perSession: boolean;
  readonly listen: { readonly host: string; readonly port: number };
  readonly path: string;
  readonly origins: OriginRules;
  readonly initializeTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly sessionIdleMs: number;
  readonly maxSessions: number;
  readonly maxBodyBytes: number;
  readonly clientInfo: { readonly name: string; readonly version: string };
  /** The command can't be run at all. */
  readonly onHopeless: (reason: string) => void;
  readonly log: Log;
  readonly now: Clock;
}

export interface Wrapped {
  readonly port: number;
  /** Running requests finish, up to the drain time; then the children end, by force where they must. */
  stop(): Promise<void>;
}

/** Serves a stdio MCP server over Streamable HTTP. */
export async function wrap(options: WrapOptions): Promise<Wrapped> {
  const host = options.perSession ? new SessionHost(options) : startShared(options);
  const { path, origins, maxBodyBytes, sessionIdleMs, maxSessions, now, log } = options;
  const face = new HttpFace({ host, path, origins, maxBodyBytes, sessionIdleMs, maxSessions, now, log });
  const server = createServer((request, response) => face.handle(request, response));
  const { listen } = options;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const where = `${listen.host}:${listen.port}`;
      reject(
        new RouterError('WRONG_SETTINGS', `Cannot listen on ${where}. Choose another --port.`, {}, error),
      );
    });
    server.listen(listen.port, listen.host, resolve);
  }).catch(async (error: unknown) => {
    await host.stop();
    throw error;
  });
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      face.drain();
      server.close();
      await untilIdle(host, options.drainTimeoutMs, now);
      face.close();
      await host.stop();
      server.closeAllConnections();
    },
  };
}

function startShared(options: WrapOptions): SharedHost {
  const host = new SharedHost(options);
  host.start();
  return host;
}

async function untilIdle(host: Host, timeoutMs: number, now: Clock): Promise<void> {
  const deadline = now() + timeoutMs;
  while (host.running > 0 && now() < deadline) await delay(50);
}
