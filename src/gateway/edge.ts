import type { IncomingMessage, ServerResponse } from 'node:http';
import { describeError, RouterError } from '../errors.ts';
import type { Identity, Log, RawJson } from '../model.ts';
import {
  EnvelopeError,
  readEnvelope,
  type Envelope,
  type NotificationEnvelope,
  type RequestEnvelope,
} from '../relay/envelope.ts';
import { accepts, JSON_TYPE, mediaType, SESSION_HEADER, SSE_TYPE, VERSION_HEADER } from '../relay/headers.ts';
import { MODERN_VERSION } from '../relay/modern.ts';
import { checkKeys, TwinKeyError } from '../relay/twin-keys.ts';
import { isLegacyVersion, LEGACY_VERSIONS } from '../relay/versions.ts';
import { readBody } from '../relay/body.ts';
import type { Answer } from '../relay/answer.ts';
import { HttpAnswer } from '../relay/http-answer.ts';
import { handleBatch, isBatch, splitBatch } from './batch.ts';
import type { ClientSession } from './client-session.ts';
import type { ClientSessions } from './client-sessions.ts';
import type { EventLogs } from './event-logs.ts';
import { HttpStream } from '../relay/http-stream.ts';
import { exists, notFound } from './scope.ts';
import type { SseClient, SseClients } from './sse-clients.ts';
import { parseEndpoint, type Endpoint } from './endpoint.ts';
import { initialize } from './initialize.ts';
import { handleModernRequest, type ModernPorts } from './modern-methods.ts';
import { checkNotification, isModern } from './modern-request.ts';
import { checkOrigin, type OriginRules } from '../relay/origin-check.ts';
import { handleNotification, handleRequest, handleResponse, type LegacyPorts } from './legacy-methods.ts';

export interface EdgeOptions extends LegacyPorts, ModernPorts {
  readonly sessions: ClientSessions;
  readonly events: EventLogs;
  readonly sseClients: SseClients;
  readonly origins: OriginRules;
  /**
   * At once where the proof is known.
   * @param path of the endpoint: a token may be for one only
   * @throws {RouterError} UNAUTHENTICATED, INSUFFICIENT_SCOPE, OVERLOADED, AUTHORIZATION_SERVER_UNAVAILABLE
   */
  readonly authenticate: (request: IncomingMessage, path: string) => Identity | Promise<Identity>;
  readonly defaultNames: 'portable' | 'dotted';
  readonly maxBodyBytes: number;
  readonly keepAliveMs: number;
  readonly log: Log;
}

/** The only revision with batches (2025-03-26, basic: batching). */
const BATCH_VERSION = '2025-03-26';
/** Whoever opens a stream to post beside it is of this revision, whatever it says. */
const SSE_VERSION = '2024-11-05';
/** All answers come on that stream, large ones too; whoever does not read is cut in the end. */
const MAX_SSE_WAITING_BYTES = 64 << 20;

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
    const answer = new HttpAnswer(request, response);
    try {
      const endpoint = parseEndpoint(request.url ?? '/');
      if (!endpoint) return false;
      checkOrigin(request, this.#options.origins);
      if (!endpoint.methods.includes(request.method ?? '')) {
        answer.setHeader('allow', endpoint.methods.join(', '));
        throw new RouterError(
          'METHOD_NOT_ALLOWED',
          `This endpoint takes ${endpoint.methods.join(', ')} and nothing else.`,
        );
      }
      if (endpoint.kind === 'messages') void this.#postToStream(request, endpoint, answer);
      else if (request.method === 'POST') void this.#post(request, endpoint, answer);
      else void this.#open(request, response, endpoint, answer);
    } catch (error) {
      this.#fail(answer, 'null', error);
    }
    return true;
  }

  /** GET and DELETE. */
  async #open(
    request: IncomingMessage,
    response: ServerResponse,
    endpoint: Endpoint,
    answer: HttpAnswer,
  ): Promise<void> {
    try {
      const identity = await this.#options.authenticate(request, endpoint.path);
      // Nobody would tell of the end of a stream that has ended before it began.
      if (answer.gone) return;
      if (endpoint.kind === 'sse') this.#openStream(request, response, endpoint, identity);
      else if (request.method === 'GET') this.#get(request, response, endpoint, identity, answer);
      else this.#delete(request, endpoint, identity, answer);
    } catch (error) {
      this.#fail(answer, 'null', error);
    }
  }

  async #post(request: IncomingMessage, endpoint: Endpoint, answer: HttpAnswer): Promise<void> {
    let id: RawJson | 'null' = 'null';
    try {
      if (!accepts(request.headers.accept, JSON_TYPE)) {
        throw new RouterError('NOT_ACCEPTABLE', `Accept must name ${JSON_TYPE} and ${SSE_TYPE}.`);
      }
      // Before the body: nobody unknown makes the router read one.
      const identity = await this.#options.authenticate(request, endpoint.path);
      const text = await this.#body(request);
      if (isBatch(text)) {
        await this.#batch(text, request, endpoint, identity, answer);
        return;
      }
      const message = readEnvelope(text);
      if (message.kind === 'request') id = message.id;
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
      const restoring = this.#options.sessions.restoring(session);
      if (restoring) await restoring;
      const logs = session.logs(versionHeader(request));
      if (logs) answer.keepIn(logs);
      this.#take(session, identity, message, answer);
    } catch (error) {
      this.#fail(answer, id, error);
    }
  }

  #body(request: IncomingMessage): Promise<string> {
    if (mediaType(request.headers['content-type']) !== JSON_TYPE) {
      throw new RouterError('UNSUPPORTED_MEDIA_TYPE', `Send MCP messages as ${JSON_TYPE}.`);
    }
    return readBody(request, this.#options.maxBodyBytes);
  }

  /** One message of an open session. */
  #take(session: ClientSession, identity: Identity, message: Envelope, answer: Answer): void {
    // Other requests of the session may have come meanwhile, with other scopes.
    session.identity = identity;
    checkKeys(message);
    switch (message.kind) {
      case 'request':
        handleRequest(this.#options, session, message, answer);
        return;
      case 'notification':
        handleNotification(session, message);
        break;
      case 'response':
        handleResponse(session, message);
    }
    answer.status(202);
  }

  /** @throws {RouterError} where the session's revision knows no batches */
  async #batch(
    text: string,
    request: IncomingMessage,
    endpoint: Endpoint,
    identity: Identity,
    answer: HttpAnswer,
  ): Promise<void> {
    const texts = splitBatch(text);
    const session = this.#session(request, endpoint, identity);
    if (session.seal.protocolVersion !== BATCH_VERSION) {
      throw new RouterError(
        'INVALID_REQUEST',
        `Invalid request: batches belong to revision ${BATCH_VERSION}, this session is of ${session.seal.protocolVersion}. Send the messages one by one.`,
      );
    }
    await this.#options.sessions.restoring(session);
    const logs = session.logs(versionHeader(request));
    if (logs) answer.keepIn(logs);
    handleBatch(
      texts,
      answer,
      (message, part) => {
        if (message.kind === 'request' && message.method === 'initialize') throw initializeAlone();
        this.#take(session, identity, message, part);
      },
      (error) => this.#asRouterError(error),
    );
  }

  // --- The HTTP+SSE transport of 2024-11-05 ------------------------------------------------------------------

  #openStream(
    request: IncomingMessage,
    response: ServerResponse,
    endpoint: Endpoint,
    identity: Identity,
  ): void {
    if (!accepts(request.headers.accept, SSE_TYPE)) {
      throw new RouterError('NOT_ACCEPTABLE', `Accept must name ${SSE_TYPE}.`);
    }
    this.#refuseWhileDraining();
    const { sseClients, keepAliveMs, sessions, defaultNames } = this.#options;
    sseClients.checkRoom();
    let client: SseClient | undefined;
    const stream = new HttpStream(
      response,
      {},
      keepAliveMs,
      () => {
        if (!client) return;
        sseClients.close(client);
        if (client.session) sessions.end(client.session);
      },
      MAX_SSE_WAITING_BYTES,
    );
    const { path, names = defaultNames, tools } = endpoint;
    client = sseClients.open(stream, { path, names, tools, identity });
  }

  async #postToStream(request: IncomingMessage, endpoint: Endpoint, answer: HttpAnswer): Promise<void> {
    try {
      const identity = await this.#options.authenticate(request, endpoint.path);
      const message = readEnvelope(await this.#body(request));
      const id = new URLSearchParams((request.url ?? '').split('?')[1]).get('sessionId');
      const client = this.#options.sseClients.find(id, identity);
      // What it is answered with comes on the stream, also where it is an error.
      answer.status(202);
      const onStream = client.answer(answer.forwarded);
      try {
        this.#takeFromStream(client, message, identity, onStream);
      } catch (error) {
        if (message.kind !== 'request') throw error;
        this.#fail(onStream, message.id, error);
      }
    } catch (error) {
      this.#fail(answer, 'null', error);
    }
  }

  #takeFromStream(client: SseClient, message: Envelope, identity: Identity, answer: Answer): void {
    if (message.kind === 'request' && message.method === 'initialize') {
      const { path, names, tools } = client;
      const endpoint: Endpoint = { kind: 'sse', scope: { kind: 'all' }, path, names, tools, methods: [] };
      const session = this.#initialize(message, endpoint, identity, answer);
      if (client.session) this.#options.sessions.end(client.session);
      client.session = session;
      const stream = this.#options.sseClients.stream(client);
      // The oldest clients take every event for a message: no event without data for them.
      if (stream) session.openNews(stream, undefined, SSE_VERSION);
      return;
    }
    if (!client.session) {
      throw new RouterError(
        'SESSION_REQUIRED',
        'Bad Request: Server not initialized. Send initialize first.',
      );
    }
    client.session.lastSeenAt = this.#options.calls.now();
    this.#take(client.session, identity, message, answer);
  }

  /** A message of the stateless era: all that there is to know stands in it. */
  #modern(
    message: RequestEnvelope | NotificationEnvelope,
    { headers }: IncomingMessage,
    { scope, path, ...endpoint }: Endpoint,
    identity: Identity,
    answer: HttpAnswer,
  ): void {
    answer.era = 'modern';
    checkKeys(message);
    if (message.kind === 'request') {
      const { profile } = this.#options.sights.of(identity, scope);
      const names = endpoint.names ?? profile?.names ?? this.#options.defaultNames;
      handleModernRequest(
        this.#options,
        { identity, headers, scope, path, names, tools: endpoint.tools ?? profile?.toolMode },
        message,
        answer,
      );
      return;
    }
    // This revision knows no notification over HTTP; what extensions may send concerns nobody here.
    checkNotification(message, headers);
    answer.status(202);
  }

  #refuseWhileDraining(): void {
    if (!this.#draining) return;
    throw new RouterError('DRAINING', 'This router is shutting down. Connect again to reach another one.', {
      retryAfterMs: 1000,
    });
  }

  #initialize(
    request: RequestEnvelope,
    endpoint: Endpoint,
    identity: Identity,
    answer: Answer,
  ): ClientSession {
    this.#refuseWhileDraining();
    const { scope, path } = endpoint;
    const table = this.#options.sights.of(identity, scope);
    if (!exists(table, scope)) throw notFound();
    const names = endpoint.names ?? table.profile?.names ?? this.#options.defaultNames;
    return initialize(
      this.#options.router,
      this.#options.toolViews,
      this.#options.sessions,
      request,
      { identity, path, names, scope, tools: endpoint.tools ?? table.profile?.toolMode },
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
    return this.#options.sessions.find(sealed, identity, endpoint.path, endpoint.scope);
  }

  #get(
    request: IncomingMessage,
    response: ServerResponse,
    endpoint: Endpoint,
    identity: Identity,
    answer: HttpAnswer,
  ): void {
    if (!accepts(request.headers.accept, SSE_TYPE)) {
      throw new RouterError('NOT_ACCEPTABLE', `Accept must name ${SSE_TYPE}.`);
    }
    const session = this.#session(request, endpoint, identity);
    const lastEventId = request.headers['last-event-id'];
    const lost =
      typeof lastEventId === 'string' ? this.#options.events.find(lastEventId, session.seal.id) : undefined;
    if (lost?.kind === 'gone') {
      void this.#getFromElsewhere(String(lastEventId), session, response, answer);
      return;
    }
    // What came meanwhile, and what is still to come.
    if (lost?.kind === 'request') {
      const stream = new HttpStream(response, {}, this.#options.keepAliveMs, () => lost.log.leave(stream));
      lost.log.resume(stream, lost.after);
      return;
    }
    const stream = new HttpStream(response, {}, this.#options.keepAliveMs, () => session.closeNews(stream));
    session.openNews(stream, lost, versionHeader(request));
  }

  /** The stream of a request that another replica had. */
  async #getFromElsewhere(
    lastEventId: string,
    session: ClientSession,
    response: ServerResponse,
    answer: HttpAnswer,
  ): Promise<void> {
    const goOn = await this.#options.events.findElsewhere(lastEventId, session.seal.id);
    if (goOn) goOn(new HttpStream(response, {}, this.#options.keepAliveMs, () => undefined));
    // Another stream in its place would have the client wait for a response that can't come.
    else this.#fail(answer, 'null', streamGone());
  }

  #delete(request: IncomingMessage, endpoint: Endpoint, identity: Identity, answer: HttpAnswer): void {
    const session = this.#session(request, endpoint, identity);
    this.#options.sessions.end(session);
    answer.status(200);
  }

  #fail(answer: Answer, id: RawJson | 'null', error: unknown): void {
    answer.fail(id, this.#asRouterError(error));
  }

  #asRouterError(error: unknown): RouterError {
    if (error instanceof RouterError) return error;
    if (error instanceof EnvelopeError) {
      return error.kind === 'parse'
        ? new RouterError('PARSE_ERROR', `Parse error: ${error.message}`)
        : new RouterError('INVALID_REQUEST', `Invalid request: ${error.message}`);
    }
    if (error instanceof TwinKeyError) {
      return new RouterError('INVALID_REQUEST', `Invalid request: ${error.message}.`);
    }
    this.#options.log.error('request failed inside the router', { error: describeError(error) });
    return new RouterError('INTERNAL', 'The router failed on this request. Its log says why.');
  }
}

function versionHeader(request: IncomingMessage): string | undefined {
  const version = request.headers[VERSION_HEADER];
  return typeof version === 'string' ? version : undefined;
}

function streamGone(): RouterError {
  return new RouterError(
    'STREAM_GONE',
    'The stream with this event id is not kept here any more. Whether its request was executed is not known; send it again where that is safe.',
  );
}

function initializeAlone(): RouterError {
  return new RouterError('INVALID_REQUEST', 'Invalid request: initialize must not stand in a batch.');
}

function initializeInVain(): RouterError {
  return new RouterError(
    'HEADER_MISMATCH',
    `Bad Request: initialize belongs to the session era, MCP-Protocol-Version names ${MODERN_VERSION}.`,
  );
}
