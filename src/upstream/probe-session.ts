import type { Clock, Endpoint, Random, RawJson, ServerDefinition } from '../model.ts';
import { errorResponse, resultResponse, type Envelope } from '../relay/envelope.ts';
import { LATEST_LEGACY_VERSION } from '../relay/versions.ts';
import { ask, AskError, type Question } from './ask.ts';
import type { Connections } from './connections.ts';
import { endSession, handshake, nextId, type Handshake, type Introduction } from './handshake.ts';
import { listen, type Listener } from './listen.ts';
import { look } from './look.ts';

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

const GOODBYE_MS = 2000;
const MAX_EVENT_BYTES = 1 << 20;
const MAX_ANSWER_BYTES = 1 << 16;

/**
 * The router's own session at one instance: opened once and used for every look and ping, since some servers
 * keep each session for ever. It claims every client capability: servers hide tools from clients that lack what
 * the tools ask for.
 */
export class ProbeSession {
  readonly #endpoint: Endpoint;
  readonly #options: ProbeSessionOptions;
  readonly #onChange: () => void;
  #session: Handshake | undefined;
  #listener: Listener | undefined;
  #closed = false;

  /** `onChange`: what the server said before may no longer be so: it announced a change, or lost the session. */
  constructor(endpoint: Endpoint, options: ProbeSessionOptions, onChange: () => void) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#onChange = onChange;
  }

  /**
   * Everything the server has; opens the session where there is none.
   * @throws {HandshakeError | LookError} The session is then closed.
   */
  async look(): Promise<{ definition: ServerDefinition; sessionless: boolean }> {
    const { connections, timeoutMs, maxListBytes: maxBytes } = this.#options;
    const onMessage = (message: Envelope): void => this.#hear(message);
    try {
      this.#session ??= await handshake(connections, this.#endpoint, this.#introduction(), {
        headers: [],
        timeoutMs,
        onMessage,
      });
      const options = { headers: [], timeoutMs, maxBytes, onMessage };
      const definition = await look(connections, this.#endpoint, this.#session, options);
      const sessionless = this.#session.sessionId === undefined;
      if (this.#closed) await this.#hangUp();
      else if (!this.#listener) this.#startListening(this.#session);
      return { definition, sessionless };
    } catch (error) {
      // The session may be the reason (a restarted server): the next try starts with a new one.
      await this.#hangUp();
      throw error;
    }
  }

  /** Whether the instance answers at all. True also without a session: then nothing is known against it. */
  async ping(timeoutMs: number): Promise<boolean> {
    const id = nextId();
    try {
      await this.#send(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`, id, timeoutMs);
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
      capabilities:
        '{"roots":{"listChanged":true},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}}}' as RawJson,
    };
  }

  #startListening(session: Handshake): void {
    this.#listener = listen(this.#options.connections, {
      endpoint: this.#endpoint,
      session: { id: session.sessionId, protocolVersion: session.protocolVersion },
      headers: [],
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
          : errorResponse(id, { code: -32601, message: 'This session belongs to a router that only lists.' });
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
