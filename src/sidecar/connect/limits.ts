/** Times and sizes of `connect` that users have no need to set. */
export interface ConnectLimits {
  /** Of one message, in either direction. */
  readonly maxMessageBytes: number;
  /** What may wait to go out, on either side, before the client's input is not read any further. */
  readonly maxWaitingBytes: number;
  /** Requests of the client under way; more are refused. */
  readonly maxRunning: number;
  /** Characters of all requests under way; more are refused. */
  readonly maxRunningCharacters: number;
  /** How long a notification may take to be accepted before the next message goes out. */
  readonly tellTimeoutMs: number;
  /** Of what `connect` asks by itself: a new session, a list of tools. */
  readonly askTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Between two tries; the pause grows from the first to the second. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** A stream that lived this long was a healthy one: the next pause is short again. */
  readonly stableMs: number;
  /** How long the rest of a stream whose response has come is waited for. */
  readonly afterwordMs: number;
  /** How long the end of the session may take. The SDK's clients kill what lives 4 s after its input was closed. */
  readonly farewellMs: number;
}

export const connectLimits: ConnectLimits = {
  maxMessageBytes: 64 * 1024 * 1024,
  maxWaitingBytes: 64 * 1024 * 1024,
  maxRunning: 1000,
  maxRunningCharacters: 256 * 1024 * 1024,
  tellTimeoutMs: 10_000,
  askTimeoutMs: 60_000,
  connectTimeoutMs: 10_000,
  retryMinMs: 500,
  retryMaxMs: 30_000,
  stableMs: 10_000,
  afterwordMs: 1000,
  farewellMs: 1500,
};
