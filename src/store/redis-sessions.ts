import type { RedisLink } from './redis-link.ts';
import type { KeptSession, ReplicaId, Sealing, SessionChange, SharedSessions } from './store.ts';

export interface RedisSessionsOptions {
  readonly link: RedisLink;
  readonly sealing: Sealing;
  readonly replica: ReplicaId;
  /** Of a session that nobody touches. */
  readonly ttlMs: number;
}

/** In the hash of a session, beside its fields: the replica that used it last, and whether it is over. */
const LAST = '@';
const ENDED = '!';
const CHANNEL = 'mcp-router:sessions';

/** KEYS: the hash. ARGV: field, sealed text, replica, ttl, message for the others. Gives what stands. */
const ADD = `
if redis.call('HEXISTS', KEYS[1], '${ENDED}') == 1 then return ARGV[2] end
local added = redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[1], '${LAST}', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if added == 1 then redis.call('PUBLISH', '${CHANNEL}', ARGV[5]) end
return redis.call('HGET', KEYS[1], ARGV[1])`;

/** KEYS: the hash. ARGV: field, sealed text as it was read. */
const REMOVE = `
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0`;

/** KEYS: the hash. ARGV: replica, ttl, field, field, … Gives the fields that are missing. */
const TOUCH = `
if redis.call('HEXISTS', KEYS[1], '${ENDED}') == 1 then return {} end
local missing = {}
for at = 3, #ARGV do
  if redis.call('HEXISTS', KEYS[1], ARGV[at]) == 0 then missing[#missing + 1] = ARGV[at] end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], '${LAST}', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return missing`;

/** KEYS: the hash. ARGV: how long it stays known as ended, message for the others. Gives name, value, name, … */
const END = `
local all = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '${ENDED}', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PUBLISH', '${CHANNEL}', ARGV[2])
return all`;

/** KEYS: the hash. ARGV: replica. Gives name, value, name, …; or nil where another replica used it later. */
const DROP = `
local all = redis.call('HGETALL', KEYS[1])
if #all == 0 or redis.call('HEXISTS', KEYS[1], '${ENDED}') == 1 then return {} end
local last = redis.call('HGET', KEYS[1], '${LAST}')
if last and last ~= ARGV[1] then return nil end
redis.call('DEL', KEYS[1])
return all`;

/** Sessions in a Valkey or Redis, a hash each. Its operations reject where the link fails. */
export class RedisSessions implements SharedSessions {
  readonly #link: RedisLink;
  readonly #sealing: Sealing;
  readonly #replica: ReplicaId;
  readonly #ttl: string;

  constructor({ link, sealing, replica, ttlMs }: RedisSessionsOptions) {
    this.#link = link;
    this.#sealing = sealing;
    this.#replica = replica;
    this.#ttl = String(ttlMs);
  }

  async all(session: string): Promise<KeptSession> {
    const hash = await this.#link.run('recall', (client) => client.hGetAll(key(session)));
    if (ENDED in hash) return { kind: 'ended' };
    return { kind: 'kept', fields: this.#opened(session, Object.entries(hash)) };
  }

  async get(session: string, field: string): Promise<string | undefined> {
    const sealed = await this.#link.run('recall', (client) => client.hGet(key(session), field));
    return sealed === null ? undefined : this.#sealing.open(sealed, context(session, field));
  }

  async add(session: string, field: string, text: string): Promise<string> {
    const sealed = this.#sealing.seal(text, context(session, field));
    const message = `${this.#replica} added ${session} ${field}`;
    const stands = await this.#eval('remember', ADD, session, [
      field,
      sealed,
      this.#replica,
      this.#ttl,
      message,
    ]);
    // What another key ring sealed is of no use to anybody here.
    return stands === sealed ? text : (this.#sealing.open(String(stands), context(session, field)) ?? text);
  }

  async remove(session: string, field: string, text: string): Promise<void> {
    const sealed = await this.#link.run('forget', (client) => client.hGet(key(session), field));
    if (sealed === null) return;
    const stands = this.#sealing.open(sealed, context(session, field));
    if (stands === text || stands === undefined) await this.#eval('forget', REMOVE, session, [field, sealed]);
  }

  async touch(session: string, fields: readonly string[]): Promise<readonly string[]> {
    return asTexts(await this.#eval('touch', TOUCH, session, [this.#replica, this.#ttl, ...fields]));
  }

  async end(session: string, rememberMs: number): Promise<ReadonlyMap<string, string>> {
    const message = `${this.#replica} ended ${session}`;
    const lasting = String(Math.max(1, Math.round(rememberMs)));
    return this.#opened(session, pairs(await this.#eval('end', END, session, [lasting, message])));
  }

  async drop(session: string): Promise<ReadonlyMap<string, string> | 'elsewhere'> {
    const all = await this.#eval('drop', DROP, session, [this.#replica]);
    return all === null ? 'elsewhere' : this.#opened(session, pairs(all));
  }

  onChange(listener: (change: SessionChange) => void): void {
    this.#link.subscribe(CHANNEL, (message) => {
      const [from, kind, session = '', ...field] = message.split(' ');
      if (from === this.#replica) return;
      if (kind === 'ended') listener({ kind, session });
      if (kind === 'added') listener({ kind, session, field: field.join(' ') });
    });
  }

  #eval(operation: string, script: string, session: string, args: string[]): Promise<unknown> {
    return this.#link.run(operation, (client) =>
      client.eval(script, { keys: [key(session)], arguments: args }),
    );
  }

  #opened(session: string, entries: readonly (readonly [string, string])[]): ReadonlyMap<string, string> {
    const fields = new Map<string, string>();
    for (const [field, sealed] of entries) {
      if (field === LAST || field === ENDED) continue;
      const text = this.#sealing.open(sealed, context(session, field));
      if (text !== undefined) fields.set(field, text);
    }
    return fields;
  }
}

const key = (session: string): string => `mcp-router:session:${session}`;
const context = (session: string, field: string): string => `session ${session} ${field}`;

function asTexts(reply: unknown): readonly string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}

function pairs(reply: unknown): (readonly [string, string])[] {
  const flat = asTexts(reply);
  return flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1] ?? ''] as const] : []));
}
