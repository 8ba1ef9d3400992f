import type { RawJson } from '../../model.ts';
import {
  replaceMember,
  type NotificationEnvelope,
  type RequestEnvelope,
  type ResponseEnvelope,
} from '../../relay/envelope.ts';
import { memberText, splice } from '../../relay/json-scan.ts';
import { idKey } from './client-message.ts';
import { ownId } from './link.ts';

interface Open {
  /** As the server spelled it. */
  readonly id: RawJson;
  readonly generation: number;
}

/** More open requests of a server are not answered any more, the oldest first. */
const MAX_OPEN = 10_000;

/**
 * What the server asks the client (sampling, elicitation, roots, ping), and in which session. A new session may
 * count its ids from the beginning, and an answer that a person gave to a question of the old one must not become
 * the answer to another question: an id that is taken is replaced for the client.
 */
export class ServerRequests {
  /** By the key of the id that the client sees. */
  readonly #open = new Map<string, Open>();

  /** What the client shall read. */
  arrived(request: RequestEnvelope, generation: number): string {
    const taken = this.#open.get(idKey(request.id));
    const id = taken && taken.generation !== generation ? ownId() : request.id;
    this.#open.set(idKey(id), { id: request.id, generation });
    if (this.#open.size > MAX_OPEN) this.#open.delete(this.#open.keys().next().value ?? '');
    return id === request.id ? request.text : withId(request, id);
  }

  /** What the server of the session `generation` shall read; undefined: it did not ask that. */
  answered(response: ResponseEnvelope, generation: number): string | undefined {
    const key = idKey(response.id);
    const open = this.#open.get(key);
    this.#open.delete(key);
    if (open?.generation !== generation) return undefined;
    return open.id === response.id ? response.text : withId(response, open.id);
  }

  /** The server takes a request back; what the client shall read. */
  cancelled(notification: NotificationEnvelope, generation: number): string {
    const { params, text } = notification;
    const id = params && (memberText(text, params, 'requestId') as RawJson | undefined);
    if (id === undefined) return text;
    for (const [key, open] of this.#open) {
      if (open.generation !== generation || idKey(open.id) !== idKey(id)) continue;
      this.#open.delete(key);
      const edit = key === idKey(id) ? undefined : replaceMember(params, 'requestId', key);
      return edit ? splice(text, [edit]) : text;
    }
    return text;
  }

  /** That session is gone. What the client shall read: nobody waits for its answers. Their ids stay taken. */
  lost(generation: number): readonly string[] {
    return [...this.#open]
      .filter(([, open]) => open.generation === generation)
      .map(
        ([key]) =>
          `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${key},"reason":"the server forgot the session"}}`,
      );
  }

  /** Ids, as the server of the session `generation` spelled them, that the client has not answered. */
  unanswered(generation: number): readonly RawJson[] {
    return [...this.#open.values()].filter((open) => open.generation === generation).map(({ id }) => id);
  }
}

function withId(message: RequestEnvelope | ResponseEnvelope, id: RawJson): string {
  const edit = replaceMember(message.members, 'id', id);
  return edit ? splice(message.text, [edit]) : message.text;
}
