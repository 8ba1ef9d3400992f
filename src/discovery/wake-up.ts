import { z } from 'zod';
import type { Clock, Random, ServiceName } from '../model.ts';
import type { BackOff } from './back-off.ts';
import { BlockingQuery, type QueryWatcher } from './blocking-query.ts';
import { ConsulError } from './consul-answer.ts';
import type { ConsulClient } from './consul-client.ts';
import type { ConsulCall } from './consul-package.ts';
import { FetchPool } from './fetch-pool.ts';
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

/** What nothing told of is found within about this time. */
const SWEEP_MS = 60_000;
/** Registrations of others look like those of ours: one look at all services serves those of this time. */
const REGISTRATIONS_MS = 10_000;

/**
 * Watches many services with one blocking query. `health/state/any` changes with every check and with the checks
 * of every registration; which services' marks differ is computed here, and a few workers fetch those. A
 * registration without checks, or of other meta alone, leaves no mark: the catalog tells that there was one
 * somewhere, and all services are looked at.
 */
export class WakeUp {
  readonly #options: WakeUpOptions;
  readonly #query: BlockingQuery<Marks>;
  readonly #judgement: Judgement<Marks>;
  readonly #pool: FetchPool;
  /** Undefined before the first answer. What was fetched before it would have to be fetched again. */
  #marks: Marks | undefined;
  #sweeper: NodeJS.Timeout | undefined;
  #swept: { atMs: number; next: NodeJS.Timeout | undefined } = { atMs: -Infinity, next: undefined };

  constructor(options: WakeUpOptions) {
    const { client, dc, waitMs, watcher, services, backOff, now, random } = options;
    this.#options = options;
    this.#pool = new FetchPool({
      line: client.control(),
      dc,
      call: options.fetchCall,
      parse: options.parse,
      services,
      watcher,
      backOff,
      random,
    });
    this.#judgement = new Judgement({
      same: sameMarks,
      // Marks only wake; whether a service is believed is judged by its own answer.
      doubt: () => undefined,
      holdMs: 0,
      onChange: (discovered) => {
        if (discovered.kind === 'believed') this.#woken(discovered.value);
        else if (discovered.kind === 'failed') {
          for (const service of services.values()) service.judgement.failed(discovered.error);
        }
      },
    });
    this.#query = new BlockingQuery({
      line: client.query(),
      call: (consul, call) => consul.health.state({ state: 'any', ...call }),
      dc,
      waitMs,
      parse: parseMarks,
      judgement: this.#judgement,
      watcher,
      backOff,
      now,
      random,
    });
  }

  start(): void {
    this.#query.start();
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  stop(): void {
    this.#query.stop();
    this.#judgement.close();
    this.#pool.stop();
    clearInterval(this.#sweeper);
    clearTimeout(this.#swept.next);
  }

  /** New services are fetched at once. */
  servicesChanged(): void {
    if (!this.#marks) return;
    const fresh = [...this.#options.services.values()].filter((service) => service.doubt === 'not-synced');
    this.#pool.fetch(fresh.map((service) => service.name));
  }

  /** Something was registered or deregistered somewhere: the first is followed at once, more of them together. */
  registrationsChanged(): void {
    if (this.#swept.next) return;
    const pauseMs = this.#swept.atMs + REGISTRATIONS_MS - this.#options.now();
    if (pauseMs <= 0) this.#sweep();
    else this.#swept.next = setTimeout(() => this.#sweep(), pauseMs).unref();
  }

  #sweep(): void {
    clearTimeout(this.#swept.next);
    this.#swept = { atMs: this.#options.now(), next: undefined };
    if (!this.#marks) return;
    this.#pool.sweep(this.#options.services.keys());
  }

  #woken(marks: Marks): void {
    const before = this.#marks ?? { byService: new Map(), byNode: new Map() };
    this.#marks = marks;
    const nodes = changedKeys(before.byNode, marks.byNode);
    const names = changedKeys(before.byService, marks.byService);
    const concerned = [...this.#options.services.values()].filter(
      (service) =>
        names.has(service.name) ||
        // Not synced yet, or in doubt.
        service.doubt !== undefined ||
        service.known.instances.some(({ instance }) => nodes.has(instance.node)),
    );
    this.#pool.fetch(concerned.map((service) => service.name));
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
