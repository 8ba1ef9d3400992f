import { z } from 'zod';
import type { Clock, Random, ServiceName } from '../model.ts';
import type { BackOff } from './back-off.ts';
import { BlockingQuery, type QueryWatcher } from './blocking-query.ts';
import { ConsulError } from './consul-answer.ts';
import type { ConsulCall, ConsulClient, ConsulLine } from './consul-client.ts';
import { Judgement } from './judgement.ts';
import type { ParsedService } from './parse-answers.ts';
import type { ServiceWatch } from './service-watch.ts';

export interface WakeUpOptions {
  readonly client: ConsulClient;
  readonly dc: string | undefined;
  readonly waitMs: number;
  readonly watcher: QueryWatcher;
  /** Changes while this runs; `servicesChanged` says so. */
  readonly services: ReadonlyMap<ServiceName, ServiceWatch>;
  readonly fetchCall: (name: ServiceName) => ConsulCall;
  /** @throws {ConsulError} */
  readonly parse: (body: unknown, name: ServiceName) => ParsedService;
  readonly backOff: BackOff;
  readonly now: Clock;
  readonly random: Random;
}

const stateAnswer = z.array(
  z.object({
    Node: z.string(),
    CheckID: z.string(),
    Status: z.string(),
    ServiceID: z.string().default(''),
    ServiceName: z.string().default(''),
    ModifyIndex: z.number().default(0),
  }),
);

/** Of all checks: what each service's checks look like, and each node's. */
interface Marks {
  readonly byService: ReadonlyMap<string, string>;
  readonly byNode: ReadonlyMap<string, string>;
}

const FETCHERS = 8;
const FETCH_TIMEOUT_MS = 20_000;
/** A change that no check shows (a service without checks) is found within about this time. */
const SWEEP_MS = 60_000;

/**
 * Watches many services with one blocking query: `health/state/any` changes with every check and nearly every
 * registration; which services' marks differ is computed here, and a few workers fetch those.
 */
export class WakeUp {
  readonly #options: WakeUpOptions;
  readonly #query: BlockingQuery<Marks>;
  readonly #judgement: Judgement<Marks>;
  readonly #line: ConsulLine;
  readonly #stop = new AbortController();
  readonly #wanted = new Set<ServiceName>();
  #marks: Marks = { byService: new Map(), byNode: new Map() };
  #fetching = 0;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: WakeUpOptions) {
    this.#options = options;
    this.#line = options.client.control();
    this.#judgement = new Judgement({
      same: sameMarks,
      // Marks only wake; whether a service is believed is judged by its own answer.
      doubt: () => undefined,
      holdMs: 0,
      onChange: (discovered) => {
        if (discovered.kind === 'believed') this.#woken(discovered.value);
        else if (discovered.kind === 'failed') {
          for (const service of options.services.values()) service.judgement.failed(discovered.error);
        }
      },
    });
    this.#query = new BlockingQuery({
      line: options.client.query(),
      call: (consul, call) => consul.health.state({ state: 'any', ...call }),
      dc: options.dc,
      waitMs: options.waitMs,
      parse: parseMarks,
      judgement: this.#judgement,
      watcher: options.watcher,
      backOff: options.backOff,
      now: options.now,
      random: options.random,
    });
  }

  start(): void {
    this.#query.start();
    this.#sweeper = setInterval(() => this.#want(this.#options.services.keys()), SWEEP_MS).unref();
  }

  stop(): void {
    this.#stop.abort();
    this.#query.stop();
    this.#judgement.close();
    this.#line.close();
    clearInterval(this.#sweeper);
  }

  /** New services are fetched at once. */
  servicesChanged(): void {
    const fresh = [...this.#options.services.values()].filter((service) => service.doubt === 'not-synced');
    this.#want(fresh.map((service) => service.name));
  }

  #woken(marks: Marks): void {
    const before = this.#marks;
    this.#marks = marks;
    const nodes = changedKeys(before.byNode, marks.byNode);
    const names = changedKeys(before.byService, marks.byService);
    const concerned = [...this.#options.services.values()].filter(
      (service) =>
        names.has(service.name) ||
        service.doubt !== undefined ||
        service.known.instances.some(({ instance }) => nodes.has(instance.node)),
    );
    this.#want(concerned.map((service) => service.name));
  }

  #want(names: Iterable<ServiceName>): void {
    for (const name of names) this.#wanted.add(name);
    while (this.#fetching < FETCHERS && this.#fetching < this.#wanted.size) {
      this.#fetching++;
      void this.#work();
    }
  }

  async #work(): Promise<void> {
    const { signal } = this.#stop;
    for (const name of this.#wanted) {
      if (signal.aborted) break;
      // Before the fetch: a change that comes meanwhile is wanted again.
      this.#wanted.delete(name);
      const service = this.#options.services.get(name);
      if (service) await this.#fetch(service, signal);
    }
    this.#fetching--;
  }

  async #fetch(service: ServiceWatch, signal: AbortSignal): Promise<void> {
    const { dc, fetchCall, parse, watcher } = this.#options;
    try {
      const answer = await this.#line.call(fetchCall(service.name), {
        signal,
        timeoutMs: FETCH_TIMEOUT_MS,
        ...(dc !== undefined && { dc }),
      });
      const value = parse(answer.body, service.name);
      watcher.contact();
      service.judgement.take({ value, index: answer.index ?? 1n, filtered: answer.filtered });
    } catch (error) {
      if (signal.aborted) return;
      const failure =
        error instanceof ConsulError ? error : new ConsulError('garbage', String(error), { cause: error });
      watcher.error(failure);
      service.judgement.failed(failure);
    }
  }
}

function parseMarks(body: unknown): Marks {
  const parsed = stateAnswer.safeParse(body);
  if (!parsed.success)
    throw new ConsulError('garbage', 'answered health/state/any with JSON that Consul would not send');
  const byService = new Map<string, string>();
  const byNode = new Map<string, string>();
  for (const check of parsed.data) {
    const [marks, key] = check.ServiceName === '' ? [byNode, check.Node] : [byService, check.ServiceName];
    const mark = `${check.Node} ${check.ServiceID} ${check.CheckID} ${check.Status} ${check.ModifyIndex}`;
    marks.set(key, `${marks.get(key) ?? ''}\n${mark}`);
  }
  return { byService, byNode };
}

function changedKeys(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): ReadonlySet<string> {
  const changed = new Set<string>();
  for (const [key, mark] of after) if (before.get(key) !== mark) changed.add(key);
  for (const key of before.keys()) if (!after.has(key)) changed.add(key);
  return changed;
}

function sameMarks(a: Marks, b: Marks): boolean {
  return changedKeys(a.byService, b.byService).size === 0 && changedKeys(a.byNode, b.byNode).size === 0;
}
