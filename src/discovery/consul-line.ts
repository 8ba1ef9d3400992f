import { EventEmitter } from 'node:events';
import type { ConsulAddress } from './consul-address.ts';
import {
  asConsulError,
  ConsulError,
  readAnswer,
  type ConsulAnswer,
  type RawAnswer,
} from './consul-answer.ts';
import type { ConsulClient } from './consul-client.ts';
import type { CallOptions, ConsulCall, OpenPackage, Papi } from './consul-package.ts';

export interface CallSettings {
  readonly dc?: string;
  readonly index?: bigint;
  /** For blocking queries. */
  readonly waitMs?: number;
  /** From the first byte sent to the last one received. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** One user of a {@link ConsulClient}, with sockets of its own. */
export class ConsulLine {
  readonly #client: ConsulClient;
  readonly #sockets: number;
  #open: OpenPackage | undefined;
  #address: ConsulAddress | undefined;
  /** Calls under way. */
  readonly #running = new Set<EventEmitter>();

  constructor(client: ConsulClient, sockets: number) {
    this.#client = client;
    this.#sockets = sockets;
  }

  /**
   * Makes one query.
   * @throws {ConsulError}
   */
  call(call: ConsulCall, settings: CallSettings): Promise<ConsulAnswer> {
    const read = async ({ consul }: OpenPackage, options: CallOptions): Promise<ConsulAnswer> => {
      // `includeResponse` makes the package's calls give [response, body].
      const [response] = (await call(consul, options)) as [RawAnswer];
      return readAnswer(response);
    };
    return this.#tokenTwice((token) =>
      this.#once(read, settings, token, (error) => isUseless(error, settings.dc)),
    );
  }

  /**
   * Changes something at the agent, past the package's own methods, which drop weights and a few other fields.
   * @throws {ConsulError}
   */
  async put(path: string, body: unknown, timeoutMs: number): Promise<void> {
    const request = { path, ...(body !== undefined && { type: 'json', body }) };
    await this.#raw('_put', request, { timeoutMs });
  }

  /**
   * Whether there is something at a path.
   * @throws {ConsulError} for anything but yes (2xx) and no (404)
   */
  async exists(path: string, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#raw('_get', { path }, { timeoutMs, signal });
      return true;
    } catch (error) {
      if (error instanceof ConsulError && error.status === 404) return false;
      throw error;
    }
  }

  /** Ends the calls under way; they reject. */
  close(): void {
    for (const ctx of this.#running) ctx.emit('cancel');
    this.#open?.agent.destroy();
    this.#open = undefined;
  }

  #raw(
    method: '_put' | '_get',
    request: Readonly<Record<string, unknown>>,
    settings: CallSettings,
  ): Promise<unknown> {
    return this.#tokenTwice((token) =>
      this.#once(
        ({ consul }, { ctx, timeout }) =>
          (consul as unknown as Papi)[method]({
            ...request,
            ctx,
            timeout,
            headers: token === undefined ? {} : { 'x-consul-token': token },
          }),
        settings,
        token,
        (error) => error.reason === 'unreachable',
      ),
    );
  }

  /** A 403 may mean that the token was replaced a moment ago. */
  async #tokenTwice<Result>(attempt: (token: string | undefined) => Promise<Result>): Promise<Result> {
    const token = this.#client.token();
    try {
      return await attempt(token);
    } catch (error) {
      if (!(error instanceof ConsulError) || error.status !== 403) throw error;
      const newer = this.#client.token();
      if (newer === token) throw error;
      return attempt(newer);
    }
  }

  async #once<Result>(
    call: (open: OpenPackage, options: CallOptions) => Promise<Result>,
    settings: CallSettings,
    token: string | undefined,
    useless: (error: ConsulError) => boolean,
  ): Promise<Result> {
    const { signal, dc, index, waitMs, timeoutMs } = settings;
    const address = this.#client.addressNow();
    const ctx = Object.assign(new EventEmitter(), { includeResponse: true });
    const cancel = (): void => void ctx.emit('cancel');
    signal?.addEventListener('abort', cancel, { once: true });
    this.#running.add(ctx);
    try {
      return await call(this.#openAt(address), {
        ctx,
        timeout: timeoutMs,
        ...(token !== undefined && { token }),
        ...(dc !== undefined && { dc }),
        ...(index !== undefined && { index: String(index) }),
        ...(waitMs !== undefined && { wait: `${Math.round(waitMs)}ms` }),
      });
    } catch (error) {
      const failure = asConsulError(error);
      if (!signal?.aborted && useless(failure)) this.#client.addressFailed(address);
      throw failure;
    } finally {
      this.#running.delete(ctx);
      signal?.removeEventListener('abort', cancel);
    }
  }

  #openAt(address: ConsulAddress): OpenPackage {
    if (this.#open && this.#address === address) return this.#open;
    this.#open?.agent.destroy();
    this.#address = address;
    this.#open = this.#client.open(address, this.#sockets);
    return this.#open;
  }
}

/**
 * Whether another agent may do better: this one does not answer, has lost its servers, or is none. A refused
 * token is refused everywhere, and a limit is not to be got round. What is wrong with a datacenter that was
 * asked for by name may well be that datacenter.
 */
function isUseless(error: ConsulError, dc: string | undefined): boolean {
  switch (error.reason) {
    case 'unreachable':
    case 'garbage':
      return true;
    case 'server-error':
      return dc === undefined || error.message.includes('No known Consul servers');
    default:
      return false;
  }
}
