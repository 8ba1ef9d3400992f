/** Times and sizes that users have no need to set. */
export interface Limits {
  /** A longer line of a child is refused. */
  readonly maxLineBytes: number;
  /** What may wait for a child that does not read; more is refused. */
  readonly maxWaitingBytes: number;
  /** How long a child may take to end after its input was closed, and again after SIGTERM. */
  readonly graceMs: number;
  /** A child that said something within this time is alive without being asked. */
  readonly provenMs: number;
  /** How long a child may take to answer `ping`; less than the timeout of Consul's check. */
  readonly pingTimeoutMs: number;
  /** A child that works on a call may be silent for this long: many servers do one thing at a time. */
  readonly busyMs: number;
  /** A session that was idle for this long makes room when all are taken. */
  readonly evictAfterMs: number;
  /** Between two comments on a stream; the first one turns a waiting answer into a stream. */
  readonly keepAliveMs: number;
  /** From the start of the drain on, requests are taken for at least this long: clients learn of it late. */
  readonly lingerMs: number;
}

export const defaultLimits: Limits = {
  maxLineBytes: 64 * 1024 * 1024,
  maxWaitingBytes: 64 * 1024 * 1024,
  graceMs: 2000,
  provenMs: 4000,
  pingTimeoutMs: 2000,
  busyMs: 60_000,
  evictAfterMs: 60_000,
  keepAliveMs: 15_000,
  lingerMs: 500,
};
