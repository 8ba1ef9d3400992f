import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { RouterError } from '../errors.ts';
import type { Clock } from '../model.ts';
import type { ChildOptions } from './child.ts';
import type { Host } from './host.ts';
import { HttpFace, type HttpFaceOptions } from './http-face.ts';
import type { ClientInfo } from './introduction.ts';
import { defaultLimits, type Limits } from './limits.ts';
import { SessionHost } from './session-host.ts';
import { SharedHost } from './shared-host.ts';

export interface WrapOptions
  extends Omit<ChildOptions, 'limits'>, Pick<HttpFaceOptions, 'path' | 'origins' | 'maxBodyBytes'> {
  readonly perSession: boolean;
  readonly listen: { readonly host: string; readonly port: number };
  readonly initializeTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly sessionIdleMs: number;
  readonly maxSessions: number;
  readonly clientInfo: ClientInfo;
  /** The command can't be run at all. */
  readonly onHopeless: (reason: string) => void;
  readonly limits?: Partial<Limits>;
  readonly now: Clock;
}

export interface Wrapped {
  readonly port: number;
  /** The server can take work right now. */
  healthy(): Promise<boolean>;
  /** Running requests finish, up to the drain time; then the children end, by force where they must. */
  stop(): Promise<void>;
}

/**
 * Serves a stdio MCP server over Streamable HTTP.
 * @throws {RouterError} WRONG_SETTINGS where the address can't be listened on.
 */
export async function wrap(options: WrapOptions): Promise<Wrapped> {
  const limits = { ...defaultLimits, ...options.limits };
  const all = { ...options, limits, idleMs: options.sessionIdleMs };
  const host: Host = options.perSession ? new SessionHost(all) : new SharedHost(all);
  const face = new HttpFace({ ...all, host });
  const server = createServer((request, response) => face.handle(request, response));
  await listen(server, options.listen);
  host.start();
  return {
    port: (server.address() as AddressInfo).port,
    async healthy() {
      const { kind } = await host.health();
      return kind !== 'down';
    },
    async stop() {
      face.drain();
      await untilIdle(host, limits.lingerMs, options.drainTimeoutMs, options.now);
      server.close();
      face.close();
      await host.stop();
      server.closeAllConnections();
    },
  };
}

function listen(server: Server, { host, port }: WrapOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new RouterError(
          'WRONG_SETTINGS',
          `Cannot listen on ${host}:${port}. Choose another --port.`,
          {},
          error,
        ),
      );
    });
    server.listen(port, host, resolve);
  });
}

async function untilIdle(host: Host, lingerMs: number, timeoutMs: number, now: Clock): Promise<void> {
  const start = now();
  while (now() - start < timeoutMs && (host.running > 0 || now() - start < lingerMs)) await delay(20);
}
