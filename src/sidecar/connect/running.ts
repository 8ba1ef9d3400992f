import { RouterError } from '../../errors.ts';
import type { Call } from './call.ts';
import type { ConnectLimits } from './limits.ts';
import { overloaded } from './problems.ts';

/** The client's requests that are under way, by the keys of their ids. */
export class Running {
  readonly #limits: ConnectLimits;
  readonly #calls = new Map<string, Call>();
  #characters = 0;

  constructor(limits: ConnectLimits) {
    this.#limits = limits;
  }

  /** @throws {RouterError} OVERLOADED; INVALID_REQUEST where an id is in use */
  add(call: Call): void {
    if (call.keys.some((key) => this.#calls.has(key))) {
      throw new RouterError(
        'INVALID_REQUEST',
        'A request with this id is under way already. Use each id once (JSON-RPC 2.0; MCP, basic/index).',
      );
    }
    const { maxRunning, maxRunningCharacters } = this.#limits;
    const full = this.#calls.size + call.keys.length > maxRunning;
    if (full || this.#characters + call.text.length > maxRunningCharacters) {
      throw overloaded(this.#calls.size);
    }
    this.#characters += call.text.length;
    for (const key of call.keys) this.#calls.set(key, call);
  }

  get(key: string): Call | undefined {
    return this.#calls.get(key);
  }

  /** The id may be used again. */
  remove(key: string): void {
    this.#calls.delete(key);
  }

  /** The call is over altogether. */
  release(call: Call): void {
    this.#characters -= call.text.length;
  }

  /** Those that somebody waits for: an endless one never ends by itself. */
  get awaited(): number {
    let awaited = 0;
    for (const call of this.#calls.values()) if (!call.endless) awaited++;
    return awaited;
  }

  all(): ReadonlySet<Call> {
    return new Set(this.#calls.values());
  }
}
