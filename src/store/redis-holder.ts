import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../model.ts';
import { StoreLost, type RedisLink } from './redis-link.ts';
import type { Asked, ReplicaId, Sealing } from './store.ts';

export interface RedisHolderOptions {
  readonly link: RedisLink;
  readonly sealing: Sealing;
  readonly replica: ReplicaId;
  /** What this replica says to a question; rejects where it can't. */
  readonly answer: (question: string) => Promise<string>;
  readonly now: Clock;
}

type Settle = (asked: Asked) => void;

interface Letter {
  readonly from: ReplicaId;
  readonly question: string;
  /** How long somebody waits for the answer, from the question on. */
  readonly timeoutMs: number;
}

/** Nobody listens on the channel, but the replica may be connecting anew: it is called again for this long. */
const RECONNECT_MS = 1500;
const CALL_AGAIN_MS = 100;
/** While an answer is awaited the replica is called now and then, to know that it is still there. */
const WATCH_MS = 1000;

/**
 * Questions between replicas through a Valkey or Redis. The text lies in a mailbox of its own that one reader can
 * empty once (GETDEL); a message on the replica's channel says that it is there. So a text may be of any size, and
 * that nobody listens shows at once that the replica is gone.
 */
export class RedisHolder {
  readonly #options: RedisHolderOptions;
  readonly #waiting = new Map<string, Settle>();

  constructor(options: RedisHolderOptions) {
    this.#options = options;
    options.link.subscribe(channel(options.replica), (message) => this.#heard(message));
    // What was said while this replica could not hear.
    options.link.onUp(() => {
      for (const id of this.#waiting.keys()) void this.#collect(id);
    });
  }

  /** Never rejects. */
  async ask(replica: ReplicaId, question: string, timeoutMs: number): Promise<Asked> {
    const id = randomBytes(16).toString('base64url');
    const letter: Letter = { from: this.#options.replica, question, timeoutMs };
    const text = this.#options.sealing.seal(JSON.stringify(letter), context(replica, id));
    let settle: Settle = () => undefined;
    const asked = new Promise<Asked>((resolve) => (settle = resolve));
    this.#waiting.set(id, settle);
    const timer = setTimeout(() => void this.#giveUp(id), timeoutMs);
    try {
      await this.#options.link.certain();
      const heardBy = await this.#post(mailbox(id), text, timeoutMs, replica, `ask ${id}`);
      void this.#keepCalling(replica, id, heardBy);
      return await asked;
    } catch (error) {
      // Where the link failed halfway, the replica may have been told.
      return { kind: error instanceof StoreLost ? 'gone' : 'no-answer' };
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Nobody is waited for any more. */
  stop(): void {
    for (const settle of this.#waiting.values()) settle({ kind: 'no-answer' });
  }

  /** Until there is an answer, or nobody has heard for a while. */
  async #keepCalling(replica: ReplicaId, id: string, heardAtFirst: number): Promise<void> {
    const { link, now } = this.#options;
    let heardBy = heardAtFirst;
    let lastHeardAt = now();
    for (;;) {
      if (heardBy > 0) lastHeardAt = now();
      else if (now() - lastHeardAt >= RECONNECT_MS) return this.#giveUp(id);
      await delay(heardBy > 0 ? WATCH_MS : CALL_AGAIN_MS, undefined, { ref: false });
      if (!this.#waiting.has(id)) return;
      heardBy = await link
        .run('ask', (client) => client.publish(channel(replica), `ask ${id}`))
        // That the link has trouble says nothing about the replica.
        .catch(() => 1);
    }
  }

  /** What was not taken out of the mailbox was not delivered. */
  async #giveUp(id: string): Promise<void> {
    await this.#collect(id);
    const takenBack = await this.#options.link.run('ask', (client) => client.del(mailbox(id))).catch(() => 0);
    this.#waiting.get(id)?.({ kind: takenBack === 1 ? 'gone' : 'no-answer' });
  }

  async #post(box: string, text: string, ttlMs: number, to: ReplicaId, message: string): Promise<number> {
    const expiration = { type: 'PX', value: Math.max(1, Math.round(ttlMs)) } as const;
    const [, heardBy] = await this.#options.link.run(
      'ask',
      (client) => client.multi().set(box, text, { expiration }).publish(channel(to), message).exec(),
      text.length,
    );
    return Number(heardBy);
  }

  #heard(message: string): void {
    const [kind, id = ''] = message.split(' ');
    if (kind === 'ask') void this.#answer(id);
    else if (kind === 'answer') void this.#collect(id);
    else if (kind === 'failed') this.#waiting.get(id)?.({ kind: 'no-answer' });
  }

  async #answer(id: string): Promise<void> {
    const { link, sealing, replica, answer } = this.#options;
    try {
      const sealed = await link.run('answer', (client) => client.getDel(mailbox(id)));
      const opened = sealed === null ? undefined : sealing.open(sealed, context(replica, id));
      // Taken by nobody else: another router with another key ring wrote it, or it is too late.
      if (opened === undefined) return;
      const { from, question, timeoutMs } = JSON.parse(opened) as Letter;
      try {
        const text = sealing.seal(await answer(question), context(from, id));
        await this.#post(answerbox(id), text, timeoutMs, from, `answer ${id}`);
      } catch {
        await link.run('answer', (client) => client.publish(channel(from), `failed ${id}`));
      }
    } catch {
      // The link has reported it; who asked has a deadline.
    }
  }

  /** Takes the answer where there is one. */
  async #collect(id: string): Promise<void> {
    const settle = this.#waiting.get(id);
    if (!settle) return;
    const { link, sealing, replica } = this.#options;
    try {
      const sealed = await link.run('ask', (client) => client.getDel(answerbox(id)));
      const answer = sealed === null ? undefined : sealing.open(sealed, context(replica, id));
      if (answer !== undefined) settle({ kind: 'answered', answer });
    } catch {
      // Another look is taken when the link is back, and a last one before giving up.
    }
  }
}

const channel = (replica: ReplicaId): string => `mcp-router:replica:${replica}`;
const mailbox = (id: string): string => `mcp-router:ask:${id}`;
const answerbox = (id: string): string => `mcp-router:answer:${id}`;
/** A letter opens for its reader only. */
const context = (reader: ReplicaId, id: string): string => `letter ${reader} ${id}`;
