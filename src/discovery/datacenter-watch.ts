import type { Clock, DoubtReason, Log, Random, ServiceName } from '../model.ts';
import { BackOff } from './back-off.ts';
import { BlockingQuery, type QueryWatcher } from './blocking-query.ts';
import type { ConsulError } from './consul-answer.ts';
import type { ConsulClient } from './consul-client.ts';
import type { ConsulCall } from './consul-package.ts';
import { doubtNames } from './doubts.ts';
import { Judgement, type Discovered } from './judgement.ts';
import { parseCatalog, parseHealth, type ParsedService } from './parse-answers.ts';
import { ServiceWatch } from './service-watch.ts';
import { WakeUp } from './wake-up.ts';

export interface DatacenterWatchOptions {
  readonly client: ConsulClient;
  /** Undefined: the agent's own. */
  readonly dc: string | undefined;
  readonly tag: string;
  readonly waitMs: number;
  /** Blocking queries at one agent; beyond, one query wakes a pool of fetches. */
  readonly maxQueries: number;
  readonly holdMs: number;
  /** @param service the one that changed; undefined when the names did */
  readonly onChange: (service: ServiceName | undefined) => void;
  /** A query was answered, or is not made any more. */
  readonly onAnswered: (query: string) => void;
  readonly onError: (error: ConsulError, query: string) => void;
  readonly log: Log;
  readonly now: Clock;
  readonly random: Random;
}

/** Below this part of the limit the single queries come back. */
const HYSTERESIS = 0.8;

/**
 * One datacenter: a blocking query for the names (`catalog/services` wakes on registrations and never on
 * health), and for each `mcp` service one for its instances. Where there are more services than an agent lets
 * one client watch, a single query over all checks says which services to fetch.
 */
export class DatacenterWatch {
  readonly #options: DatacenterWatchOptions;
  readonly #backOff: BackOff;
  readonly #names: BlockingQuery<readonly string[]>;
  readonly #namesJudgement: Judgement<readonly string[]>;
  readonly #services = new Map<ServiceName, ServiceWatch>();
  readonly #queries = new Map<ServiceName, BlockingQuery<ParsedService>>();
  #wakeUp: WakeUp | undefined;
  #namesDoubt: DoubtReason | undefined = 'not-synced';
  #failedAtStart = false;
  #index: bigint | undefined;
  #lastContactAt: number | undefined;
  #stopped = false;

  constructor(options: DatacenterWatchOptions) {
    this.#options = options;
    this.#backOff = new BackOff(options.now, options.random);
    this.#namesJudgement = new Judgement({
      same: (a, b) => a.length === b.length && a.every((name, at) => name === b[at]),
      doubt: doubtNames,
      holdMs: options.holdMs,
      onChange: (discovered) => this.#takeNames(discovered),
    });
    this.#names = new BlockingQuery({
      ...this.#common(),
      line: options.client.query(),
      call: (consul, call) => consul.catalog.service.list(call),
      parse: (body) => parseCatalog(body, options.tag),
      judgement: this.#namesJudgement,
      watcher: this.#watcher('catalog/services', (index) => this.#namesIndex(index)),
    });
  }

  start(): void {
    this.#names.start();
  }

  stop(): void {
    this.#stopped = true;
    this.#names.stop();
    this.#namesJudgement.close();
    this.#wakeUp?.stop();
    for (const name of this.#services.keys()) this.#forget(name);
  }

  get services(): ReadonlyMap<ServiceName, ServiceWatch> {
    return this.#services;
  }

  /** Of the list of names. */
  get doubt(): DoubtReason | undefined {
    return this.#namesDoubt;
  }

  /** The names are known, and of each service something is, be it only that asking failed. */
  get synced(): boolean {
    if (this.#namesDoubt === 'not-synced') return false;
    for (const service of this.#services.values()) if (service.doubt === 'not-synced') return false;
    return true;
  }

  /** It could not be asked so far: others need not wait for it. */
  get unreached(): boolean {
    return this.#namesDoubt === 'not-synced' && this.#failedAtStart;
  }

  /** Milliseconds since Consul last answered; undefined before the first time. */
  get lastContactMs(): number | undefined {
    return this.#lastContactAt === undefined ? undefined : this.#options.now() - this.#lastContactAt;
  }

  /** Of the list of names: grows with every registration. Undefined before the first answer. */
  get index(): bigint | undefined {
    return this.#index;
  }

  /** Blocking queries under way. */
  get queries(): number {
    return 1 + this.#queries.size + (this.#wakeUp ? 1 : 0);
  }

  #takeNames(discovered: Discovered<readonly string[]>): void {
    if (this.#stopped) return;
    const synced = this.#namesDoubt !== 'not-synced';
    switch (discovered.kind) {
      case 'believed':
        this.#namesDoubt = undefined;
        this.#setServices(discovered.value as readonly ServiceName[], true);
        break;
      case 'doubted':
        // A server without a leader at the very start is no first sync.
        if (synced || discovered.reason !== 'empty-at-start') this.#namesDoubt = discovered.reason;
        this.#setServices(discovered.value as readonly ServiceName[], false);
        break;
      case 'failed':
        if (synced) this.#namesDoubt = discovered.error.reason;
        else this.#failedAtStart = true;
    }
    this.#options.onChange(undefined);
  }

  #namesIndex(index: bigint): void {
    const moved = index !== this.#index;
    this.#index = index;
    if (moved) this.#wakeUp?.registrationsChanged();
  }

  /** @param final whether a service that is missing from `names` is gone */
  #setServices(names: readonly ServiceName[], final: boolean): void {
    const present = new Set(names);
    if (final) for (const name of this.#services.keys()) if (!present.has(name)) this.#forget(name);
    for (const name of names) {
      if (this.#services.has(name)) continue;
      const { holdMs, onChange } = this.#options;
      this.#services.set(name, new ServiceWatch(name, holdMs, () => onChange(name)));
    }
    this.#arrange();
  }

  #forget(name: ServiceName): void {
    this.#services.get(name)?.close();
    this.#services.delete(name);
    this.#queries.get(name)?.stop();
    this.#queries.delete(name);
    this.#options.onAnswered(healthPath(name));
  }

  /** One query a service while they fit, else one that wakes. */
  #arrange(): void {
    const { maxQueries, log } = this.#options;
    const limit = maxQueries - 1;
    if (!this.#wakeUp && this.#services.size > limit) {
      log.info('more services than blocking queries: one query wakes for all', {
        services: this.#services.size,
        maxQueries,
      });
      for (const query of this.#queries.values()) query.stop();
      this.#queries.clear();
      this.#wakeUp = this.#newWakeUp();
      this.#wakeUp.start();
    } else if (this.#wakeUp && this.#services.size <= limit * HYSTERESIS) {
      this.#wakeUp.stop();
      this.#wakeUp = undefined;
    }
    if (this.#wakeUp) {
      this.#wakeUp.servicesChanged();
      return;
    }
    for (const [name, service] of this.#services) {
      if (this.#queries.has(name)) continue;
      const query = new BlockingQuery({
        ...this.#common(),
        line: this.#options.client.query(),
        call: healthCall(name),
        parse: (body) => this.#parse(body, name),
        judgement: service.judgement,
        watcher: this.#watcher(healthPath(name)),
      });
      this.#queries.set(name, query);
      query.start();
    }
  }

  #newWakeUp(): WakeUp {
    return new WakeUp({
      ...this.#common(),
      client: this.#options.client,
      watcher: this.#watcher('health/state/any'),
      services: this.#services,
      fetchCall: healthCall,
      parse: (body, name) => this.#parse(body, name),
    });
  }

  #parse(body: unknown, name: ServiceName): ParsedService {
    return parseHealth(body, name, this.#options.tag, this.#options.dc ?? '');
  }

  #common() {
    const { dc, waitMs, now, random } = this.#options;
    return { dc, waitMs, now, random, backOff: this.#backOff };
  }

  #watcher(query: string, onIndex?: (index: bigint) => void): QueryWatcher {
    return {
      contact: (index) => {
        this.#lastContactAt = this.#options.now();
        this.#options.onAnswered(query);
        onIndex?.(index);
      },
      error: (error) => this.#options.onError(error, query),
    };
  }
}

function healthPath(service: ServiceName): string {
  return `health/service/${service}`;
}

/** Without `passing`: that would hide warnings and maintenance, and wakes no less often. */
function healthCall(service: ServiceName): ConsulCall {
  return (consul, call) => consul.health.service({ service, ...call });
}
