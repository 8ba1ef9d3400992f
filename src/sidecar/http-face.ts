import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RouterError } from '../errors.ts';
import type { Clock, Log, RawJson } from '../model.ts';
import { readBody } from '../relay/body.ts';
import { EnvelopeError, readEnvelope } from '../relay/envelope.ts';
import { accepts, JSON_TYPE, mediaType, SESSION_HEADER, SSE_TYPE } from '../relay/headers.ts';
import { HttpAnswer } from '../relay/http-answer.ts';
import { HttpStream } from '../relay/http-stream.ts';
import { checkOrigin, type OriginRules } from '../relay/origin-check.ts';
import type { Host, HostedSession } from './host.ts';

export interface HttpFaceOptions {
  readonly host: Host;
  /** Where MCP is spoken, such as `/mcp`. */
  readonly path: string;
  readonly origins: OriginRules;
  readonly maxBodyBytes: number;
  readonly sessionIdleMs: number;
  readonly maxSessions: number;
  readonly now: Clock;
  readonly log: Log;
}

interface Entry {
  readonly session: HostedSession;
  lastSeenAt: number;
  stream: HttpStream | undefined;
}

const KEEP_ALIVE_MS = 15_000;

/** Streamable HTTP (revisions 2024-11-05 … 2025-11-25) in front of a stdio server, and `/healthz` for Consul. */
export class HttpFace {
  readonly #options: HttpFaceOptions;
  readonly #sessions = new Map<string, Entry>();
  readonly #sweeper: NodeJS.Timeout;
  #draining = false;

  constructor(options: HttpFaceOptions) {
    this.#options = options;
    this.#sweeper = setInterval(() => this.#sweep(), Math.min(options.sessionIdleMs, 10_000)).unref();
  }

  /** No new sessions from now on; `/healthz` fails, so that Consul sends nobody. */
  drain(): void {
    this.#draining = true;
  }

  close(): void {
    clearInterval(this.#sweeper);
    for (const id of this.#sessions.keys()) this.#end(id);
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '/').split('?', 1)[0];
    if (path === '/healthz') {
      this.#health(response);
      return;
    }
    const answer = new HttpAnswer(request, response);
    try {
      checkOrigin(request, this.#options.origins);
      if (path !== this.#options.path)
        throw new RouterError('NOT_FOUND', `MCP is spoken at ${this.#options.path}.`);
      if (request.method === 'POST') void this.#post(request, answer);
      else if (request.method === 'GET') this.#get(request, response);
      else if (request.method === 'DELETE') {
        this.#end(this.#find(request)[0]);
        answer.status(200);
      } else {
        answer.setHeader('allow', 'POST, GET, DELETE');
        throw new RouterError('METHOD_NOT_ALLOWED', 'An MCP endpoint takes POST, GET and DELETE.');
      }
    } catch (error) {
      this.#fail(answer, 'null', error);
    }
  }

  #health(response: ServerResponse): void {
    const ok = this.#options.host.healthy && !this.#draining;
    const status = this.#draining ? 'draining' : ok ? 'ok' : 'the server is not up';
    response
      .writeHead(ok ? 200 : 503, { 'content-type': JSON_TYPE })
      .end(JSON.stringify({ status, sessions: this.#sessions.size }));
  }

  async #post(request: IncomingMessage, answer: HttpAnswer): Promise<void> {
    let id: RawJson | 'null' = 'null';
    try {
      if (mediaType(request.headers['content-type']) !== JSON_TYPE) {
        throw new RouterError('UNSUPPORTED_MEDIA_TYPE', `Send MCP messages as ${JSON_TYPE}.`);
      }
      const message = readEnvelope(await readBody(request, this.#options.maxBodyBytes));
      if (message.kind === 'request') id = message.id;
      if (message.kind === 'request' && message.method === 'initialize') {
        if (this.#draining)
          throw new RouterError('DRAINING', 'This server is shutting down.', { retryAfterMs: 1000 });
        if (this.#sessions.size >= this.#options.maxSessions) {
          throw new RouterError(
            'OVERLOADED',
            `All ${this.#options.maxSessions} sessions are taken. Try again later.`,
            { retryAfterMs: 5000 },
          );
        }
        this.#options.host.open(message, answer, (session) => {
          const sessionId = randomUUID();
          this.#sessions.set(sessionId, { session, lastSeenAt: this.#options.now(), stream: undefined });
          answer.setHeader(SESSION_HEADER, sessionId);
        });
        return;
      }
      const [, { session }] = this.#find(request);
      if (message.kind === 'request') session.request(message, answer);
      else {
        session.tell(message);
        answer.status(202);
      }
    } catch (error) {
      this.#fail(answer, id, error);
    }
  }

  #get(request: IncomingMessage, response: ServerResponse): void {
    if (!accepts(request.headers.accept, SSE_TYPE))
      throw new RouterError('NOT_ACCEPTABLE', `Accept must name ${SSE_TYPE}.`);
    const [, entry] = this.#find(request);
    entry.stream?.end();
    const stream = new HttpStream(response, {}, KEEP_ALIVE_MS, () => {
      if (entry.stream !== stream) return;
      entry.stream = undefined;
      entry.lastSeenAt = this.#options.now();
      entry.session.listen(undefined);
    });
    entry.stream = stream;
    entry.session.listen(stream);
  }

  #find(request: IncomingMessage): [string, Entry] {
    const id = request.headers[SESSION_HEADER];
    if (typeof id !== 'string')
      throw new RouterError('SESSION_REQUIRED', 'Bad Request: Send initialize first.');
    const entry = this.#sessions.get(id);
    if (!entry)
      throw new RouterError('SESSION_NOT_FOUND', 'This session is unknown or over. Initialize again.');
    entry.lastSeenAt = this.#options.now();
    return [id, entry];
  }

  #end(id: string): void {
    const entry = this.#sessions.get(id);
    this.#sessions.delete(id);
    entry?.stream?.end();
    entry?.session.close();
  }

  #sweep(): void {
    const oldest = this.#options.now() - this.#options.sessionIdleMs;
    for (const [id, entry] of this.#sessions) if (!entry.stream && entry.lastSeenAt < oldest) this.#end(id);
  }

  #fail(answer: HttpAnswer, id: RawJson | 'null', error: unknown): void {
    if (error instanceof RouterError) answer.fail(id, error);
    else if (error instanceof EnvelopeError) {
      answer.fail(
        id,
        new RouterError(error.kind === 'parse' ? 'PARSE_ERROR' : 'INVALID_REQUEST', error.message),
      );
    } else {
      this.#options.log.error('request failed', { error: String(error) });
      answer.fail(id, new RouterError('INTERNAL', 'The wrapper failed on this request. Its log says why.'));
    }
  }
}
