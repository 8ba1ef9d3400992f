import { randomBytes } from 'node:crypto';
import { RouterError } from '../errors.ts';
import type { Identity } from '../model.ts';
import { EventAnswer, type SharedStream } from '../relay/event-answer.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import type { ToolMode } from '../shaping/tool-mode.ts';
import type { ClientSession } from './client-session.ts';

/** A client on the HTTP+SSE transport (2024-11-05): all that it gets comes on the stream that it has opened. */
export interface SseClient {
  readonly id: string;
  /** Digest of who opened the stream; nobody else may post to it. */
  readonly identity: string;
  readonly path: string;
  readonly names: 'portable' | 'dotted';
  readonly tools: ToolMode | undefined;
  /** Undefined until it has initialized. */
  session: ClientSession | undefined;
  answer(forwarded: string[], done?: () => void): EventAnswer;
}

/** The clients on that transport. Their streams are this process's own: nothing of them outlives it. */
export class SseClients {
  readonly #clients = new Map<string, SseClient>();
  readonly #streams = new Map<SseClient, HttpStream>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#clients.size;
  }

  /** @throws {RouterError} OVERLOADED */
  checkRoom(): void {
    if (this.#clients.size < this.#max) return;
    throw new RouterError('OVERLOADED', 'Too many clients hold a stream open. Try again later.', {
      retryAfterMs: 5000,
    });
  }

  /** The client has opened its stream; its first event says where to post. */
  open(
    stream: HttpStream,
    opened: Pick<SseClient, 'path' | 'names' | 'tools'> & { readonly identity: Identity },
  ): SseClient {
    const id = randomBytes(16).toString('base64url');
    const shared = sharedStream(stream);
    const client: SseClient = {
      id,
      identity: opened.identity.digest,
      path: opened.path,
      names: opened.names,
      tools: opened.tools,
      session: undefined,
      answer: (forwarded, done) => new EventAnswer(shared, forwarded, done),
    };
    this.#clients.set(id, client);
    this.#streams.set(client, stream);
    stream.write(`event: endpoint\ndata: /messages?sessionId=${id}\n\n`);
    return client;
  }

  close(client: SseClient): void {
    this.#clients.delete(client.id);
    this.#streams.delete(client);
  }

  stream(client: SseClient): HttpStream | undefined {
    return this.#streams.get(client);
  }

  /** @throws {RouterError} SESSION_NOT_FOUND, for every reason alike */
  find(id: string | null, identity: Identity): SseClient {
    const client = id === null ? undefined : this.#clients.get(id);
    if (client?.identity === identity.digest) return client;
    throw new RouterError('SESSION_NOT_FOUND', 'This stream is unknown or over. Open /sse again.');
  }

  /** Ends all streams. */
  end(): void {
    for (const stream of this.#streams.values()) stream.end();
  }
}

function sharedStream(stream: HttpStream): SharedStream {
  return {
    send: (message) => stream.send(message),
    get gone() {
      return stream.gone;
    },
    onGone: (gone) => stream.onGone(gone),
    onceDrained: (resume) => stream.onceDrained(resume),
  };
}
