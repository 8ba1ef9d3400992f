import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Values that are read when Prometheus asks. */
export interface Readings {
  readonly tableVersion: () => number;
  readonly services: () => number;
  readonly tools: () => number;
  /** By Consul state. */
  readonly instances: () => ReadonlyMap<string, number>;
  /** Instances that get no calls because of their own failures, by service. */
  readonly ejected: () => ReadonlyMap<string, number>;
  readonly sessions: () => number;
  readonly callsRunning: () => number;
  readonly callsWaiting: () => number;
  /** Seconds since Consul last answered, by datacenter. */
  readonly consulAgeSeconds: () => ReadonlyMap<string, number>;
  /** By datacenter: 1 while Consul's word is believed, 0 while the last good state is kept. */
  readonly consulUp: () => ReadonlyMap<string, number>;
  readonly consulQueries: () => number;
  /** By the kind of store: 1 while it can be used. */
  readonly storeUp: () => ReadonlyMap<string, number>;
  /** Problems of registrations and definitions, by code. */
  readonly problems: () => ReadonlyMap<string, number>;
}

interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
  readonly buckets?: readonly number[];
}

const metric = <const One extends Metric>(one: One): One => one;

/** Every series, once. Labels are bounded: services and results, never what a client can make up. */
const metrics = {
  calls: metric({
    name: 'mcp_router_calls_total',
    type: 'counter',
    labels: ['service', 'result'],
    help: 'Calls by service and result: ok, tool-error, rpc-error, cancelled, or the code of a router error.',
  }),
  callDuration: metric({
    name: 'mcp_router_call_duration_seconds',
    type: 'histogram',
    labels: ['service'],
    help: 'From the request to the last byte of the answer.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  }),
  callRetries: metric({
    name: 'mcp_router_call_retries_total',
    type: 'counter',
    labels: ['service'],
    help: 'Attempts beyond the first of a call.',
  }),
  callsRunning: metric({
    name: 'mcp_router_calls_running',
    type: 'gauge',
    labels: [],
    help: 'Calls under way.',
  }),
  callsWaiting: metric({
    name: 'mcp_router_calls_waiting',
    type: 'gauge',
    labels: [],
    help: 'Calls that wait for room at an instance (mcp-max-concurrency).',
  }),
  retriesDenied: metric({
    name: 'mcp_router_retries_denied_total',
    type: 'counter',
    labels: ['service'],
    help: 'Calls that were not repeated because the retry budget was used up.',
  }),
  hedges: metric({
    name: 'mcp_router_hedges_total',
    type: 'counter',
    labels: ['service', 'result'],
    help: 'Second attempts beside a silent first one, by who answered first: won (the second), lost.',
  }),
  sessions: metric({
    name: 'mcp_router_sessions',
    type: 'gauge',
    labels: [],
    help: 'Client sessions held by this process.',
  }),
  tableVersion: metric({
    name: 'mcp_router_table_version',
    type: 'gauge',
    labels: [],
    help: 'Version of the routing table in use.',
  }),
  tableSwaps: metric({
    name: 'mcp_router_table_swaps_total',
    type: 'counter',
    labels: [],
    help: 'Routing tables that replaced another.',
  }),
  services: metric({
    name: 'mcp_router_services',
    type: 'gauge',
    labels: [],
    help: 'Services in the routing table.',
  }),
  instances: metric({
    name: 'mcp_router_instances',
    type: 'gauge',
    labels: ['state'],
    help: 'Registered instances by Consul state: passing, warning, critical, maintenance.',
  }),
  ejected: metric({
    name: 'mcp_router_ejected_instances',
    type: 'gauge',
    labels: ['service'],
    help: 'Instances that get no calls because of their own failures, whatever Consul says.',
  }),
  ejections: metric({
    name: 'mcp_router_ejections_total',
    type: 'counter',
    labels: ['service', 'reason'],
    help: 'Ejections by the failure that was one too many: failed, timed-out, list-failed.',
  }),
  tools: metric({ name: 'mcp_router_tools', type: 'gauge', labels: [], help: 'Tools in the catalog.' }),
  problems: metric({
    name: 'mcp_router_problems',
    type: 'gauge',
    labels: ['code'],
    help: 'Problems of registrations and servers by code; /api/v1/services/:name has the sentences.',
  }),
  refusals: metric({
    name: 'mcp_router_refusals_total',
    type: 'counter',
    labels: ['decision', 'mode'],
    help: 'What the rules refused by decision (deny, step-up) and mode: enforce, or dry-run where it was let through.',
  }),
  probes: metric({
    name: 'mcp_router_probe_duration_seconds',
    type: 'histogram',
    labels: ['result'],
    help: 'Time to ask an instance what it can do, by how it ended: learned or failed.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  }),
  consulUp: metric({
    name: 'mcp_router_consul_up',
    type: 'gauge',
    labels: ['datacenter'],
    help: '1 while what Consul says is believed, 0 while the last good state is kept.',
  }),
  consulAge: metric({
    name: 'mcp_router_consul_age_seconds',
    type: 'gauge',
    labels: ['datacenter'],
    help: 'Seconds since Consul last answered a query.',
  }),
  consulQueries: metric({
    name: 'mcp_router_consul_queries',
    type: 'gauge',
    labels: [],
    help: 'Blocking queries under way.',
  }),
  consulErrors: metric({
    name: 'mcp_router_consul_errors_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Answers of Consul that were none or were not believed, by reason.',
  }),
  storeUp: metric({
    name: 'mcp_router_store_up',
    type: 'gauge',
    labels: ['store'],
    help: '1 while what replicas share can be used, 0 while this one works from its own memory.',
  }),
  storeFailures: metric({
    name: 'mcp_router_store_failures_total',
    type: 'counter',
    labels: ['operation'],
    help: 'Operations of the store that failed or took too long, and were done in memory. While it is known to be lost it is not asked.',
  }),
} as const;

/** For the reference page. */
export const metricTable: readonly Metric[] = Object.values(metrics);

/** Prometheus series with the prefix `mcp_router_`. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #calls: Counter;
  readonly #duration: Histogram;
  readonly #retries: Counter;
  readonly #retriesDenied: Counter;
  readonly #hedges: Counter;
  readonly #swaps: Counter;
  readonly #ejections: Counter;
  readonly #refusals: Counter;
  readonly #probes: Histogram;
  readonly #consulErrors: Counter;
  readonly #storeFailures: Counter;

  constructor(readings: Readings) {
    collectDefaultMetrics({ register: this.#registry });
    this.#calls = this.#counter(metrics.calls);
    this.#duration = this.#histogram(metrics.callDuration);
    this.#retries = this.#counter(metrics.callRetries);
    this.#retriesDenied = this.#counter(metrics.retriesDenied);
    this.#hedges = this.#counter(metrics.hedges);
    this.#swaps = this.#counter(metrics.tableSwaps);
    this.#ejections = this.#counter(metrics.ejections);
    this.#refusals = this.#counter(metrics.refusals);
    this.#probes = this.#histogram(metrics.probes);
    this.#consulErrors = this.#counter(metrics.consulErrors);
    this.#storeFailures = this.#counter(metrics.storeFailures);
    this.#gauge(metrics.callsRunning, readings.callsRunning);
    this.#gauge(metrics.callsWaiting, readings.callsWaiting);
    this.#gauge(metrics.sessions, readings.sessions);
    this.#gauge(metrics.tableVersion, readings.tableVersion);
    this.#gauge(metrics.services, readings.services);
    this.#gauge(metrics.tools, readings.tools);
    this.#gauge(metrics.consulQueries, readings.consulQueries);
    this.#gaugeBy(metrics.instances, readings.instances);
    this.#gaugeBy(metrics.ejected, readings.ejected);
    this.#gaugeBy(metrics.problems, readings.problems);
    this.#gaugeBy(metrics.consulUp, readings.consulUp);
    this.#gaugeBy(metrics.consulAge, readings.consulAgeSeconds);
    this.#gaugeBy(metrics.storeUp, readings.storeUp);
  }

  callEnded(service: string, result: string, attempts: number, durationMs: number): void {
    this.#calls.inc({ service, result });
    this.#duration.observe({ service }, durationMs / 1000);
    if (attempts > 1) this.#retries.inc({ service }, attempts - 1);
  }

  retryDenied(service: string): void {
    this.#retriesDenied.inc({ service });
  }

  hedgeEnded(service: string, result: 'won' | 'lost'): void {
    this.#hedges.inc({ service, result });
  }

  tableSwapped(): void {
    this.#swaps.inc();
  }

  ejected(service: string, reason: string): void {
    this.#ejections.inc({ service, reason });
  }

  refused(decision: string, enforced: boolean): void {
    this.#refusals.inc({ decision, mode: enforced ? 'enforce' : 'dry-run' });
  }

  lookEnded(result: string, durationMs: number): void {
    this.#probes.observe({ result }, durationMs / 1000);
  }

  consulError(reason: string): void {
    this.#consulErrors.inc({ reason });
  }

  storeFailed(operation: string): void {
    this.#storeFailures.inc({ operation });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The whole page that Prometheus scrapes. */
  page(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter({ name, help, labels }: Metric): Counter {
    return new Counter({ name, help, labelNames: [...labels], registers: [this.#registry] });
  }

  #histogram({ name, help, labels, buckets = [] }: Metric): Histogram {
    return new Histogram({
      name,
      help,
      labelNames: [...labels],
      buckets: [...buckets],
      registers: [this.#registry],
    });
  }

  #gauge({ name, help }: Metric, read: () => number): void {
    void new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  #gaugeBy({ name, help, labels }: Metric, read: () => ReadonlyMap<string, number>): void {
    const [label = ''] = labels;
    void new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [value, count] of read()) this.set({ [label]: value }, count);
      },
    });
  }
}
