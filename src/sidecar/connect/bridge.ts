import type { Readable } from 'node:stream';
import { describeError, RouterError } from '../../errors.ts';
import type { Log, RawJson } from '../../model.ts';
import {
  EnvelopeError,
  errorResponse,
  type NotificationEnvelope,
  type RequestEnvelope,
} from '../../relay/envelope.ts';
import { memberText } from '../../relay/json-scan.ts';
import { claimsModern } from '../../relay/modern.ts';
import { askedId, LineSplitter, type Line } from '../lines.ts';
import { Call, type CallParts } from './call.ts';
import { idKey, readClientMessage, requestsIn, type ClientMessage } from './client-message.ts';
import type { Manner } from './manner.ts';
import type { Modern } from './modern.ts';
import { lineTooLarge } from './problems.ts';
import type { Session } from './session.ts';
import { tell } from './tell.ts';

export interface BridgeOptions extends CallParts {
  readonly input: Readable;
  readonly session: Session;
  readonly modern: Modern;
  readonly log: Log;
  /** The client closed its side. */
  readonly onEnd: () => void;
}

/**
 * What the client says, on its way to the server. Requests run side by side; a notification, a response and
 * `initialize` are waited for before the next message is taken up, so that the server hears them in order.
 */
export class Bridge {
  readonly #options: BridgeOptions;
  readonly #lines: LineSplitter;
  readonly #waiting: string[] = [];
  #waitingCharacters = 0;
  #busy = false;
  #inputEnded = false;
  #closed = false;

  constructor(options: BridgeOptions) {
    this.#options = options;
    const { input, link } = options;
    this.#lines = new LineSplitter(link.limits.maxMessageBytes, (line) => this.#line(line));
    input.on('data', (chunk: Buffer) => {
      this.#lines.push(chunk);
      this.#pace();
    });
    const ended = (): void => this.#end();
    input.on('end', ended);
    input.on('close', ended);
    input.on('error', ended);
  }

  /** Something that the client said has not been taken up yet. */
  get waiting(): boolean {
    return this.#busy || this.#waiting.length > 0;
  }

  /** Nothing more is read. What was read is still taken up. */
  close(): void {
    this.#closed = true;
    this.#options.input.pause();
  }

  #end(): void {
    if (this.#inputEnded) return;
    this.#lines.end();
    this.#inputEnded = true;
    void this.#takeUp();
    this.#options.onEnd();
  }

  #line(line: Line): void {
    if (line.kind === 'too-long') {
      const { limits } = this.#options.link;
      const id = askedId(line);
      this.#options.log.error('the client sent a message that is too long; it is left out', {
        bytes: line.bytes,
        begin: line.head.slice(0, 200),
      });
      if (id !== undefined) this.#fail(id, lineTooLarge(line.bytes, limits.maxMessageBytes));
      return;
    }
    const text = line.text.trim();
    if (text === '') return;
    this.#waiting.push(text);
    this.#waitingCharacters += text.length;
    void this.#takeUp();
  }

  /** The client is not read any further while too much waits, on its way in or out. */
  #pace(): void {
    if (this.#tooMuchWaits) this.#options.input.pause();
  }

  get #tooMuchWaits(): boolean {
    const { output, link } = this.#options;
    const { maxWaitingBytes } = link.limits;
    if (this.#waitingCharacters > maxWaitingBytes) return true;
    return output.waitingBytes > maxWaitingBytes && !output.keepsUp(this);
  }

  /** The client has taken what waited for it. */
  resume(): void {
    if (!this.#closed && !this.#tooMuchWaits) this.#options.input.resume();
  }

  async #takeUp(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (let text = this.#waiting.shift(); text !== undefined; text = this.#waiting.shift()) {
      this.#waitingCharacters -= text.length;
      try {
        const taken = this.#take(text);
        if (taken) await taken;
      } catch (error) {
        this.#options.log.error('a message of the client was not handled', { error: describeError(error) });
      }
      if (this.#options.input.isPaused()) this.resume();
    }
    this.#busy = false;
    // Whatever it had to answer, it has answered.
    if (this.#inputEnded) this.#options.session.deafen();
  }

  /** Undefined: the next message need not wait. */
  #take(text: string): Promise<void> | undefined {
    let message: ClientMessage;
    try {
      message = readClientMessage(text);
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      this.#options.log.warn('the client sent something that is no MCP message', {
        begin: text.slice(0, 200),
      });
      const code = error.kind === 'parse' ? 'PARSE_ERROR' : 'INVALID_REQUEST';
      this.#fail('null', new RouterError(code, `Not a JSON-RPC message: ${error.message}`));
      return undefined;
    }
    const { session } = this.#options;
    switch (message.kind) {
      case 'response':
        return session.respond(message);
      case 'notification':
        return this.#notification(message);
      case 'request':
        return this.#request(message);
      case 'batch':
        if (requestsIn(message).length === 0) return session.notify(message.text);
        this.#start(message, session.manner());
        return undefined;
    }
  }

  #request(request: RequestEnvelope): Promise<void> | undefined {
    const { session, modern } = this.#options;
    if (request.method === 'initialize') return this.#start(request, session.opening(request))?.done;
    try {
      this.#start(request, claimsModern(request) ? modern.manner(request) : session.manner());
    } catch (error) {
      if (!(error instanceof RouterError)) throw error;
      this.#fail(request.id, error);
    }
    return undefined;
  }

  #start(message: Extract<ClientMessage, { kind: 'request' | 'batch' }>, manner: Manner): Call | undefined {
    const call = new Call(message, manner, this.#options);
    try {
      this.#options.running.add(call);
    } catch (error) {
      if (!(error instanceof RouterError)) throw error;
      for (const { id } of requestsIn(message)) this.#fail(id, error);
      return undefined;
    }
    call.start();
    return call;
  }

  #notification(message: NotificationEnvelope): Promise<void> | undefined {
    const { session } = this.#options;
    if (message.method === 'notifications/cancelled') return this.#cancelled(message);
    if (claimsModern(message)) return this.#modernNotification(message);
    if (message.method === 'notifications/initialized') return session.initialized(message.text);
    return session.notify(message.text);
  }

  /** In either era: the call knows how its server is told. One that is over has nothing to cancel. */
  #cancelled({ params, text }: NotificationEnvelope): Promise<void> | undefined {
    const id = params && (memberText(text, params, 'requestId') as RawJson | undefined);
    if (id === undefined) return undefined;
    return this.#options.running.get(idKey(id))?.cancel(idKey(id), text);
  }

  async #modernNotification(message: NotificationEnvelope): Promise<void> {
    const { modern, log } = this.#options;
    try {
      const told = await tell(this.#options, modern.headers(message), message.text, () => undefined);
      if (told.kind !== 'accepted')
        log.warn('the server did not take a notification', { method: message.method });
    } catch (error) {
      log.warn('a notification can not be sent', { method: message.method, error: describeError(error) });
    }
  }

  #fail(id: RawJson | 'null', error: RouterError): void {
    this.#options.output.send(errorResponse(id, error.toRpc()));
  }
}
