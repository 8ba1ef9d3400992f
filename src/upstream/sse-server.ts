import type { RawJson } from '../model.ts';
import { EnvelopeError, errorResponse, readEnvelope, type Envelope } from '../relay/envelope.ts';
import { SESSION_HEADER } from '../relay/headers.ts';
import { JsonScanError } from '../relay/json-scan.ts';
import type { Outbound, Receiver, Sending } from './exchange.ts';
import { answerNow } from './sse-answer-now.ts';
import { SseSession } from './sse-session.ts';
import type { SseSite } from './sse-stream.ts';

/**
 * A server of the HTTP+SSE transport (2024-11-05) with the face of one over Streamable HTTP, so that nothing
 * above knows the difference: `initialize` opens a stream and is answered with a session id, a request in a
 * session is answered in the body of its own answer, GET brings what the server says by itself, DELETE ends the
 * session, and a session whose stream was lost is unknown (404).
 */
export class SseServer {
  readonly #site: SseSite;
  readonly #sessions = new Map<string, SseSession>();

  constructor(site: SseSite) {
    this.#site = site;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  send(outbound: Outbound, receiver: Receiver): Sending {
    const id = header(outbound.headers, SESSION_HEADER);
    const session = id === undefined ? undefined : this.#sessions.get(id);
    if (id !== undefined && !session) {
      return answerNow(receiver, 404, rpcError('null', -32001, 'Session not found'));
    }
    switch (outbound.method) {
      case 'POST':
        return this.#post(outbound, receiver, session);
      case 'GET':
        return session?.listen(receiver) ?? answerNow(receiver, 405, '');
      case 'DELETE':
        session?.end();
        return answerNow(receiver, session ? 200 : 405, '');
    }
  }

  /** Nobody uses this session any more: it ends with the last request that runs in it. */
  leave(id: string): void {
    this.#sessions.get(id)?.endWhenIdle();
  }

  #post(outbound: Outbound, receiver: Receiver, session: SseSession | undefined): Sending {
    let message: Envelope;
    try {
      message = readEnvelope(outbound.body ?? '');
      if (session) return session.post(message, outbound, receiver);
      if (message.kind === 'request' && message.method === 'initialize') {
        const opened = new SseSession(this.#site, (over) => this.#sessions.delete(over.id));
        this.#sessions.set(opened.id, opened);
        return opened.begin(message, outbound, receiver);
      }
    } catch (error) {
      if (!(error instanceof EnvelopeError || error instanceof JsonScanError)) throw error;
      return answerNow(receiver, 400, rpcError('null', -32600, `Invalid request: ${error.message}`));
    }
    const id = message.kind === 'request' ? message.id : 'null';
    return answerNow(receiver, 400, rpcError(id, -32000, 'Bad Request: Server not initialized'));
  }
}

function header(headers: readonly string[], name: string): string | undefined {
  for (let at = 0; at + 1 < headers.length; at += 2) if (headers[at] === name) return headers[at + 1];
  return undefined;
}

function rpcError(id: RawJson | 'null', code: number, message: string): string {
  return errorResponse(id, { code, message });
}
