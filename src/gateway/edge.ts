import type { IncomingMessage, ServerResponse } from 'node:http';
import { describeError, RouterError } from '../errors.ts';
import type { Identity, Log, RawJson } from '../model.ts';
import {
  EnvelopeError,
  readEnvelope,
  type NotificationEnvelope,
  type RequestEnvelope,
} from '../relay/envelope.ts';
import { accepts, JSON_TYPE, mediaType, SESSION_HEADER, SSE_TYPE, VERSION_HEADER } from '../relay/headers.ts';
import { MODERN_VERSION } from '../relay/modern.ts';
import { isLegacyVersion, LEGACY_VERSIONS } from '../relay/versions.ts';
import { readBody } from '../relay/body.ts';
import { HttpAnswer } from '../relay/http-answer.ts';
import type { ClientSession } from './client-session.ts';
import type { ClientSessions } from './client-sessions.ts';
import type { EventLogs } from './event-logs.ts';
import { HttpStream } from '../relay/http-stream.ts';
import { parseEndpoint, type Endpoint } from './endpoint.ts';
import { initialize } from './initialize.ts';
import { handleModernRequest, type ModernPorts } from './modern-methods.ts';
import { checkNotification, isModern } from './modern-request.ts';
import { checkOrigin, type OriginRules } from '../relay/origin-check.ts';
import { handleNotification, handleRequest, handleResponse, type LegacyPorts } from './legacy-methods.ts';

export interface EdgeOptions extends LegacyPorts, ModernPorts {
  readonly sessions: ClientSessions;
  readonly events: EventLogs;
  readonly origins: OriginRules;
  readonly authenticate: (request: IncomingMessage) => Identity;
  readonly defaultNames: 'portable' | 'dotted';
  readonly maxBodyBytes: number;
  readonly keepAliveMs: number;
  readonly log: Log;
}

/**
 * The edge of the data plane: Streamable HTTP of both eras, revisions 2024-11-05 … 2025-11-25 and 2026-07-28.
 * Requests to MCP endpoints are handled here; `handle` says false for any other URL.
 */
export class Edge {
  readonly #options: EdgeOptions;
  #draining = false;

  constructor(options: EdgeOptions) {
    this.#options = options;
  }

  /** From now on no session is opened; running calls and open sessions go on. */
  drain(): void {
    this.#draining = true;
  }

  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const endpoint = parseEndpoint(request.url ?? '/');
    if (!endpoint) return false;
    const answer = new HttpAnswer(request, response);
    try {
      checkOrigin(request, this.#options.origins);
      switch (request.method) {
        case 'POST':
          void this.#post(request, endpoint, answer);
          return true;
        case 'GET':
          this.#get(request, response, endpoint);
          return true;
        case 'DELETE':
          this.#delete(request, endpoint, answer);
          return true;
        default:
          answer.setHeader('allow', 'POST, GET, DELETE');
          throw new RouterError('METHOD_NOT_ALLOWED', 'An MCP endpoint takes POST, GET and DELETE.');
      }
    } catch (error) {
      this.#fail(answer, 'null', error);
      return true;
    }
  }

  async #post(request: IncomingMessage, endpoint: Endpoint, answer: HttpAnswer): Promise<void> {
    let id: RawJson | 'null' = 'null';
    try {
      if (mediaType(request.headers['content-type']) !== JSON_TYPE) {
        throw new RouterError('UNSUPPORTED_MEDIA_TYPE', `Send MCP messages as ${JSON_TYPE}.`);
      }
      if (!accepts(request.headers.accept, JSON_TYPE)) {
        throw new RouterError('NOT_ACCEPTABLE', `Accept must name ${JSON_TYPE} and ${SSE_TYPE}.`);
      }
      const text = await readBody(request, this.#options.maxBodyBytes);
      const message = readEnvelope(text);
      if (message.kind === 'request') id = message.id;
      const identity = this.#options.authenticate(request);
      if (message.kind !== 'response' && isModern(message, request.headers)) {
        this.#modern(message, request, endpoint, identity, answer);
        return;
      }
      if (message.kind === 'request' && message.method === 'initialize') {
        if (request.headers[VERSION_HEADER] === MODERN_VERSION) throw initializeInVain();
        this.#initialize(message, endpoint, identity, answer);
        return;
      }
      const session = this.#session(request, endpoint, identity);
      const logs = session.logs(versionHeader(request));
      if (logs) answer.keepIn(logs);
      if (message.kind === 'request') handleRequest(this.#options, session, message, answer);
      else {
        if (message.kind === 'notification') handleNotification(session, message);
        else handleResponse(session, message);
        answer.status(202);
      }
    } catch (error) {
      this.#fail(answer, id, error);
    }
  }

  /** A message of the stateless era: all that there is to know stands in it. */
  #modern(
    message: RequestEnvelope | NotificationEnvelope,
    { headers }: IncomingMessage,
    { scope, names = this.#options.defaultNames }: Endpoint,
    identity: Identity,
    answer: HttpAnswer,
  ): void {
    answer.era = 'modern';
    if (message.kind === 'request') {
      handleModernRequest(this.#options, { identity, headers, scope, names }, message, answer);
      return;
    }
    // This revision knows no notification over HTTP; what extensions may send concerns nobody here.
    checkNotification(message, headers);
    answer.status(202);
  }

  #initialize(request: RequestEnvelope, endpoint: Endpoint, identity: Identity, answer: HttpAnswer): void {
    if (this.#draining) {
      throw new RouterError('DRAINING', 'This router is shutting down. Connect again to reach another one.', {
        retryAfterMs: 1000,
      });
    }
    const table = this.#options.table();
    const { scope, path } = endpoint;
    if (scope.kind === 'service' && !table.services.has(scope.service)) throw notFound();
    const names = endpoint.names ?? this.#options.defaultNames;
    initialize(
      this.#options.router,
      this.#options.sessions,
      request,
      { identity: identity.digest, path, names, scope },
      table,
      answer,
    );
  }

  /** @throws {RouterError} where the headers name no session that this client may use. */
  #session(request: IncomingMessage, endpoint: Endpoint, identity: Identity): ClientSession {
    const version = request.headers[VERSION_HEADER];
    if (version === MODERN_VERSION && request.method !== 'POST') {
      throw new RouterError(
        'METHOD_NOT_ALLOWED',
        `Revision ${MODERN_VERSION} has no sessions: it takes POST only.`,
      );
    }
    if (version !== undefined && !(typeof version === 'string' && isLegacyVersion(version))) {
      throw new RouterError(
        'UNSUPPORTED_VERSION',
        `Bad Request: Unsupported protocol version. Served are ${[MODERN_VERSION, ...LEGACY_VERSIONS].join(', ')}.`,
      );
    }
    const sealed = request.headers[SESSION_HEADER];
    if (typeof sealed !== 'string') {
      throw new RouterError(
        'SESSION_REQUIRED',
        'Bad Request: Server not initialized. Send initialize first.',
      );
    }
    return this.#options.sessions.find(sealed, identity.digest, endpoint.path, endpoint.scope);
  }

  #get(request: IncomingMessage, response: ServerResponse, endpoint: Endpoint): void {
    if (!accepts(request.headers.accept, SSE_TYPE)) {
      throw new RouterError('NOT_ACCEPTABLE', `Accept must name ${SSE_TYPE}.`);
    }
    const session = this.#session(request, endpoint, this.#options.authenticate(request));
    const lastEventId = request.headers['last-event-id'];
    const lost =
      typeof lastEventId === 'string' ? this.#options.events.find(lastEventId, session.seal.id) : undefined;
    // The stream of a request: what came meanwhile, and what is still to come.
    if (lost && !session.isNews(lost.log)) {
      const stream = new HttpStream(response, {}, this.#options.keepAliveMs, () => lost.log.leave(stream));
      lost.log.resume(stream, lost.after);
      return;
    }
    const stream = new HttpStream(response, {}, this.#options.keepAliveMs, () => session.closeNews(stream));
    session.openNews(stream, lost?.after, versionHeader(request));
  }

  #delete(request: IncomingMessage, endpoint: Endpoint, answer: HttpAnswer): void {
    const session = this.#session(request, endpoint, this.#options.authenticate(request));
    this.#options.sessions.end(session);
    answer.status(200);
  }

  #fail(answer: HttpAnswer, id: RawJson | 'null', error: unknown): void {
    answer.fail(id, this.#asRouterError(error));
  }

  #asRouterError(error: unknown): RouterError {
    if (error instanceof RouterError) return error;
    if (error instanceof EnvelopeError) {
      return error.kind === 'parse'
        ? new RouterError('PARSE_ERROR', `Parse error: ${error.message}`)
        : new RouterError('INVALID_REQUEST', `Invalid request: ${error.message}`);
    }
    this.#options.log.error('request failed inside the router', { error: describeError(error) });
    return new RouterError('INTERNAL', 'The router failed on this request. Its log says why.');
  }
}

function versionHeader(request: IncomingMessage): string | undefined {
  const version = request.headers[VERSION_HEADER];
  return typeof version === 'string' ? version : undefined;
}

function initializeInVain(): RouterError {
  return new RouterError(
    'HEADER_MISMATCH',
    `Bad Request: initialize belongs to the session era, MCP-Protocol-Version names ${MODERN_VERSION}.`,
  );
}

export function notFound(): RouterError {
  return new RouterError(
    'NOT_FOUND',
    'Nothing is served here. MCP endpoints: /mcp and /services/<service>/mcp.',
  );
}
