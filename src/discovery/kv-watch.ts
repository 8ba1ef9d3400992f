import { z } from 'zod';
import type { Clock, DoubtReason, Log, Problem, Random } from '../model.ts';
import { BackOff } from './back-off.ts';
import { BlockingQuery } from './blocking-query.ts';
import { ConsulError } from './consul-answer.ts';
import type { ConsulClient } from './consul-client.ts';
import { doubtKeys } from './doubts.ts';
import { FailureLog } from './failure-log.ts';
import { Judgement, type Discovered } from './judgement.ts';

export interface KvWatchOptions<Value> {
  readonly client: ConsulClient;
  /** One key, or with a `/` at its end everything below it. */
  readonly path: string;
  /**
   * What the text of one key says.
   * @throws {RangeError} with a sentence for operators; the key then keeps what it said before.
   */
  readonly parse: (text: string, key: string) => Value;
  /** Told of every change of values or problems. */
  readonly onChange: () => void;
  /** Told of every answer that was none or was not believed. */
  readonly onError: (reason: DoubtReason) => void;
  readonly waitMs: number;
  /** How long keys that vanished suspiciously are kept. */
  readonly holdMs: number;
  readonly log: Log;
  readonly now: Clock;
  readonly random: Random;
}

/** Text by key. */
export type KvEntries = ReadonlyMap<string, string>;

const kvAnswer = z.array(z.object({ Key: z.string(), Value: z.string().nullable().default(null) }));

/** Problems show this much of a key. */
const MAX_SHOWN = 128;

/**
 * Follows keys of Consul's KV with one blocking query. A key whose content is wrong keeps its last good value, and
 * so do all keys while Consul is silent or not to be believed: wrong content changes nothing and is reported.
 */
export class KvWatch<Value> {
  readonly #options: KvWatchOptions<Value>;
  readonly #query: BlockingQuery<KvEntries>;
  readonly #judgement: Judgement<KvEntries>;
  readonly #failures: FailureLog;
  #entries: KvEntries = new Map();
  #values: ReadonlyMap<string, Value> = new Map();
  #problems: ReadonlyMap<string, Problem> = new Map();
  #doubt: DoubtReason | undefined = 'not-synced';

  constructor(options: KvWatchOptions<Value>) {
    const { client, path, waitMs, holdMs, log, now, random } = options;
    this.#options = options;
    this.#failures = new FailureLog(log);
    this.#judgement = new Judgement({
      same: sameEntries,
      doubt: doubtKeys,
      holdMs,
      onChange: (discovered) => this.#take(discovered),
    });
    const name = `kv/${path}`;
    this.#query = new BlockingQuery({
      line: client.query(),
      call: (consul, call) => consul.kv.get({ key: path, recurse: path.endsWith('/'), ...call }),
      dc: undefined,
      waitMs,
      parse: (body) => parseEntries(body, name),
      judgement: this.#judgement,
      watcher: {
        contact: () => this.#failures.answered(name),
        error: (error) => {
          options.onError(error.reason);
          this.#failures.failed(error, name, { address: client.address });
        },
      },
      backOff: new BackOff(now, random),
      now,
      random,
    });
  }

  start(): void {
    this.#query.start();
  }

  stop(): void {
    this.#query.stop();
    this.#judgement.close();
  }

  /** The last good value of every key that exists. A value keeps its identity while its key's text does. */
  get values(): ReadonlyMap<string, Value> {
    return this.#values;
  }

  /** By key: why its present text does not count. */
  get problems(): ReadonlyMap<string, Problem> {
    return this.#problems;
  }

  /** Set while the values are not what Consul says now; `not-synced` before the first answer. */
  get doubt(): DoubtReason | undefined {
    return this.#doubt;
  }

  #take(discovered: Discovered<KvEntries>): void {
    switch (discovered.kind) {
      case 'believed':
        this.#doubt = undefined;
        this.#read(discovered.value);
        break;
      case 'doubted':
        // What is said counts; only the vanishing is in doubt.
        this.#doubt = discovered.reason;
        this.#options.onError(discovered.reason);
        this.#read(new Map([...this.#entries, ...discovered.value]));
        break;
      case 'failed':
        if (this.#doubt !== 'not-synced') this.#doubt = discovered.error.reason;
    }
    this.#options.onChange();
  }

  #read(entries: KvEntries): void {
    const values = new Map<string, Value>();
    const problems = new Map<string, Problem>();
    for (const [key, text] of entries) {
      const before = this.#values.get(key);
      const same = this.#entries.get(key) === text;
      const known = same ? this.#problems.get(key) : undefined;
      if (same && !known && before !== undefined) {
        values.set(key, before);
        continue;
      }
      const read = known ?? this.#parse(text, key);
      if ('value' in read) values.set(key, read.value);
      else {
        problems.set(key, read);
        if (before !== undefined) values.set(key, before);
        if (!known) this.#report(read, before !== undefined);
      }
    }
    this.#entries = entries;
    this.#values = values;
    this.#problems = problems;
  }

  #parse(text: string, key: string): { readonly value: Value } | Problem {
    try {
      return { value: this.#options.parse(text, key) };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return { code: 'KV_INVALID', subject: key.slice(0, MAX_SHOWN), message: error.message };
    }
  }

  #report({ subject, message }: Problem, hasBefore: boolean): void {
    this.#options.log.warn('a key in Consul KV is wrong', {
      key: subject,
      reason: message,
      instead: hasBefore ? 'its last good value is kept' : 'it is ignored',
    });
  }
}

/** @throws {ConsulError} 'garbage' */
function parseEntries(body: unknown, name: string): KvEntries {
  const parsed = kvAnswer.safeParse(body);
  if (!parsed.success)
    throw new ConsulError('garbage', `answered ${name} with JSON that Consul would not send`);
  return new Map(
    parsed.data
      // Folders of the UI are keys without a value.
      .filter(({ Key }) => !Key.endsWith('/'))
      .map(({ Key, Value }) => [Key, Buffer.from(Value ?? '', 'base64').toString()]),
  );
}

function sameEntries(a: KvEntries, b: KvEntries): boolean {
  return a.size === b.size && [...a].every(([key, text]) => b.get(key) === text);
}
