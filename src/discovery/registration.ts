import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../model.ts';
import type { ConsulClient } from './consul-client.ts';
import type { ConsulLine } from './consul-line.ts';

/** A service as the agent's API takes it (API documentation: register service). */
export interface ServiceDefinition {
  readonly ID: string;
  readonly Name: string;
  readonly Address: string;
  readonly Port: number;
  readonly Tags: readonly string[];
  readonly Meta: Readonly<Record<string, string>>;
  readonly Weights?: { readonly Passing: number; readonly Warning: number };
  readonly Check: Readonly<Record<string, unknown>>;
}

export interface Registration {
  /** Takes the service out of Consul and stops looking after it. Never rejects. */
  deregister(): Promise<void>;
}

const CHECK_EVERY_MS = 5000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;
const TIMEOUT_MS = 5000;
/** Somebody waits for the program to end. */
const DEREGISTER_TIMEOUT_MS = 2000;

/**
 * Registers a service at the local agent and keeps it registered: an agent that lost it (a restart without its
 * state) is told again within seconds.
 */
export function keepRegistered(client: ConsulClient, service: ServiceDefinition, log: Log): Registration {
  const line = client.control();
  const stop = new AbortController();
  const ended = look(line, service, log, stop.signal);
  return {
    async deregister() {
      stop.abort();
      // A registration that is under way must not reach the agent after this.
      await ended;
      try {
        await line.put(
          `/agent/service/deregister/${encodeURIComponent(service.ID)}`,
          undefined,
          DEREGISTER_TIMEOUT_MS,
        );
        log.info('deregistered from Consul', { service: service.Name, id: service.ID });
      } catch (error) {
        log.warn('could not be deregistered; its check will tell', { id: service.ID, reason: String(error) });
      }
      line.close();
    },
  };
}

async function look(
  line: ConsulLine,
  service: ServiceDefinition,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  let registered = false;
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (
        !registered ||
        !(await line.exists(`/agent/service/${encodeURIComponent(service.ID)}`, TIMEOUT_MS, signal))
      ) {
        await line.put('/agent/service/register', service, TIMEOUT_MS);
        log.info(registered ? 'registered in Consul again' : 'registered in Consul', {
          service: service.Name,
          id: service.ID,
        });
        registered = true;
      }
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      if (failures === 0)
        log.warn('could not be registered in Consul; trying on', { id: service.ID, reason: String(error) });
      failures++;
    }
    const pauseMs =
      failures === 0 ? CHECK_EVERY_MS : Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** (failures - 1));
    await delay(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}
