import type { Clock, Endpoint, Eras, Problem, Random, RawJson, ServerDefinition } from '../model.ts';
import { errorResponse, resultResponse, type Envelope } from '../relay/envelope.ts';
import type { ModernIntroduction } from '../relay/modern.ts';
import { LATEST_LEGACY_VERSION } from '../relay/versions.ts';
import { ask, AskError, type Question } from './ask.ts';
import type { Connections } from './connections.ts';
import { discover, type Discovery } from './discover.ts';
import {
  endSession,
  handshake,
  HandshakeError,
  nextId,
  type Handshake,
  type Introduction,
} from './handshake.ts';
import { listen, sessionStream, subscription, type Listener, type Opening } from './listen.ts';
import { look } from './look.ts';
import { askModern, legacySpeaker, modernSpeaker, type Speaker } from './speaker.ts';

export interface ProbeSessionOptions {
  readonly connections: Connections;
  /** Name and version that backends see. */
  readonly clientInfo: RawJson;
  /** For one request. */
  readonly timeoutMs: number;
  readonly maxListBytes: number;
  readonly now: Clock;
  readonly random: Random;
}

/** What a look at an instance brought. */
export interface Seen {
  readonly definition: ServerDefinition;
  readonly sessionless: boolean;
  readonly eras: Eras;
}

const GOODBYE_MS = 2000;
const MAX_EVENT_BYTES = 1 << 20;
const MAX_ANSWER_BYTES = 1 << 16;

/** Servers hide tools from clients that lack what the tools ask for, so the router claims everything. */
const CAPABILITIES =
  '{"roots":{"listChanged":true},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}}}' as RawJson;

/** Found to speak HTTP+SSE, and not registered so. */
const unregisteredSse: Problem = {
  code: 'TRANSPORT_FOUND',
  subject: 'mcp-transport',
  message:
    'It is registered for Streamable HTTP and speaks the older HTTP+SSE transport. It is served that way; ' +
    'register it with mcp-transport=sse, then nothing has to be tried out.',
};

/**
 * The router's own dealings with one instance. A session is opened once and used for every look and ping, since
 * some servers keep each session for ever; a server of the modern era needs none. Which eras it speaks is asked
 * once for each registration and again after a failure.
 */
export class ProbeSession {
  readonly #endpoint: Endpoint;
  readonly #options: ProbeSessionOptions;
  readonly #onChange: () => void;
  readonly #modern: ModernIntroduction;
  #session: Handshake | undefined;
  #discovery: Discovery | undefined;
  #listener: Listener | undefined;
  #closed = false;

  /** `onChange`: what the server said before may no longer be so: it announced a change, or lost the session. */
  constructor(endpoint: Endpoint, options: ProbeSessionOptions, onChange: () => void) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#onChange = onChange;
    this.#modern = { clientInfo: options.clientInfo, capabilities: CAPABILITIES };
  }

  /**
   * Everything the server has; opens the session where there is none.
   * @throws {HandshakeError | LookError} The session is then closed.
   */
  async look(): Promise<Seen> {
    const { timeoutMs, maxListBytes: maxBytes } = this.#options;
    const onMessage = (message: Envelope): void => this.#hear(message);
    try {
      const { speaker, opening, eras } = await this.#meet(onMessage);
      const seen = await look(speaker, { timeoutMs, maxBytes, onMessage });
      const found = this.#options.connections.foundSse(this.#endpoint);
      const definition = found ? { ...seen, problems: [unregisteredSse, ...seen.problems] } : seen;
      const sessionless = eras.legacy && this.#session?.sessionId === undefined;
      if (this.#closed) await this.#hangUp();
      else if (!this.#listener) this.#startListening(opening);
      return { definition, sessionless, eras };
    } catch (error) {
      // The session may be the reason (a restarted server): the next try starts with a new one.
      this.#discovery = undefined;
      await this.#hangUp();
      throw error;
    }
  }

  /** Whether the instance answers at all. True also without a session: then nothing is known against it. */
  async ping(timeoutMs: number): Promise<boolean> {
    try {
      if (this.#session) {
        const id = nextId();
        await this.#send(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`, id, timeoutMs);
      } else if (this.#discovery?.kind === 'modern') {
        const options = { timeoutMs, maxBytes: MAX_ANSWER_BYTES };
        await askModern(
          this.#options.connections,
          this.#endpoint,
          this.#modern,
          'server/discover',
          '',
          options,
        );
      }
      return true;
    } catch (error) {
      // Anything that speaks HTTP is alive; what it says is for calls to judge.
      return error instanceof AskError && error.kind === 'garbage';
    }
  }

  /** Ends the session with DELETE; waits for the goodbye, but not for long. Never rejects. */
  close(): Promise<void> {
    this.#closed = true;
    return this.#hangUp();
  }

  /**
   * Finds out the eras, and how to speak from here on: in a session where the server has them, since what it says
   * there is what the many clients of that era see.
   * @throws {HandshakeError}
   */
  async #meet(
    onMessage: (message: Envelope) => void,
  ): Promise<{ speaker: Speaker; opening: Opening; eras: Eras }> {
    const { connections, timeoutMs } = this.#options;
    this.#discovery ??= await discover(connections, this.#endpoint, this.#modern, { timeoutMs });
    const discovery = this.#discovery;
    const modern = discovery.kind === 'modern';
    try {
      this.#session ??= await this.#greet(onMessage, modern);
    } catch (error) {
      // A server of the modern era alone says so in many ways; one that can't be reached says nothing.
      if (!modern || !(error instanceof HandshakeError) || error.retryable) throw error;
      const filter = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
      return {
        speaker: modernSpeaker(connections, this.#endpoint, this.#modern, discovery.self),
        opening: subscription(this.#modern, filter),
        eras: { legacy: false, modern: true },
      };
    }
    const session = this.#session;
    return {
      speaker: legacySpeaker(connections, this.#endpoint, session),
      opening: sessionStream({ id: session.sessionId, protocolVersion: session.protocolVersion }),
      eras: { legacy: true, modern },
    };
  }

  /**
   * Opens a session. A server that answers `initialize` as one over HTTP+SSE would is tried for that transport
   * (2025-11-25, transports: backwards compatibility).
   * @throws {HandshakeError}
   */
  async #greet(onMessage: (message: Envelope) => void, modern: boolean): Promise<Handshake> {
    const { connections, timeoutMs } = this.#options;
    const greeting = { headers: [], timeoutMs, onMessage };
    try {
      return await handshake(connections, this.#endpoint, this.#introduction(), greeting);
    } catch (error) {
      if (!(error instanceof HandshakeError) || error.retryable || modern) throw error;
      if (connections.foundSse(this.#endpoint)) {
        // Once it did, now it does not: the next look starts from what is registered.
        connections.lostSse(this.#endpoint);
        throw error;
      }
      const { transport } = this.#endpoint;
      if (!deniesTransport(error) || transport === 'openapi') throw error;
      if (transport === 'sse') throw withHint(error, hints.streamableHttp);
      if (!(await connections.findSse(this.#endpoint, timeoutMs))) throw withHint(error, hints.sse);
      return await handshake(connections, this.#endpoint, this.#introduction(), greeting);
    }
  }

  #hangUp(): Promise<void> {
    this.#listener?.stop();
    this.#listener = undefined;
    const session = this.#session;
    this.#session = undefined;
    if (session?.sessionId === undefined) return Promise.resolve();
    const { protocolVersion, sessionId: id } = session;
    return endSession(this.#options.connections, this.#endpoint, { id, protocolVersion }, [], GOODBYE_MS);
  }

  #introduction(): Introduction {
    return {
      protocolVersion: LATEST_LEGACY_VERSION,
      clientInfo: this.#options.clientInfo,
      capabilities: CAPABILITIES,
    };
  }

  #startListening(opening: Opening): void {
    this.#listener = listen(this.#options.connections, {
      endpoint: this.#endpoint,
      opening,
      timeoutMs: this.#options.timeoutMs,
      maxEventBytes: MAX_EVENT_BYTES,
      onMessage: (message) => this.#hear(message),
      onOver: (reason) => {
        if (reason === 'unsupported') return;
        void this.#hangUp();
        this.#onChange();
      },
      random: this.#options.random,
      now: this.#options.now,
    });
  }

  /** What the server says by itself. */
  #hear(message: Envelope): void {
    if (this.#closed) return;
    if (message.kind === 'notification' && message.method.endsWith('/list_changed')) this.#onChange();
    else if (message.kind === 'request') this.#answer(message.id, message.method);
  }

  #answer(id: RawJson, method: string): void {
    const text =
      method === 'ping'
        ? resultResponse(id, '{}')
        : method === 'roots/list'
          ? resultResponse(id, '{"roots":[]}')
          : errorResponse(id, {
              code: -32601,
              message: 'This session belongs to a router that only lists.',
            });
    void this.#send(text, undefined, this.#options.timeoutMs).catch(() => undefined);
  }

  async #send(text: string, id: Question['id'], timeoutMs: number): Promise<void> {
    const session = this.#session;
    if (!session) return;
    await ask(this.#options.connections, {
      endpoint: this.#endpoint,
      headers: [],
      session: { id: session.sessionId, protocolVersion: session.protocolVersion },
      text,
      id,
      timeoutMs,
      maxBytes: MAX_ANSWER_BYTES,
    });
  }
}

/** The statuses that the specification names (2025-11-25, transports: backwards compatibility), and 406. */
function deniesTransport({ status }: HandshakeError): boolean {
  return status === 400 || status === 404 || status === 405 || status === 406;
}

const hints = {
  sse: 'is mcp-path right? A server of the older HTTP+SSE transport is registered with mcp-transport=sse',
  streamableHttp: 'a server that speaks Streamable HTTP is registered without mcp-transport=sse',
} as const;

function withHint(error: HandshakeError, hint: string): HandshakeError {
  const { kind, message, retryable, status, cause } = error;
  return new HandshakeError(kind, `${message}; ${hint}`, retryable, status, cause);
}
