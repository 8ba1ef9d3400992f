import type { RequestEnvelope, Envelope } from '../relay/envelope.ts';
import type { HttpAnswer } from '../relay/http-answer.ts';
import type { HttpStream } from '../relay/http-stream.ts';

/** What stands behind the HTTP face: one child for all sessions, or one for each. */
export interface Host {
  /** `initialize` of a client. Calls `opened` with the new session before it answers. */
  open(request: RequestEnvelope, answer: HttpAnswer, opened: (session: HostedSession) => void): void;
  /** The wrapped server is up and has answered. */
  readonly healthy: boolean;
  /** Requests under way. */
  readonly running: number;
  stop(): Promise<void>;
}

/** One client's session. */
export interface HostedSession {
  request(request: RequestEnvelope, answer: HttpAnswer): void;
  /** A notification or a response of the client. */
  tell(message: Exclude<Envelope, RequestEnvelope>): void;
  /** The client's own stream, for what belongs to no request; undefined when it closed it. */
  listen(stream: HttpStream | undefined): void;
  /** The client is gone, by DELETE or by idleness. */
  close(): void;
}
