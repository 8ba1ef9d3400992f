import type { Log } from '../model.ts';
import type { ConsulError } from './consul-answer.ts';

/**
 * Says once that something fails, and not for every query and every try: an agent that is lost fails a hundred
 * queries at once. Said again after all of them were answered in between.
 */
export class FailureLog {
  readonly #log: Log;
  /** Queries that fail by now, by what they fail of. */
  readonly #failing = new Map<string, Set<string>>();

  constructor(log: Log) {
    this.#log = log;
  }

  failed(error: ConsulError, query: string, fields: Readonly<Record<string, unknown>>): void {
    const kind = `${error.reason} ${error.status ?? ''}`;
    const failing = this.#failing.get(kind) ?? new Set();
    this.#failing.set(kind, failing);
    if (failing.size === 0) {
      this.#log.warn('Consul could not be asked', { query, ...fields, reason: error.message });
    }
    failing.add(query);
  }

  /** The query was answered, or is not made any more. */
  answered(query: string): void {
    for (const failing of this.#failing.values()) failing.delete(query);
  }
}
