import { RouterError } from '../errors.ts';
import type { Envelope, RequestEnvelope } from '../relay/envelope.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import type { HttpStream } from '../relay/http-stream.ts';

/** Whether the wrapped server can take work. */
export type Health =
  | { readonly kind: 'up' }
  /** It works on a call and answers nothing else meanwhile. */
  | { readonly kind: 'busy' }
  | { readonly kind: 'down'; readonly reason: string };

/** What came of a client's `initialize`; `response` is the whole message. */
export type Opened =
  | { readonly kind: 'opened'; readonly session: HostedSession; readonly response: string }
  | { readonly kind: 'refused'; readonly response: string };

/** What stands behind the HTTP face: one child for all sessions, or one for each. */
export interface Host {
  start(): void;
  /**
   * `initialize` of a client. `over` is called when the session has ended by itself.
   * @throws {RouterError}
   */
  open(request: RequestEnvelope, over: () => void): Promise<Opened>;
  health(): Promise<Health>;
  /** Requests under way that somebody waits for. */
  readonly running: number;
  stop(): Promise<void>;
}

/** One client's session. */
export interface HostedSession {
  /** Requests are under way. */
  readonly busy: boolean;
  /** @throws {RouterError} */
  request(request: RequestEnvelope, answer: HttpAnswer): void;
  /** A notification or a response of the client. */
  tell(message: Exclude<Envelope, RequestEnvelope>): void;
  /** The client's own stream, for what belongs to no request; undefined when it closed it. */
  listen(stream: HttpStream | undefined): void;
  /** The session is over; requests under way are answered with the error. */
  close(error: RouterError): void;
}

/** How a call ends that was under way when its child ended. */
export function brokenOff(reason: string): RouterError {
  return new RouterError(
    'BACKEND_FAILED',
    `The server ${reason} while it worked on this. The call may or may not have been executed.`,
  );
}

export function tooLong(maxBytes: number): RouterError {
  return new RouterError(
    'BACKEND_TOO_LARGE',
    `The server's answer has more than ${maxBytes} bytes. Ask for less at a time.`,
  );
}

export function congested(): RouterError {
  return new RouterError('OVERLOADED', 'The server does not keep up with its requests. Try again later.', {
    retryAfterMs: 1000,
  });
}
