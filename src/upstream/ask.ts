import type { Endpoint, RawJson } from '../model.ts';
import { EnvelopeError, readEnvelope, type Envelope, type ResponseEnvelope } from '../relay/envelope.ts';
import { JSON_TYPE, SESSION_HEADER, SSE_TYPE, VERSION_HEADER } from '../relay/headers.ts';
import { memberText } from '../relay/json-scan.ts';
import { SseLimitError, SseParser } from '../relay/sse.ts';
import type { Connections } from './connections.ts';
import type { AnswerHead, ExchangeFailure, Sending } from './exchange.ts';

/** The router's own requests to a backend: initialize, lists, ping. Calls of clients don't come this way. */
export interface Question {
  readonly endpoint: Endpoint;
  /** Name, value, name, value, … beside those of MCP. */
  readonly headers: readonly string[];
  readonly session: { readonly id: string | undefined; readonly protocolVersion: string } | undefined;
  /** The whole JSON-RPC message. */
  readonly text: string;
  /** Of the request; undefined for a notification or a response, which get no answer but an HTTP status. */
  readonly id: RawJson | undefined;
  /** From the first byte sent to the last one received. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** Requests and notifications that the backend sends on the way. */
  readonly onMessage?: (message: Envelope) => void;
}

export type Reply =
  | { readonly kind: 'result'; readonly result: RawJson; readonly head: AnswerHead; readonly bytes: number }
  /** A JSON-RPC error, whatever the HTTP status. */
  | { readonly kind: 'error'; readonly error: RpcError; readonly head: AnswerHead }
  /** Accepted without an answer: what a notification gets. */
  | { readonly kind: 'accepted'; readonly head: AnswerHead }
  /** An HTTP status that is no MCP answer. */
  | { readonly kind: 'refused'; readonly head: AnswerHead; readonly body: string };

export interface RpcError {
  readonly code: number;
  readonly message: string;
}

/** The backend can't be understood, or there was none. `message` is for operators, not for clients. */
export class AskError extends Error {
  readonly kind: ExchangeFailure['kind'] | 'too-large';
  constructor(kind: AskError['kind'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'AskError';
    this.kind = kind;
  }
}

/** Enough of a foreign page to recognize it by. */
const SNIPPET_BYTES = 300;

/** Header pairs of an MCP message over Streamable HTTP. */
export function messageHeaders(session: Question['session'], more: readonly string[] = []): string[] {
  const headers = ['content-type', JSON_TYPE, 'accept', `${JSON_TYPE}, ${SSE_TYPE}`, ...more];
  if (session) headers.push(VERSION_HEADER, session.protocolVersion);
  if (session?.id !== undefined) headers.push(SESSION_HEADER, session.id);
  return headers;
}

/**
 * Posts one message and reads the answer, JSON or SSE.
 * @throws {AskError} where there is no answer that MCP knows.
 */
export function ask(connections: Connections, question: Question): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let head: AnswerHead | undefined;
    let body: Buffer[] = [];
    let bytes = 0;
    let settled = false;
    let sse: SseParser | undefined;
    // Set last: a closed pool fails the exchange before its constructor returns.
    let exchange: Sending | undefined;
    const deadline = setTimeout(() => {
      settle(new AskError('timeout', `did not finish its answer within ${question.timeoutMs} ms`));
    }, question.timeoutMs);

    const settle = (reply: Reply | AskError): void => {
      if (settled) return;
      settled = true;
      clearTimeout(deadline);
      body = [];
      if (reply instanceof AskError) reject(reply);
      else resolve(reply);
      // The rest of a stream whose answer has come is of no interest.
      exchange?.abort();
    };
    const guarded = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        settle(asAskError(error));
      }
    };
    const onEvent = (data: string | undefined): void => {
      if (settled || data === undefined || data === '') return;
      const message = readEnvelope(data);
      if (message.kind !== 'response') question.onMessage?.(message);
      else if (message.id === question.id && head) settle(replyOf(message, head, bytes));
    };

    exchange = connections.send(
      question.endpoint,
      {
        method: 'POST',
        path: question.endpoint.path,
        headers: messageHeaders(question.session, question.headers),
        body: question.text,
        firstByteTimeoutMs: question.timeoutMs,
        idleTimeoutMs: question.timeoutMs,
        answerOnly: question.onMessage === undefined,
      },
      {
        head(answer) {
          head = answer;
          if (answer.mediaType === SSE_TYPE && answer.status === 200) {
            sse = new SseParser((event) => onEvent(event.data), question.maxBytes);
          }
        },
        data(chunk) {
          bytes += chunk.length;
          guarded(() => {
            if (bytes > question.maxBytes) {
              throw new AskError('too-large', `answered with more than ${question.maxBytes} bytes`);
            }
            if (sse) sse.push(chunk);
            else body.push(chunk);
          });
          return true;
        },
        end() {
          guarded(() => {
            if (sse) throw new AskError('cut', 'ended its event stream without an answer');
            if (head) settle(readBody(head, Buffer.concat(body), question));
          });
        },
        fail(failure) {
          settle(asFailure(failure, question.timeoutMs));
        },
      },
    );
  });
}

function readBody(head: AnswerHead, body: Buffer, question: Question): Reply {
  const text = body.toString();
  const message = head.mediaType === JSON_TYPE ? tryEnvelope(text) : undefined;
  // Errors may come without a readable id (`null`), and servers put them behind any status.
  if (message?.kind === 'response' && (message.id === question.id || message.failed)) {
    return replyOf(message, head, body.length);
  }
  const ok = head.status >= 200 && head.status < 300;
  if (ok && question.id === undefined) return { kind: 'accepted', head };
  if (!ok) return { kind: 'refused', head, body: snippet(text) };
  throw new AskError(
    'garbage',
    `answered ${head.status} with ${head.mediaType || 'no content type'}, which is no MCP answer: ${snippet(text)}`,
  );
}

function tryEnvelope(text: string): Envelope | undefined {
  try {
    return readEnvelope(text);
  } catch (error) {
    if (error instanceof EnvelopeError) return undefined;
    throw error;
  }
}

function replyOf(message: ResponseEnvelope, head: AnswerHead, bytes: number): Reply {
  if (message.failed) return { kind: 'error', error: readRpcError(message), head };
  const result = memberText(message.text, message.members, 'result') ?? '{}';
  return { kind: 'result', result: result as RawJson, head, bytes };
}

function readRpcError(message: ResponseEnvelope): RpcError {
  let parsed: unknown;
  try {
    parsed = JSON.parse(memberText(message.text, message.members, 'error') ?? 'null');
  } catch {
    parsed = null;
  }
  const error = parsed !== null && typeof parsed === 'object' ? parsed : {};
  const code = 'code' in error && typeof error.code === 'number' ? error.code : 0;
  return { code, message: 'message' in error ? String(error.message) : '' };
}

function asAskError(error: unknown): AskError {
  if (error instanceof AskError) return error;
  if (error instanceof EnvelopeError) return new AskError('garbage', `sent no JSON-RPC: ${error.message}`);
  if (error instanceof SseLimitError) return new AskError('too-large', `sent ${error.message}`);
  return new AskError('garbage', 'sent something unreadable', error);
}

function asFailure(failure: ExchangeFailure, timeoutMs: number): AskError {
  // What it says is the whole cause, told already.
  if (failure.says !== undefined) return new AskError(failure.kind, failure.says);
  return new AskError(failure.kind, failureSentence(failure, timeoutMs), failure.cause);
}

function failureSentence(failure: ExchangeFailure, timeoutMs: number): string {
  switch (failure.kind) {
    case 'connect':
      return 'could not be connected to';
    case 'cut':
      return 'closed the connection before the answer was complete';
    case 'timeout':
      return `said nothing for ${timeoutMs} ms`;
    case 'garbage':
      return 'answered with headers that are not HTTP, or too many of them';
    case 'aborted':
      return 'was not waited for';
  }
}

/** One line, printable, short. */
export function snippet(text: string): string {
  const line = text
    .slice(0, SNIPPET_BYTES)
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  return text.length > SNIPPET_BYTES ? `${line}…` : line;
}
