import type { IncomingMessage, ServerResponse } from 'node:http';
import { describeError, RouterError } from '../errors.ts';
import type { Log, RawJson } from '../model.ts';
import { readBody } from '../relay/body.ts';
import { EnvelopeError, readEnvelope, type Envelope, type RequestEnvelope } from '../relay/envelope.ts';
import { accepts, JSON_TYPE, mediaType, SESSION_HEADER, SSE_TYPE, VERSION_HEADER } from '../relay/headers.ts';
import { HttpAnswer } from '../relay/http-answer.ts';
import { HttpStream } from '../relay/http-stream.ts';
import { checkOrigin, type OriginRules } from '../relay/origin-check.ts';
import { isLegacyVersion } from '../relay/versions.ts';
import type { Health, Host } from './host.ts';
import type { Limits } from './limits.ts';
import { sessionOver, Sessions, type Entry, type SessionsOptions } from './sessions.ts';

export interface HttpFaceOptions extends Omit<SessionsOptions, 'evictAfterMs'> {
  readonly host: Host;
  /** Where MCP is spoken, such as `/mcp`. */
  readonly path: string;
  readonly origins: OriginRules;
  readonly maxBodyBytes: number;
  readonly limits: Limits;
  readonly log: Log;
}

const SWEEP_MS = 10_000;

/** Streamable HTTP (revisions 2024-11-05 … 2025-11-25) in front of a stdio server, and `/healthz` for Consul. */
export class HttpFace {
  readonly #options: HttpFaceOptions;
  readonly #sessions: Sessions;
  readonly #sweeper: NodeJS.Timeout;
  #draining = false;

  constructor(options: HttpFaceOptions) {
    this.#options = options;
    this.#sessions = new Sessions({ ...options, evictAfterMs: options.limits.evictAfterMs });
    const sweepMs = Math.min(options.idleMs / 2, SWEEP_MS);
    this.#sweeper = setInterval(() => this.#sessions.sweep(), sweepMs).unref();
  }

  /** No new sessions from now on; `/healthz` fails, so that Consul sends nobody. */
  drain(): void {
    this.#draining = true;
  }

  close(): void {
    clearInterval(this.#sweeper);
    this.#sessions.endAll(new RouterError('DRAINING', 'The server is shutting down.'));
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const answer = new HttpAnswer(request, response);
    void this.#handle(request, response, answer).catch((error: unknown) => this.#fail(answer, 'null', error));
  }

  async #handle(request: IncomingMessage, response: ServerResponse, answer: HttpAnswer): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0];
    if (path === '/healthz') {
      await this.#health(answer);
      return;
    }
    checkOrigin(request, this.#options.origins);
    if (path !== this.#options.path) {
      throw new RouterError('NOT_FOUND', `MCP is spoken at ${this.#options.path}.`);
    }
    switch (request.method) {
      case 'POST':
        await this.#post(request, answer);
        return;
      case 'GET':
        this.#get(request, response);
        return;
      case 'DELETE':
        this.#sessions.end(this.#find(request)[0], sessionOver('Its client has ended it.'));
        answer.status(200);
        return;
      default:
        answer.setHeader('allow', 'POST, GET, DELETE');
        throw new RouterError('METHOD_NOT_ALLOWED', 'An MCP endpoint takes POST, GET and DELETE.');
    }
  }

  /** For Consul's HTTP check: 2xx is passing, 429 is warning, everything else critical. */
  async #health(answer: HttpAnswer): Promise<void> {
    const health: Health | { kind: 'draining' | 'full' } = this.#draining
      ? { kind: 'draining' }
      : this.#sessions.full
        ? { kind: 'full' }
        : await this.#options.host.health();
    const status = { up: 200, busy: 200, full: 429, down: 503, draining: 503 }[health.kind];
    const { running } = this.#options.host;
    answer.send(
      status,
      JSON.stringify({
        status: health.kind,
        ...(health.kind === 'down' && { reason: `the server ${health.reason}` }),
        sessions: this.#sessions.size,
        running,
      }),
    );
  }

  async #post(request: IncomingMessage, answer: HttpAnswer): Promise<void> {
    if (mediaType(request.headers['content-type']) !== JSON_TYPE) {
      throw new RouterError('UNSUPPORTED_MEDIA_TYPE', `Send MCP messages as ${JSON_TYPE}.`);
    }
    const message = readMessage(await readBody(request, this.#options.maxBodyBytes));
    try {
      if (message.kind === 'request' && message.method === 'initialize') {
        await this.#initialize(message, answer);
        return;
      }
      const [, { session }] = this.#find(request);
      if (message.kind === 'request') session.request(message, answer);
      else {
        session.tell(message);
        answer.status(202);
      }
    } catch (error) {
      this.#fail(answer, message.kind === 'request' ? message.id : 'null', error);
    }
  }

  async #initialize(message: RequestEnvelope, answer: HttpAnswer): Promise<void> {
    if (this.#draining) {
      throw new RouterError('DRAINING', 'This server is shutting down.', { retryAfterMs: 1000 });
    }
    const seat = this.#sessions.reserve();
    try {
      const opened = await this.#options.host.open(message, () => seat.free());
      if (opened.kind === 'refused') {
        seat.free();
        answer.send(200, opened.response);
        return;
      }
      seat.take(opened.session);
      // Nobody will ever know the id.
      if (answer.gone) this.#sessions.end(seat.id, sessionOver('Its client has hung up.'));
      answer.setHeader(SESSION_HEADER, seat.id);
      answer.send(200, opened.response);
    } catch (error) {
      seat.free();
      throw error;
    }
  }

  #get(request: IncomingMessage, response: ServerResponse): void {
    if (!accepts(request.headers.accept, SSE_TYPE)) {
      throw new RouterError('NOT_ACCEPTABLE', `Accept must name ${SSE_TYPE}.`);
    }
    const [, entry] = this.#find(request);
    // A client that lost its stream opens another; the new one counts.
    entry.stream?.end();
    const stream = new HttpStream(response, {}, this.#options.limits.keepAliveMs, () => {
      if (entry.stream !== stream) return;
      entry.stream = undefined;
      entry.lastSeenAt = this.#options.now();
      entry.session.listen(undefined);
    });
    entry.stream = stream;
    entry.session.listen(stream);
  }

  /** @throws {RouterError} where the headers name no session. */
  #find(request: IncomingMessage): readonly [string, Entry] {
    const version = request.headers[VERSION_HEADER];
    if (version !== undefined && !(typeof version === 'string' && isLegacyVersion(version))) {
      // Clients of the 2026-07-28 era take this code for a server of the session era and initialize.
      throw new RouterError(
        'UNSUPPORTED_VERSION',
        'Bad Request: Unsupported protocol version. Initialize with revision 2025-11-25 or older.',
      );
    }
    const id = request.headers[SESSION_HEADER];
    if (typeof id !== 'string') {
      throw new RouterError(
        'SESSION_REQUIRED',
        'Bad Request: Server not initialized. Send initialize first.',
      );
    }
    return [id, this.#sessions.find(id)];
  }

  #fail(answer: HttpAnswer, id: RawJson | 'null', error: unknown): void {
    if (error instanceof RouterError) {
      answer.fail(id, error);
      return;
    }
    this.#options.log.error('request failed inside the wrapper', { error: describeError(error) });
    answer.fail(id, new RouterError('INTERNAL', 'The wrapper failed on this request. Its log says why.'));
  }
}

/**
 * Everything is checked here: a child cannot tell whose request it was that it could not read, and would leave it
 * without an answer.
 * @throws {RouterError} PARSE_ERROR, INVALID_REQUEST
 */
function readMessage(text: string): Envelope {
  try {
    const message = readEnvelope(text);
    JSON.parse(text);
    return message;
  } catch (error) {
    if (error instanceof EnvelopeError && error.kind === 'invalid') {
      throw new RouterError('INVALID_REQUEST', `Invalid request: ${error.message}`);
    }
    throw new RouterError('PARSE_ERROR', `Parse error: ${error instanceof Error ? error.message : ''}`);
  }
}
