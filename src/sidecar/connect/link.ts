import type { Endpoint, RawJson } from '../../model.ts';
import { ask, AskError, type Question, type Reply } from '../../upstream/ask.ts';
import { Connections } from '../../upstream/connections.ts';
import { Exchange, type Receiver } from '../../upstream/exchange.ts';
import type { ConnectLimits } from './limits.ts';
import { failed, tooLarge } from './problems.ts';

/** What is sent with every request beside the headers of MCP. */
export interface Credentials {
  /** Name, value, name, value, … */
  headers(): readonly string[];
  /** The server said 401. True: there are other headers now, and another try is worth it. */
  renew(): boolean;
}

export interface LinkOptions {
  readonly endpoint: Endpoint;
  /** For sentences. */
  readonly url: string;
  readonly credentials: Credentials;
  /** Longest silence of the server while a request is under way, in milliseconds; 0 = any. */
  readonly timeoutMs: number;
  readonly limits: ConnectLimits;
}

export interface Sending {
  readonly method: 'POST' | 'GET' | 'DELETE';
  readonly headers: readonly string[];
  readonly body?: string;
  /** The answer may be silent for as long as it likes. */
  readonly endless?: boolean;
}

type OwnQuestion = Pick<Question, 'headers' | 'session' | 'text' | 'id' | 'onMessage'>;

/** The server that `connect` connects to. */
export class Link {
  readonly url: string;
  readonly credentials: Credentials;
  readonly timeoutMs: number;
  readonly limits: ConnectLimits;
  readonly #endpoint: Endpoint;
  readonly #connections: Connections;

  constructor(options: LinkOptions) {
    this.url = options.url;
    this.credentials = options.credentials;
    this.timeoutMs = options.timeoutMs;
    this.limits = options.limits;
    this.#endpoint = options.endpoint;
    this.#connections = new Connections({ connectTimeoutMs: options.limits.connectTimeoutMs });
  }

  send(sending: Sending, receiver: Receiver): Exchange {
    const dispatcher = sending.endless
      ? this.#connections.forStreams(this.#endpoint)
      : this.#connections.forCalls(this.#endpoint);
    const { method, body } = sending;
    return new Exchange(
      dispatcher,
      {
        method,
        path: this.#endpoint.path,
        headers: [...this.credentials.headers(), ...sending.headers],
        ...(body !== undefined && { body }),
        firstByteTimeoutMs: this.timeoutMs,
        idleTimeoutMs: sending.endless ? 0 : this.timeoutMs,
      },
      receiver,
    );
  }

  /**
   * A request of connect's own.
   * @throws {RouterError} where there is no answer that MCP knows
   */
  async ask(question: OwnQuestion): Promise<Reply> {
    const reply = await this.#ask(question);
    return reply.head.status === 401 && this.credentials.renew() ? this.#ask(question) : reply;
  }

  async #ask(question: OwnQuestion): Promise<Reply> {
    const { askTimeoutMs, maxMessageBytes } = this.limits;
    try {
      return await ask(this.#connections, {
        ...question,
        headers: [...this.credentials.headers(), ...question.headers],
        endpoint: this.#endpoint,
        timeoutMs: askTimeoutMs,
        maxBytes: maxMessageBytes,
      });
    } catch (error) {
      if (!(error instanceof AskError)) throw error;
      if (error.kind === 'too-large') throw tooLarge(this.url, maxMessageBytes);
      const cause = error.cause instanceof Error ? error.cause : error;
      throw failed(this.url, { kind: error.kind, sent: true, cause }, askTimeoutMs);
    }
  }

  /** Cuts everything that still runs. */
  close(): Promise<void> {
    return this.#connections.destroy();
  }
}

let lastId = 0;

/** An id for a request of connect's own, in a spelling that no client uses. */
export function ownId(): RawJson {
  return `"mcp-connect-${++lastId}"` as RawJson;
}
