import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../model.ts';
import type { Health } from './host.ts';
import type { Limits } from './limits.ts';

export interface PulseOptions {
  /** Asks the child with `ping`. Resolves with any answer, an error too, and when the child ended. */
  readonly ping: () => Promise<void>;
  /** The child works on something. */
  readonly busy: () => boolean;
  readonly limits: Pick<Limits, 'provenMs' | 'pingTimeoutMs' | 'busyMs'>;
  readonly now: Clock;
}

/** Whether a child that is up still reacts. It is asked only when somebody wants to know and it has been silent. */
export class Pulse {
  readonly #options: PulseOptions;
  #heardAt: number;
  /** The ping that has no answer yet; a child that hangs does not get a second one. */
  #pinged: Promise<void> | undefined;

  constructor(options: PulseOptions) {
    this.#options = options;
    this.#heardAt = options.now();
  }

  /** The child has said something. */
  heard(): void {
    this.#heardAt = this.#options.now();
  }

  async check(): Promise<Health> {
    const { limits, ping, busy } = this.#options;
    if (this.#silence() <= limits.provenMs) return { kind: 'up' };
    const since = this.#heardAt;
    this.#pinged ??= ping().finally(() => {
      this.#pinged = undefined;
    });
    await Promise.race([this.#pinged, delay(limits.pingTimeoutMs, undefined, { ref: false })]);
    if (this.#heardAt > since) return { kind: 'up' };
    if (busy() && this.#silence() <= limits.busyMs) return { kind: 'busy' };
    return { kind: 'down', reason: `has not answered for ${Math.round(this.#silence() / 1000)} s` };
  }

  #silence(): number {
    return this.#options.now() - this.#heardAt;
  }
}
