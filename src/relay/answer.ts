import type { RouterError, WireEra } from '../errors.ts';
import type { RawJson } from '../model.ts';
import type { HttpStream } from './http-stream.ts';
import type { StreamLog } from './stream-log.ts';

/** Where the answer to one client message goes: an HTTP response, or a part of a stream that others share. */
export interface Answer {
  /** Of the request: errors differ a little on the wire. */
  era: WireEra;
  /** The client reads event streams. */
  readonly takesStream: boolean;
  /** Where both would do, the client gets an event stream. */
  readonly prefersStream: boolean;
  /** Header pairs of the client's request that go on to the backend. */
  readonly forwarded: string[];
  /** Nothing that is written reaches the client. */
  readonly gone: boolean;
  /** The answer has become an event stream. */
  readonly streaming: boolean;
  setHeader(name: string, value: string): void;
  /** Called if the client hangs up before the whole answer was written. */
  onGone(gone: () => void): void;
  /** Called once, when the client has taken what was written, or is gone. */
  onceDrained(resume: () => void): void;
  /** A whole answer. */
  send(status: number, body: string | Buffer): void;
  /** A whole answer in parts that are ready. */
  sendParts(parts: readonly Buffer[]): void;
  /** An HTTP status without a body: 202 for a notification. */
  status(status: number): void;
  /** Begins a JSON answer whose bytes come from somewhere else, in `write` and `end`. */
  beginJson(contentLength: number | undefined): void;
  /** False while the client does not keep up. */
  write(chunk: Buffer): boolean;
  /** The answer is an event stream. */
  beginStream(): void;
  /** One message on the stream; written with the others of this turn when `flush` is called. */
  event(data: string): void;
  /** Writes the events gathered so far. False while the client does not keep up. */
  flush(): boolean;
  /** A sign of life on a stream that has been silent for a while. */
  keepAlive(now: number, everyMs: number): void;
  /**
   * Ends the connection, not the stream: the client comes back for the rest.
   * @returns false where it could not
   */
  suspend(): boolean;
  /** Ends the answer, with what was gathered and not written yet. */
  end(): void;
  /** Answers request `id` with an error, in the form that the answer has by now. */
  fail(id: RawJson | 'null', error: RouterError): void;
  /** The answer is a stream that stays open and belongs to whoever asks for it. */
  openStream(keepAliveMs: number, onClose: () => void): HttpStream;
}

/** Makes the log of a stream when there is a stream. */
export interface LogSource {
  open(): StreamLog;
  close(log: StreamLog): void;
  /** The client takes events without data, and comes back after a connection that ends early (2025-11-25). */
  readonly polls: boolean;
}
