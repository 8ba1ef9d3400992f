import type { NotificationEnvelope, RequestEnvelope, ResponseEnvelope } from '../../relay/envelope.ts';
import type { AnswerHead } from '../../upstream/exchange.ts';
import type { Heard } from './from-server.ts';
import type { Sending } from './link.ts';
import type { Refusal } from './problems.ts';
import type { Cursor } from './reconnect.ts';

/** What a client's request has to do with its era: how it goes to the server, and how what comes back is read. */
export interface Manner {
  /** Header pairs of the POST, made anew for each try. */
  headers(): readonly string[];
  /** The answer has no end of its own, and may be silent for long. */
  readonly endless?: boolean;
  /** `initialize` must not be cancelled (2025-11-25, cancellation). */
  readonly uncancellable?: boolean;
  /** The server has taken the request. */
  opened?(head: AnswerHead): void;
  /**
   * The server did not take the request, so nothing was executed. True: the reason is mended, and another try is
   * worth it. Asked once for each try, at most twice.
   * @throws {RouterError} where mending it failed
   */
  mend(refusal: Refusal): Promise<boolean>;
  /** How to go on where the stream broke off before the response; undefined: not at all. */
  resume(cursor: Cursor): Omit<Sending, 'body'> | undefined;
  /** What the client shall read of a message that is no response. */
  hear(message: RequestEnvelope | NotificationEnvelope): Heard;
  /** What the client shall read of the response to its request. */
  answered(response: ResponseEnvelope, request: RequestEnvelope): string;
  /**
   * Tells the server that nobody wants the response any more; undefined: breaking the request off says it.
   * @param notification the `notifications/cancelled` of the client, or one of connect's own
   */
  cancel(notification: string): Promise<void> | undefined;
  /** The response to a request that is given up because connect ends; undefined: an error. */
  farewell?(request: RequestEnvelope): string;
}
