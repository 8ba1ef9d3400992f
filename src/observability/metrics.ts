import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** A value that is read when Prometheus asks. */
export interface Readings {
  readonly tableVersion: () => number;
  readonly services: () => number;
  readonly tools: () => number;
  /** Instances by Consul state. */
  readonly instances: () => ReadonlyMap<string, number>;
  readonly sessions: () => number;
  readonly runningCalls: () => number;
  /** Seconds since Consul last said something that was believed, by datacenter. */
  readonly consulAgeSeconds: () => ReadonlyMap<string, number>;
  /** By datacenter: 1 while Consul's word is believed, 0 while the last good state is kept. */
  readonly consulUp: () => ReadonlyMap<string, number>;
  readonly consulQueries: () => number;
  /** Problems of registrations and definitions, by code. */
  readonly problems: () => ReadonlyMap<string, number>;
}

/**
 * Prometheus series, prefix `mcp_router_`. Labels are bounded: services and results, never tools, sessions or
 * anything that a client can make up.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #calls: Counter;
  readonly #duration: Histogram;
  readonly #attempts: Counter;
  readonly #swaps: Counter;
  readonly #looks: Histogram;
  readonly #consulErrors: Counter;

  constructor(readings: Readings) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#calls = new Counter({
      name: 'mcp_router_calls_total',
      help: 'Calls by service and result: ok, tool-error, rpc-error, cancelled, or the code of a router error.',
      labelNames: ['service', 'result'],
      registers,
    });
    this.#duration = new Histogram({
      name: 'mcp_router_call_duration_seconds',
      help: 'From the request to the last byte of the answer.',
      labelNames: ['service'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    });
    this.#attempts = new Counter({
      name: 'mcp_router_call_retries_total',
      help: 'Attempts beyond the first of a call.',
      labelNames: ['service'],
      registers,
    });
    this.#swaps = new Counter({
      name: 'mcp_router_table_swaps_total',
      help: 'Routing tables that replaced another.',
      registers,
    });
    this.#looks = new Histogram({
      name: 'mcp_router_probe_duration_seconds',
      help: 'Time to ask an instance what it can do, by how it ended.',
      labelNames: ['result'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    });
    this.#consulErrors = new Counter({
      name: 'mcp_router_consul_errors_total',
      help: 'Answers of Consul that were not believed, by reason.',
      labelNames: ['reason'],
      registers,
    });
    this.#gauges(readings, registers);
  }

  callEnded(service: string, result: string, attempts: number, durationMs: number): void {
    this.#calls.inc({ service, result });
    this.#duration.observe({ service }, durationMs / 1000);
    if (attempts > 1) this.#attempts.inc({ service }, attempts - 1);
  }

  tableSwapped(): void {
    this.#swaps.inc();
  }

  lookEnded(result: string, durationMs: number): void {
    this.#looks.observe({ result }, durationMs / 1000);
  }

  consulError(reason: string): void {
    this.#consulErrors.inc({ reason });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The whole page that Prometheus scrapes. */
  page(): Promise<string> {
    return this.#registry.metrics();
  }

  #gauges(readings: Readings, registers: Registry[]): void {
    const single = (name: string, help: string, read: () => number): void => {
      void new Gauge({
        name: `mcp_router_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    };
    const labelled = (
      name: string,
      help: string,
      label: string,
      read: () => ReadonlyMap<string, number>,
    ): void => {
      void new Gauge({
        name: `mcp_router_${name}`,
        help,
        labelNames: [label],
        registers,
        collect() {
          this.reset();
          for (const [value, count] of read()) this.set({ [label]: value }, count);
        },
      });
    };
    single('table_version', 'Version of the routing table in use.', readings.tableVersion);
    single('services', 'Services in the routing table.', readings.services);
    single('tools', 'Tools in the catalog.', readings.tools);
    single('sessions', 'Client sessions held by this process.', readings.sessions);
    single('calls_running', 'Calls under way.', readings.runningCalls);
    single('consul_queries', 'Blocking queries under way.', readings.consulQueries);
    labelled('instances', 'Registered instances by Consul state.', 'state', readings.instances);
    labelled('problems', 'Problems of registrations and servers by code.', 'code', readings.problems);
    labelled(
      'consul_age_seconds',
      'Seconds since Consul last said something that was believed.',
      'datacenter',
      readings.consulAgeSeconds,
    );
    labelled('consul_up', '1 while what Consul says is believed.', 'datacenter', readings.consulUp);
  }
}
