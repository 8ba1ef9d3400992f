import { StoreLost, type RedisLink } from './redis-link.ts';

/** Of what is remembered here; of more, the oldest is given up. */
const MAX_OPERATIONS = 10_000;
const MAX_BYTES = 16 << 20;

interface Operation {
  readonly run: () => Promise<unknown>;
  readonly bytes: number;
}

/** What could not be done to the store while it was lost, and is done in the same order when it is back. */
export class Owed {
  readonly #operations: Operation[] = [];
  #bytes = 0;
  #paying = false;

  constructor(link: RedisLink) {
    link.onUp(() => void this.#pay());
  }

  /** @param bytes about what it holds in memory */
  add(run: () => Promise<unknown>, bytes: number): void {
    this.#operations.push({ run, bytes });
    this.#bytes += bytes;
    while (this.#operations.length > MAX_OPERATIONS || this.#bytes > MAX_BYTES) this.#shift();
  }

  async #pay(): Promise<void> {
    if (this.#paying) return;
    this.#paying = true;
    try {
      for (;;) {
        const [first] = this.#operations;
        if (!first) return;
        await first.run().catch((error: unknown) => {
          if (error instanceof StoreLost) throw error;
          // It was tried, and the link has reported it.
        });
        if (this.#operations[0] === first) this.#shift();
      }
    } catch {
      // Lost again; the rest stays owed.
    } finally {
      this.#paying = false;
    }
  }

  #shift(): void {
    this.#bytes -= this.#operations.shift()?.bytes ?? 0;
  }
}
