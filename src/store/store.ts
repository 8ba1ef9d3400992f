import type { Branded } from '../model.ts';

/**
 * What replicas of the router share. Nothing here ever rejects or waits for longer than a small deadline: where
 * the shared store is lost, each replica goes on with what it has in memory, and says so once.
 */
export interface Store {
  readonly sessions: SharedSessions;
  readonly holder: Holder;
  readonly events: EventLog;
  readonly values: Values;
  /** For `rate-limiter-flexible`; undefined where nothing is shared. */
  readonly limiterClient: LimiterClient | undefined;
  /** True while what is written here outlives this process and is seen by other replicas. */
  readonly shared: boolean;
  /** Told when the store is there, at first and after each loss: it may have come back empty. */
  onReturn(listener: () => void): void;
  /** Resolves when the store answers, or after a short wait without it; never rejects. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

// --- Sessions at backends --------------------------------------------------------------------------------------

/**
 * Small texts of a client session, each under a field: which session it has at which backend. Kept sealed, for as
 * long as a replica touches them; **the replica that used a client session last is the one that ends it**.
 */
export interface SharedSessions {
  all(session: string): Promise<KeptSession>;
  get(session: string, field: string): Promise<string | undefined>;
  /** Sets the field if it is absent, and gives the text that stands: this one, or that of whoever was first. */
  add(session: string, field: string, text: string): Promise<string>;
  /** Takes the field away if it still holds this text. */
  remove(session: string, field: string, text: string): Promise<void>;
  /** This replica uses the session. Gives those of the fields that are not kept though they should be. */
  touch(session: string, fields: readonly string[]): Promise<readonly string[]>;
  /**
   * Ends a session for all replicas: it stays known as ended for `rememberMs`. Gives what was kept for it.
   */
  end(session: string, rememberMs: number): Promise<ReadonlyMap<string, string>>;
  /** This replica drops a session: gives what was kept for it, or `elsewhere` where another one used it later. */
  drop(session: string): Promise<ReadonlyMap<string, string> | 'elsewhere'>;
  /** What other replicas do with sessions; at most once for each, and not at all while the store is lost. */
  onChange(listener: (change: SessionChange) => void): void;
}

export type KeptSession =
  { readonly kind: 'kept'; readonly fields: ReadonlyMap<string, string> } | { readonly kind: 'ended' };

export type SessionChange =
  | { readonly kind: 'added'; readonly session: string; readonly field: string }
  | { readonly kind: 'ended'; readonly session: string };

// --- Calls that another replica holds --------------------------------------------------------------------------

/** One process of the router; another name after each start. Tells nothing about where it runs. */
export type ReplicaId = Branded<'ReplicaId'>;

/** Carries a question to the replica that holds a call, and its answer back; both are sealed on the way. */
export interface Holder {
  /** The name of this replica, for others to ask it by. */
  readonly id: ReplicaId;
  /** Asking oneself needs no store. Never rejects, and ends within `timeoutMs`. */
  ask(replica: ReplicaId, question: string, timeoutMs: number): Promise<Asked>;
  /** Answers what others (and this replica itself) ask. An answer that rejects is `no-answer` for who asked. */
  serve(answer: (question: string) => Promise<string>): void;
}

export type Asked =
  | { readonly kind: 'answered'; readonly answer: string }
  /** The replica is not there, or the store that would carry the question is not. It was not delivered. */
  | { readonly kind: 'gone' }
  /** It may have been delivered, but no answer came in time, or answering failed. */
  | { readonly kind: 'no-answer' };

// --- Events of streams that can be resumed ---------------------------------------------------------------------

export interface StreamEvent {
  /** Whole numbers from 1, without a gap, given by the one replica that writes the stream. */
  readonly seq: number;
  readonly text: string;
}

/** The last events of each stream, bounded in number, bytes and age; sealed. */
export interface EventLog {
  /** Kept at once here, and soon where other replicas read. */
  append(stream: string, event: StreamEvent): void;
  /** `gone`: the stream is unknown, or events after `seq` are no longer kept, so that something would be missed. */
  after(stream: string, seq: number): Promise<EventsAfter>;
  /** Nobody will resume this stream any more. */
  forget(stream: string): void;
}

export type EventsAfter =
  { readonly kind: 'events'; readonly events: readonly StreamEvent[] } | { readonly kind: 'gone' };

/** Of one stream. */
export interface EventBounds {
  readonly maxEvents: number;
  /** Of text; the newest event is kept whatever its size. */
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

// --- Small secrets with an expiry ------------------------------------------------------------------------------

/** Texts that may be credentials, such as tokens; kept sealed. Losing one must do no harm. */
export interface Values {
  get(key: string): Promise<string | undefined>;
  put(key: string, text: string, ttlMs: number): Promise<void>;
  /** Gives the value and takes it away, in one step: of two that ask one gets it. */
  take(key: string): Promise<string | undefined>;
}

// --- Counters --------------------------------------------------------------------------------------------------

/**
 * What `RateLimiterRedis` of `rate-limiter-flexible` needs of a client (`storeClient`, with
 * `useRedisPackage` and `rejectIfRedisNotReady`). Calls reject within the deadline, and at once while the store is
 * lost, so that its `insuranceLimiter` takes over. Keys begin with `mcp-router:`; so must its `keyPrefix`.
 */
export interface LimiterClient {
  readonly isReady: boolean;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  multi(): unknown;
  del(key: string): Promise<number>;
}

// --- What a store needs ----------------------------------------------------------------------------------------

/** Encrypts what is kept. What is sealed in one context opens in no other, and not with another key ring. */
export interface Sealing {
  seal(text: string, context: string): string;
  /** Undefined for anything that was not sealed so. */
  open(sealed: string, context: string): string | undefined;
}
