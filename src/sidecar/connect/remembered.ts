import type { RequestEnvelope } from '../../relay/envelope.ts';
import { memberString } from '../../relay/json-scan.ts';

/** More subscriptions are not set again in a new session. */
const MAX_SUBSCRIPTIONS = 10_000;

/** What the client has set in its session, to be set again in a new one: the log level, subscriptions. */
export class Remembered {
  #level: RequestEnvelope | undefined;
  readonly #subscriptions = new Map<string, RequestEnvelope>();

  /** The server has agreed to the request. */
  agreed(request: RequestEnvelope): void {
    if (request.method === 'logging/setLevel') {
      this.#level = request;
      return;
    }
    if (request.method !== 'resources/subscribe' && request.method !== 'resources/unsubscribe') return;
    const uri = request.params && memberString(request.text, request.params, 'uri');
    if (uri === undefined) return;
    if (request.method === 'resources/unsubscribe') this.#subscriptions.delete(uri);
    else if (this.#subscriptions.size < MAX_SUBSCRIPTIONS) this.#subscriptions.set(uri, request);
  }

  get requests(): readonly RequestEnvelope[] {
    return [...(this.#level ? [this.#level] : []), ...this.#subscriptions.values()];
  }

  get uris(): Iterable<string> {
    return this.#subscriptions.keys();
  }

  clear(): void {
    this.#level = undefined;
    this.#subscriptions.clear();
  }
}
