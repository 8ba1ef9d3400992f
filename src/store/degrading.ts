import type { Clock, Log, Random } from '../model.ts';
import { MemoryStore, type MemoryOptions } from './memory.ts';
import type { MemorySessions } from './memory-sessions.ts';
import { Owed } from './owed.ts';
import { RedisEvents } from './redis-events.ts';
import { RedisHolder } from './redis-holder.ts';
import { limiterClient } from './redis-limiter.ts';
import { RedisLink, type RedisTarget } from './redis-link.ts';
import { RedisSessions } from './redis-sessions.ts';
import { redisValues } from './redis-values.ts';
import { SharedEvents } from './shared-events.ts';
import type { EventLog, Holder, LimiterClient, Sealing, SharedSessions, Store, Values } from './store.ts';

export interface DegradingOptions extends MemoryOptions {
  readonly target: RedisTarget;
  readonly sealing: Sealing;
  /** Longest wait for one operation, in milliseconds. */
  readonly deadlineMs: number;
  readonly log: Log;
  readonly random: Random;
  /** Told of every operation that was tried and failed. */
  readonly onFailure: (operation: string) => void;
}

/**
 * A store in a Valkey or Redis that is never an error and never a wait: what it can't do now is done in memory, and
 * what was changed in memory is owed to it. Where it comes back empty, or too much was owed, owners of sessions
 * learn from `touch` what is missing; they are told when (`onReturn`).
 */
export class DegradingStore implements Store {
  readonly sessions: SharedSessions;
  readonly holder: Holder;
  readonly events: EventLog;
  readonly values: Values;
  readonly limiterClient: LimiterClient;
  readonly #link: RedisLink;
  readonly #redisHolder: RedisHolder;

  /** @throws {RouterError} WRONG_SETTINGS where a PEM file can't be read. */
  constructor(options: DegradingOptions) {
    const { sealing, now, sessionTtlMs } = options;
    const memory = new MemoryStore(options);
    const replica = memory.holder.id;
    const link = new RedisLink(options);
    this.#link = link;
    const owed = new Owed(link);
    // What was done in memory is owed by now; left there it would be stale in the next outage.
    link.onUp(() => memory.clear());
    this.sessions = degradingSessions(
      new RedisSessions({ link, sealing, replica, ttlMs: sessionTtlMs }),
      memory.sessions,
      owed,
    );
    const answer = (question: string): Promise<string> => memory.holder.answer(question);
    this.#redisHolder = new RedisHolder({ link, sealing, replica, answer, now });
    this.holder = {
      id: replica,
      ask: (to, question, timeoutMs) =>
        to === replica || link.lost
          ? memory.holder.ask(to, question, timeoutMs)
          : this.#redisHolder.ask(to, question, timeoutMs),
      serve: (say) => memory.holder.serve(say),
    };
    const events = new RedisEvents({ link, sealing, maxAgeMs: options.events.maxAgeMs });
    this.events = new SharedEvents(events, memory.events, link);
    this.values = degradingValues(redisValues(link, sealing), memory.values, owed, now);
    this.limiterClient = limiterClient(link);
  }

  get shared(): boolean {
    return !this.#link.lost;
  }

  onReturn(listener: () => void): void {
    this.#link.onUp((afterLoss) => {
      if (afterLoss) listener();
    });
  }

  start(): Promise<void> {
    return this.#link.start();
  }

  async stop(): Promise<void> {
    this.#redisHolder.stop();
    await this.#link.stop();
  }
}

async function orElse<Result>(shared: Promise<Result>, alone: () => Promise<Result>): Promise<Result> {
  try {
    return await shared;
  } catch {
    return alone();
  }
}

function degradingSessions(redis: RedisSessions, memory: MemorySessions, owed: Owed): SharedSessions {
  /** Done in memory now, and to the store when it is back. */
  const later = <Result>(
    session: string,
    run: () => Promise<Result>,
    alone: () => Promise<Result>,
    bytes = 0,
  ) =>
    orElse(run(), () => {
      owed.add(run, 200 + session.length + bytes);
      return alone();
    });
  return {
    all: (session) => orElse(redis.all(session), () => memory.all(session)),
    get: (session, field) => orElse(redis.get(session, field), () => memory.get(session, field)),
    add: (session, field, text) =>
      later(
        session,
        () => redis.add(session, field, text),
        () => memory.add(session, field, text),
        field.length + text.length,
      ),
    remove: (session, field, text) =>
      later(
        session,
        () => redis.remove(session, field, text),
        () => memory.remove(session, field, text),
        field.length + text.length,
      ),
    // What is missing can't be known now, and adding it would only be owed.
    touch: (session, fields) =>
      orElse(redis.touch(session, fields), () => memory.touch(session, []).then(() => [])),
    end: (session, rememberMs) =>
      later(
        session,
        () => redis.end(session, rememberMs),
        () => memory.end(session, rememberMs),
      ),
    drop: (session) =>
      later(
        session,
        () => redis.drop(session),
        (): Promise<ReadonlyMap<string, string> | 'elsewhere'> => memory.drop(session),
      ),
    onChange: (listener) => redis.onChange(listener),
  };
}

function degradingValues(redis: Values, memory: Values, owed: Owed, now: Clock): Values {
  return {
    get: (key) => orElse(redis.get(key), () => memory.get(key)),
    put(key, text, ttlMs) {
      const endsAt = now() + ttlMs;
      const run = (): Promise<void> => redis.put(key, text, endsAt - now());
      return orElse(run(), () => {
        owed.add(run, 200 + key.length + text.length);
        return memory.put(key, text, ttlMs);
      });
    },
    take(key) {
      return orElse(redis.take(key), () => {
        owed.add(() => redis.take(key), 200 + key.length);
        return memory.take(key);
      });
    },
  };
}
