import { setTimeout as delay } from 'node:timers/promises';
import type { Random, ServiceName } from '../model.ts';
import type { BackOff } from './back-off.ts';
import { asFailure, FRESH_TIMEOUT_MS, indexOf, type QueryWatcher } from './blocking-query.ts';
import type { ConsulLine } from './consul-line.ts';
import type { ConsulCall } from './consul-package.ts';
import type { ParsedService } from './parse-answers.ts';
import type { ServiceWatch } from './service-watch.ts';

export interface FetchPoolOptions {
  readonly line: ConsulLine;
  readonly dc: string | undefined;
  readonly call: (name: ServiceName) => ConsulCall;
  /** @throws {ConsulError} */
  readonly parse: (body: unknown, name: ServiceName) => ParsedService;
  /** Changes while this runs; what is not in it is not fetched. */
  readonly services: ReadonlyMap<ServiceName, ServiceWatch>;
  readonly watcher: QueryWatcher;
  /** Shared with the other queries at the same agent. */
  readonly backOff: BackOff;
  readonly random: Random;
}

const FETCHERS = 8;
/** A fetch that failed is made again after up to this; meanwhile others go on. */
const AGAIN_MS = 2000;

/**
 * Fetches services, some at a time: first those that are known to have changed, then those that only might have.
 *
 * A service is fetched by one worker at a time, and fetched again if it changed meanwhile: an older answer that
 * came late would else be taken for the newer one.
 */
export class FetchPool {
  readonly #options: FetchPoolOptions;
  readonly #stop = new AbortController();
  readonly #changed = new Set<ServiceName>();
  readonly #doubtful = new Set<ServiceName>();
  /** Being fetched; true if it is to be fetched again. */
  readonly #running = new Map<ServiceName, boolean>();
  #workers = 0;

  constructor(options: FetchPoolOptions) {
    this.#options = options;
  }

  /** These have changed. */
  fetch(names: Iterable<ServiceName>): void {
    for (const name of names) {
      this.#doubtful.delete(name);
      this.#want(name, this.#changed);
    }
  }

  /** These may have changed; no hurry. */
  sweep(names: Iterable<ServiceName>): void {
    for (const name of names) if (!this.#changed.has(name)) this.#want(name, this.#doubtful);
  }

  stop(): void {
    this.#stop.abort();
    this.#options.line.close();
  }

  #want(name: ServiceName, queue: Set<ServiceName>): void {
    if (this.#running.has(name)) this.#running.set(name, true);
    else queue.add(name);
    if (this.#workers === FETCHERS || this.#stop.signal.aborted) return;
    this.#workers++;
    void this.#work();
  }

  async #work(): Promise<void> {
    for (let name = this.#next(); name !== undefined; name = this.#next()) {
      const service = this.#options.services.get(name);
      if (!service) continue;
      this.#running.set(name, false);
      await this.#fetch(service);
      const again = this.#running.get(name);
      this.#running.delete(name);
      if (again) this.#changed.add(name);
    }
    this.#workers--;
  }

  #next(): ServiceName | undefined {
    if (this.#stop.signal.aborted) return undefined;
    for (const queue of [this.#changed, this.#doubtful]) {
      for (const name of queue) {
        queue.delete(name);
        return name;
      }
    }
    return undefined;
  }

  async #fetch(service: ServiceWatch): Promise<void> {
    const { line, dc, call, parse, watcher, backOff } = this.#options;
    const { signal } = this.#stop;
    const shared = await backOff.turn(signal);
    try {
      const answer = await line.call(call(service.name), {
        signal,
        timeoutMs: FRESH_TIMEOUT_MS,
        ...(dc !== undefined && { dc }),
      });
      const index = indexOf(answer);
      const value = parse(answer.body, service.name);
      shared.succeeded();
      watcher.contact(index);
      service.judgement.take({ value, index, filtered: answer.filtered });
    } catch (thrown) {
      if (signal.aborted) {
        shared.gaveUp();
        return;
      }
      const error = asFailure(thrown);
      shared.failed(error.retryAfterMs);
      watcher.error(error);
      service.judgement.failed(error);
      void this.#again(service.name);
    }
  }

  async #again(name: ServiceName): Promise<void> {
    const { signal } = this.#stop;
    const pauseMs = AGAIN_MS * (0.5 + this.#options.random() / 2);
    await delay(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (!signal.aborted) this.fetch([name]);
  }
}
