import type { Clock, Instance, InstanceId, RoutingTable } from '../model.ts';

interface Drain {
  readonly registration: string;
  readonly since: number;
}

/** Kept for so long after its end, so that every running call has been looked at. */
const SLACK_MS = 60_000;

/**
 * Instances that are taken out of service, by maintenance or by deregistration: calls that run there may come to
 * their end, within a limit. A critical one is not among them: it may be back in a moment.
 */
export class Drains {
  readonly #limitMs: number;
  readonly #now: Clock;
  readonly #drains = new Map<InstanceId, Drain>();

  constructor(limitMs: number, now: Clock) {
    this.#limitMs = limitMs;
    this.#now = now;
  }

  follow(next: RoutingTable, previous: RoutingTable): void {
    const now = this.#now();
    for (const route of previous.services.values()) {
      if (next.services.get(route.name) === route) continue;
      for (const instance of route.instances.values()) {
        if (isOut(instance, next)) this.#begin(instance, now);
      }
    }
    for (const [id, { since }] of this.#drains) {
      if (now - since > this.#limitMs + SLACK_MS) this.#drains.delete(id);
    }
    for (const route of next.services.values()) {
      if (previous.services.get(route.name) === route) continue;
      for (const instance of route.instances.values()) {
        const isBack = this.#drains.get(instance.id)?.registration === instance.registration;
        if (isBack && !isOut(instance, next)) this.#drains.delete(instance.id);
      }
    }
  }

  /** A call that runs there has had its time. */
  isOver({ id, registration }: Instance, now: number): boolean {
    if (this.#drains.size === 0) return false;
    const drain = this.#drains.get(id);
    return drain?.registration === registration && now - drain.since > this.#limitMs;
  }

  get size(): number {
    return this.#drains.size;
  }

  #begin({ id, registration }: Instance, now: number): void {
    if (this.#drains.get(id)?.registration !== registration)
      this.#drains.set(id, { registration, since: now });
  }
}

/** In maintenance, deregistered, or registered anew as something else. */
export function isOut({ id, service, registration }: Instance, table: RoutingTable): boolean {
  const now = table.services.get(service)?.instances.get(id);
  return now?.registration !== registration || now.state === 'maintenance';
}
