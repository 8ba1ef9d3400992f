import type { ServiceName } from '../model.ts';

/** A call for which every instance that may take it is full. */
export interface Waiter {
  /** Something has become free. @returns false where there is still no room for this one */
  tryNow(): boolean;
}

/**
 * Calls that wait for room at an instance (`mcp-max-concurrency`), first come, first served, and never many: a
 * long queue only makes answers that come too late. Who waits for how long is for the calls to watch.
 */
export class WaitingRoom {
  readonly #queues = new Map<ServiceName, Set<Waiter>>();
  readonly #max: number;
  #size = 0;
  /** Services whose queue is being gone through; true: once more after that. */
  readonly #serving = new Map<ServiceName, boolean>();

  /** @param max calls that may wait for one service */
  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  waiting(service: ServiceName): number {
    return this.#queues.get(service)?.size ?? 0;
  }

  /** @returns false where it is full */
  join(service: ServiceName, waiter: Waiter): boolean {
    const queue = this.#queues.get(service) ?? new Set();
    if (queue.size >= this.#max) return false;
    this.#queues.set(service, queue.add(waiter));
    this.#size++;
    return true;
  }

  leave(service: ServiceName, waiter: Waiter): void {
    const queue = this.#queues.get(service);
    if (!queue?.delete(waiter)) return;
    this.#size--;
    if (queue.size === 0) this.#queues.delete(service);
  }

  /** There is room at an instance of the service. */
  freed(service: ServiceName): void {
    if (!this.#queues.has(service)) return;
    if (this.#serving.has(service)) {
      // A waiter that got its turn was over at once: the room is there for the next.
      this.#serving.set(service, true);
      return;
    }
    do {
      this.#serving.set(service, false);
      for (const waiter of this.#queues.get(service) ?? []) {
        if (waiter.tryNow()) this.leave(service, waiter);
      }
    } while (this.#serving.get(service));
    this.#serving.delete(service);
  }
}
