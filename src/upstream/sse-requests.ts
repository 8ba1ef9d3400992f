import type { RawJson } from '../model.ts';
import { memberObject, memberText } from '../relay/json-scan.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import type { SseRequest } from './sse-request.ts';

/** The requests that run in one session, and whom of them a message of the server concerns. */
export class SseRequests {
  readonly #running = new Map<string, SseRequest>();

  get size(): number {
    return this.#running.size;
  }

  has(id: RawJson): boolean {
    return this.#running.has(idKey(id));
  }

  add(id: RawJson, request: SseRequest): void {
    this.#running.set(idKey(id), request);
  }

  delete(id: RawJson): void {
    this.#running.delete(idKey(id));
  }

  all(): readonly SseRequest[] {
    return [...this.#running.values()];
  }

  withId(id: RawJson): SseRequest | undefined {
    return this.#running.get(idKey(id));
  }

  withToken(token: string): SseRequest | undefined {
    const key = idKey(token);
    for (const request of this.#running.values()) if (request.progressToken === key) return request;
    return undefined;
  }

  /** The one that hears, if it is one. */
  only(): SseRequest | undefined {
    let only: SseRequest | undefined;
    for (const request of this.#running.values()) {
      if (!request.hears) continue;
      if (only) return undefined;
      only = request;
    }
    return only;
  }

  /** The latest of those that hear. */
  latest(): SseRequest | undefined {
    return this.all().findLast((request) => request.hears);
  }
}

/** The token under which the sender wants progress, as a key. */
export function progressTokenOf({ text, params }: RequestEnvelope): string | undefined {
  const meta = params && memberObject(text, params, '_meta');
  const token = meta && memberText(text, meta, 'progressToken');
  return token === undefined ? undefined : idKey(token);
}

/** Ids and tokens as keys, from JSON text: `1` and `1.0` are one, `1` and `"1"` are two. */
function idKey(raw: string): string {
  const plain = raw.startsWith('"') ? !raw.includes('\\') : /^-?\d{1,15}$/.test(raw);
  if (plain) return raw;
  try {
    const value: unknown = JSON.parse(raw);
    return typeof value === 'number' ? String(value) : JSON.stringify(value);
  } catch {
    return raw;
  }
}
