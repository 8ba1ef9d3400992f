import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient, ErrorReply } from '@redis/client';
import { describeError, RouterError } from '../errors.ts';
import type { Log, Random } from '../model.ts';

/** Where a Valkey or Redis is. */
export interface RedisTarget {
  readonly at:
    { readonly host: string; readonly port: number; readonly tls: boolean } | { readonly socketPath: string };
  readonly username?: string;
  readonly password?: string;
  readonly database: number;
  readonly caCert?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
}

export interface RedisLinkOptions {
  readonly target: RedisTarget;
  /** Longest wait for one operation, in milliseconds; long texts get more. */
  readonly deadlineMs: number;
  readonly log: Log;
  readonly random: Random;
  readonly onFailure: (operation: string) => void;
}

/** The store is known to be lost, and was not asked. */
export class StoreLost extends Error {
  constructor() {
    super('the store is lost');
    this.name = 'StoreLost';
  }
}

export type RedisClient = ReturnType<typeof newClient>;

const START_WAIT_MS = 1000;
const CONNECT_TIMEOUT_MS = 5000;
/** A connection that is silent although it is asked is given up after this. */
const SILENCE_MS = 5000;
const PING_MS = 2000;
/** Slow once is not lost: it is lost when it does not answer for this long. */
const DOUBT_MS = 1000;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5000;
/** 10 MB a second. */
const BYTES_PER_MS = 10_000;
const ALIVE_KEY = 'mcp-router:alive';
const REFUSAL_LOG_MS = 60_000;

/**
 * The connection to the store, and what is known of it:
 *
 *     down ──ready, and a write went through──► up ──an operation failed──► doubted ──a write goes through──► up
 *                                                                                    └─none in DOUBT_MS──► down
 *
 * Only while it is `up` is anything asked. Whether it is down is for a write to find out, not for a ping: a store
 * that is full, read-only or loading answers pings.
 */
export class RedisLink {
  readonly #options: RedisLinkOptions;
  readonly #client: RedisClient;
  readonly #upListeners: ((afterLoss: boolean) => void)[] = [];
  readonly #certainListeners: (() => void)[] = [];
  #state: 'down' | 'doubted' | 'up' = 'down';
  /** The loss has been told; so its end will be. */
  #told = false;
  #everUp = false;
  #probing = false;
  #retries = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #refusalToldAt = Number.NEGATIVE_INFINITY;

  /** @throws {RouterError} WRONG_SETTINGS where a PEM file can't be read. */
  constructor(options: RedisLinkOptions) {
    this.#options = options;
    this.#client = newClient(options);
    this.#client.on('ready', () => void this.#probe());
    this.#client.on('error', (error: unknown) => this.#lost(error));
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  get lost(): boolean {
    return this.#state === 'down';
  }

  /** Resolves when it is up or lost: at once, or after a short doubt. */
  certain(): Promise<void> {
    if (this.#state !== 'doubted') return Promise.resolve();
    return new Promise((resolve) => void this.#certainListeners.push(resolve));
  }

  get client(): RedisClient {
    return this.#client;
  }

  /** Told whenever the store is there: the first time, after a loss, and after a doubt (`afterLoss` false). */
  onUp(listener: (afterLoss: boolean) => void): void {
    this.#upListeners.push(listener);
  }

  /** Hears a channel as soon as the store is there; after a loss the client subscribes anew by itself. */
  subscribe(channel: string, listener: (message: string) => void): void {
    let subscribed = false;
    const subscribe = (): void => {
      if (subscribed) return;
      subscribed = true;
      this.run('subscribe', (client) => client.subscribe(channel, listener)).catch(
        () => (subscribed = false),
      );
    };
    this.onUp(subscribe);
    if (this.up) subscribe();
  }

  /** Resolves when it is known whether the store is there, or soon; goes on trying either way. */
  async start(): Promise<void> {
    const decided = new Promise<void>((resolve) => void this.#certainListeners.push(resolve));
    // Its errors are heard as events; it settles only when the client is stopped.
    void this.#client.connect().catch(() => undefined);
    const timer = new AbortController();
    await Promise.race([
      decided,
      delay(START_WAIT_MS, undefined, { signal: timer.signal }).then(
        () => this.#lost(new Error(`no answer within ${START_WAIT_MS} ms`)),
        () => undefined,
      ),
    ]);
    timer.abort();
  }

  /** Lets what is under way finish, for a short while. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    if (this.up && this.#client.isReady) {
      await within(this.#options.deadlineMs, this.#client.close()).catch(() => undefined);
    }
    this.#be('down');
    this.#client.destroy();
  }

  /**
   * @param bytes of what is sent, where that may be much
   * @throws {StoreLost} at once, where it is known to be lost
   * @throws whatever went wrong, within the deadline
   */
  async run<Result>(
    operation: string,
    work: (client: RedisClient) => Promise<Result>,
    bytes = 0,
  ): Promise<Result> {
    if (this.#state !== 'up') throw new StoreLost();
    try {
      return await within(this.#options.deadlineMs + bytes / BYTES_PER_MS, work(this.#client));
    } catch (error) {
      this.#options.onFailure(operation);
      void this.#doubt(operation, error);
      throw error;
    }
  }

  async #doubt(operation: string, error: unknown): Promise<void> {
    if (this.#state !== 'up') return;
    this.#state = 'doubted';
    await this.#probe();
    // Not lost, so it is this operation that it does not take: a right that the user lacks.
    if (this.up && error instanceof ErrorReply) this.#refused(operation, error);
  }

  /** Writes, and so finds out whether the store takes writes. One at a time: a stuck one is not piled upon. */
  async #probe(): Promise<void> {
    if (this.#probing || this.#stopped) return;
    this.#probing = true;
    clearTimeout(this.#timer);
    const answer = this.#client.set(ALIVE_KEY, '1', { expiration: { type: 'PX', value: 60_000 } });
    const slow = setTimeout(() => this.#lost(new Error(`no answer within ${DOUBT_MS} ms`)), DOUBT_MS);
    try {
      await answer;
      this.#found();
    } catch (error) {
      this.#lost(error);
    } finally {
      clearTimeout(slow);
      this.#probing = false;
    }
    if (this.#state !== 'up') this.#probeLater();
  }

  /** While there is no connection the client tries for one by itself; `ready` brings the next probe. */
  #probeLater(): void {
    if (this.#stopped || !this.#client.isReady) return;
    this.#timer = setTimeout(() => void this.#probe(), pause(this.#retries++, this.#options.random));
  }

  #found(): void {
    if (this.#stopped) return;
    this.#retries = 0;
    const was = this.#state;
    this.#be('up');
    if (this.#told)
      this.#options.log.info('the store is back', { store: describeTarget(this.#options.target) });
    else if (!this.#everUp) {
      this.#options.log.info('store connected', { store: describeTarget(this.#options.target) });
    }
    this.#told = false;
    this.#everUp = true;
    if (was !== 'up') for (const listener of this.#upListeners) listener(was === 'down');
  }

  #be(state: 'up' | 'down'): void {
    this.#state = state;
    for (const tell of this.#certainListeners.splice(0)) tell();
  }

  #lost(error: unknown): void {
    if (this.#stopped) return;
    this.#be('down');
    if (this.#told) return;
    this.#told = true;
    this.#options.log.warn('the store cannot be used; this replica works from its own memory until it can', {
      store: describeTarget(this.#options.target),
      reason: describeError(error),
      next: 'check MCP_ROUTER_STORE and the store itself; nothing has to be restarted',
    });
  }

  /** Told now and then, or it would fill the log. */
  #refused(operation: string, error: ErrorReply): void {
    const now = performance.now();
    if (now - this.#refusalToldAt < REFUSAL_LOG_MS) return;
    this.#refusalToldAt = now;
    this.#options.log.warn('the store refuses an operation; it is done without it', {
      store: describeTarget(this.#options.target),
      operation,
      reason: error.message,
      next: 'see docs/store.md for the rights that its user needs',
    });
  }
}

function newClient({ target, random }: RedisLinkOptions) {
  const { at, username, password, database } = target;
  const common = {
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MS,
    reconnectStrategy: (retries: number) => pause(retries, random),
  };
  return createClient({
    socket:
      'socketPath' in at
        ? { ...common, path: at.socketPath }
        : at.tls
          ? { ...common, host: at.host, port: at.port, tls: true, ...pemFiles(target) }
          : { ...common, host: at.host, port: at.port },
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    database,
    name: 'mcp-consul-router',
    pingInterval: PING_MS,
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
    // Deadlines are kept here: the client's own ends when a command is written.
    commandOptions: { timeout: 0 },
  });
}

function pemFiles({ caCert, clientCert, clientKey }: RedisTarget): Record<string, Buffer> {
  const files = { ca: caCert, cert: clientCert, key: clientKey };
  return Object.fromEntries(
    Object.entries(files).flatMap(([name, path]) => (path === undefined ? [] : [[name, readPem(path)]])),
  );
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new RouterError(
      'WRONG_SETTINGS',
      `Cannot read ${path}, which MCP_ROUTER_STORE names: ${describeError(error)}.`,
      {},
      error,
    );
  }
}

function pause(retries: number, random: Random): number {
  return Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(retries, 10)) * (0.5 + random() / 2);
}

/** Without user and password. */
export function describeTarget({ at, database }: RedisTarget): string {
  if ('socketPath' in at) return `unix://${at.socketPath}?db=${database}`;
  const host = at.host.includes(':') ? `[${at.host}]` : at.host;
  return `redis${at.tls ? 's' : ''}://${host}:${at.port}/${database}`;
}

async function within<Result>(ms: number, work: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${Math.round(ms)} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
