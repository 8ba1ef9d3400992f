import { EventEmitter } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import Consul from 'consul';
import { parseAddress, type ConsulAddress } from './consul-address.ts';
import {
  asConsulError,
  ConsulError,
  readAnswer,
  type ConsulAnswer,
  type RawAnswer,
} from './consul-answer.ts';

/** How to reach Consul; names and meanings as in Consul's own tools (api package of the Go client). */
export interface ConsulOptions {
  /** Tried in turn; the one that works is kept. */
  readonly addresses: readonly string[];
  readonly token?: string;
  /** Goes before `token`; read again when Consul answers 403. */
  readonly tokenFile?: string;
  /** `user:password` */
  readonly auth?: string;
  readonly ssl: boolean;
  readonly sslVerify: boolean;
  readonly caCert?: string;
  readonly caPath?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  readonly tlsServerName?: string;
  readonly namespace?: string;
  readonly partition?: string;
}

/** One call of the `consul` package, given its options. */
export type ConsulCall = (consul: Consul, options: CallOptions) => Promise<unknown>;

/** Options of the package's calls that it knows, and some that it passes on though its types lack them. */
export interface CallOptions {
  readonly dc?: string;
  readonly index?: string;
  readonly wait?: string;
  readonly token?: string;
  readonly timeout: number;
  readonly ctx: EventEmitter;
}

export interface CallSettings {
  readonly dc?: string;
  readonly index?: bigint;
  /** For blocking queries. */
  readonly waitMs?: number;
  /** From the first byte sent to the last one received. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** A line to one agent: its sockets, and the package's client on them. */
interface Line {
  readonly consul: Consul;
  readonly agent: HttpAgent;
}

/** Sockets of the lines for ordinary calls. */
const CONTROL_SOCKETS = 8;

/**
 * Consul over the `consul` package's calls. Adds what they lack: the variables of Consul's tools, several
 * addresses, gzip, namespaces, headers and status of the answer, and an end for every call.
 */
export class ConsulClient {
  readonly #options: ConsulOptions;
  readonly #addresses: readonly ConsulAddress[];
  #current = 0;
  #token: string | undefined;
  readonly #tls: Record<string, unknown>;

  /** @throws where an address is none, or a TLS file can't be read. */
  constructor(options: ConsulOptions) {
    this.#options = options;
    this.#addresses = options.addresses.map((address) => parseAddress(address, options.ssl));
    this.#token = this.#readToken();
    this.#tls = this.#addresses.some((address) => address.secure) ? readTls(options) : {};
  }

  /** The address in use, for people. */
  get address(): string {
    return this.#address().text;
  }

  /** For one blocking query: a socket of its own, so that queries never queue behind each other. */
  query(): ConsulLine {
    return new ConsulLine(this, 1);
  }

  /** For calls that are answered at once; their connections stay open. */
  control(): ConsulLine {
    return new ConsulLine(this, CONTROL_SOCKETS);
  }

  /** @internal */
  open(address: ConsulAddress, sockets: number, onSocketClosed: () => void): Line {
    const options: AgentOptions = { keepAlive: true, maxSockets: sockets };

    const agent = address.secure ? new HttpsAgent({ ...options, ...this.#tls }) : new HttpAgent(options);
    watchSockets(agent, onSocketClosed);
    const { auth } = this.#options;
    const credentials = auth === undefined ? '' : `${auth.split(':').map(encodeURIComponent).join(':')}@`;
    const consul = new Consul({
      // The package passes these on to papi; its types name only a few.
      ...({
        baseUrl: address.baseUrl.replace('://', `://${credentials}`),
        socketPath: address.socketPath,
      } as object),
      agent,
    });
    extend(consul, this.#options);
    return { consul, agent };
  }

  /** @internal */
  addressNow(): ConsulAddress {
    return this.#address();
  }

  /** @internal An address that does not answer gives way to the next. */
  addressFailed(address: ConsulAddress): void {
    if (this.#address() === address) this.#current = (this.#current + 1) % this.#addresses.length;
  }

  /** @internal */
  get token(): string | undefined {
    return this.#token;
  }

  /** @internal True if the token file holds another token by now. */
  tokenRefused(used: string | undefined): boolean {
    if (this.#options.tokenFile === undefined) return false;
    this.#token = this.#readToken();
    return this.#token !== used;
  }

  #address(): ConsulAddress {
    const address = this.#addresses[this.#current];
    if (!address) throw new RangeError('no Consul address');
    return address;
  }

  #readToken(): string | undefined {
    const { token, tokenFile } = this.#options;
    if (tokenFile === undefined) return token;
    try {
      return readFileSync(tokenFile, 'utf8').trim() || undefined;
    } catch {
      // A file that is being replaced; the next 403 reads it again.
      return this.#token ?? token;
    }
  }
}

function readTls(options: ConsulOptions): Record<string, unknown> {
  const { caCert, caPath, clientCert, clientKey, tlsServerName, sslVerify } = options;
  const authorities = [
    ...(caCert === undefined ? [] : [readFileSync(caCert)]),
    ...(caPath === undefined ? [] : readdirSync(caPath).map((name) => readFileSync(join(caPath, name)))),
  ];
  return {
    ...(authorities.length > 0 && { ca: authorities }),
    ...(clientCert !== undefined && { cert: readFileSync(clientCert) }),
    ...(clientKey !== undefined && { key: readFileSync(clientKey) }),
    ...(tlsServerName !== undefined && { servername: tlsServerName }),
    rejectUnauthorized: sslVerify,
  };
}

/** One user of a {@link ConsulClient}, with sockets of its own. */
export class ConsulLine {
  readonly #client: ConsulClient;
  readonly #sockets: number;
  #line: Line | undefined;
  #address: ConsulAddress | undefined;
  /** Calls under way; a closed socket ends the one of a line with a single socket. */
  readonly #running = new Set<EventEmitter>();

  constructor(client: ConsulClient, sockets: number) {
    this.#client = client;
    this.#sockets = sockets;
  }

  /**
   * Makes one query. A 403 reads the token file again and, if it changed, tries once more.
   * @throws {ConsulError}
   */
  call(call: ConsulCall, settings: CallSettings): Promise<ConsulAnswer> {
    return this.#tokenTwice(async (token) => {
      const answer = await this.#once(call, settings, token);
      // `includeResponse` makes the package's calls give [response, body].
      const [response] = answer as [RawAnswer];
      return readAnswer(response);
    });
  }

  /**
   * Changes something at the agent, past the package's own methods, which drop weights and a few other fields.
   * @throws {ConsulError}
   */
  async put(path: string, body: unknown, timeoutMs: number): Promise<void> {
    await this.#raw('_put', { path, ...(body !== undefined && { type: 'json', body }) }, timeoutMs);
  }

  /**
   * Whether there is something at a path.
   * @throws {ConsulError} for anything but yes (2xx) and no (404)
   */
  async exists(path: string, timeoutMs: number): Promise<boolean> {
    try {
      await this.#raw('_get', { path }, timeoutMs);
      return true;
    } catch (error) {
      if (error instanceof ConsulError && error.status === 404) return false;
      throw error;
    }
  }

  #raw(method: '_put' | '_get', options: Record<string, unknown>, timeoutMs: number): Promise<unknown> {
    return this.#tokenTwice((token) =>
      this.#once(
        (consul, { ctx, timeout }) =>
          (consul as unknown as Papi)[method]({
            ...options,
            ctx,
            timeout,
            headers: token === undefined ? {} : { 'x-consul-token': token },
          }),
        { timeoutMs },
        token,
      ),
    );
  }

  close(): void {
    for (const ctx of this.#running) ctx.emit('cancel');
    this.#line?.agent.destroy();
    this.#line = undefined;
  }

  async #tokenTwice<Result>(attempt: (token: string | undefined) => Promise<Result>): Promise<Result> {
    const token = this.#client.token;
    try {
      return await attempt(token);
    } catch (error) {
      if (error instanceof ConsulError && error.status === 403 && this.#client.tokenRefused(token)) {
        return attempt(this.#client.token);
      }
      throw error;
    }
  }

  async #once(call: ConsulCall, settings: CallSettings, token: string | undefined): Promise<unknown> {
    const address = this.#client.addressNow();
    const line = this.#open(address);
    const ctx = Object.assign(new EventEmitter(), { includeResponse: true });
    const cancel = (): void => void ctx.emit('cancel');
    settings.signal?.addEventListener('abort', cancel, { once: true });
    this.#running.add(ctx);
    try {
      return await call(line.consul, {
        ctx,
        timeout: settings.timeoutMs,
        ...(token !== undefined && { token }),
        ...(settings.dc !== undefined && { dc: settings.dc }),
        ...(settings.index !== undefined && { index: String(settings.index) }),
        ...(settings.waitMs !== undefined && { wait: `${Math.round(settings.waitMs)}ms` }),
      });
    } catch (error) {
      const failure = asConsulError(error);
      // Only where nothing answered; a status is an answer.
      if (failure.status === undefined && failure.reason === 'unreachable' && !settings.signal?.aborted) {
        this.#client.addressFailed(address);
      }
      throw failure;
    } finally {
      this.#running.delete(ctx);
      settings.signal?.removeEventListener('abort', cancel);
    }
  }

  #open(address: ConsulAddress): Line {
    if (this.#line && this.#address === address) return this.#line;
    this.#line?.agent.destroy();
    this.#address = address;
    this.#line = this.#client.open(address, this.#sockets, () => {
      // The package waits for its absolute timeout when a body is cut; with one socket it is clear whose body.
      if (this.#sockets === 1) for (const ctx of this.#running) ctx.emit('cancel');
    });
    return this.#line;
  }
}

/** What the package inherits from papi and does not show in its types. */
interface Papi {
  _put(options: Record<string, unknown>): Promise<unknown>;
  _get(options: Record<string, unknown>): Promise<unknown>;
  _ext(stage: string, extension: Extension): void;
}

/** Tells when a socket of the agent is closed, by whomever. */
function watchSockets(agent: HttpAgent, onClosed: () => void): void {
  const inner = agent as unknown as { createConnection(...args: unknown[]): Duplex };
  const original = inner.createConnection.bind(agent);
  inner.createConnection = (...args) => {
    const socket = original(...args);
    socket.once('close', onClosed);
    return socket;
  };
}

interface PapiRequest {
  readonly opts: { query: Record<string, unknown>; buffer?: boolean };
  readonly req?: { headers: Record<string, unknown> };
}
type Extension = (request: PapiRequest, next: () => void) => void;

/** Hooks of papi, the HTTP layer of the package: namespace, partition, gzip, and the body as bytes. */
function extend(consul: Consul, { namespace, partition }: ConsulOptions): void {
  const hooks = consul as unknown as Papi;
  hooks._ext('onCreate', (request, next) => {
    // Bytes: what is no JSON shall be judged here, not end in a parser's error.
    request.opts.buffer = true;
    if (namespace !== undefined) request.opts.query['ns'] = namespace;
    if (partition !== undefined) request.opts.query['partition'] = partition;
    next();
  });
  hooks._ext('onRequest', (request, next) => {
    if (request.req) request.req.headers['accept-encoding'] = 'gzip';
    next();
  });
}
