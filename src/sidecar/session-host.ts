import { RouterError } from '../errors.ts';
import type { Clock } from '../model.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import type { ChildEnd } from './child.ts';
import { ChildSession } from './child-session.ts';
import type { Health, Host, Opened } from './host.ts';
import { rehearse, type RehearsalOptions } from './rehearsal.ts';

export interface SessionHostOptions extends RehearsalOptions {
  /** The command can't be started at all. */
  readonly onHopeless: (reason: string) => void;
  readonly now: Clock;
}

/** Whether children come up, as far as the last start tells. */
type Proof =
  | { readonly kind: 'none' }
  | { readonly kind: 'up' }
  | { readonly kind: 'down'; readonly reason: string; readonly at: number };

/** Between two rehearsals while children do not come up. */
const REHEARSE_AGAIN_MS = 1000;

/**
 * A child for each client session: the client's own `initialize` goes through with all its capabilities, and the
 * server may ask it anything.
 */
export class SessionHost implements Host {
  readonly #options: SessionHostOptions;
  readonly #sessions = new Set<ChildSession>();
  readonly #stopping = new AbortController();
  #proof: Proof = { kind: 'none' };
  #rehearsal: Promise<void> | undefined;

  constructor(options: SessionHostOptions) {
    this.#options = options;
  }

  start(): void {
    this.#rehearse();
  }

  // eslint-disable-next-line typescript/require-await -- the other host has to ask its child
  async health(): Promise<Health> {
    const proof = this.#proof;
    switch (proof.kind) {
      case 'up':
        return { kind: 'up' };
      case 'none':
        return { kind: 'down', reason: 'is starting' };
      case 'down':
        // Nobody comes to an unhealthy server: without a rehearsal it would stay unhealthy for good.
        if (this.#options.now() - proof.at >= REHEARSE_AGAIN_MS) this.#rehearse();
        return { kind: 'down', reason: proof.reason };
    }
  }

  get running(): number {
    let running = 0;
    for (const session of this.#sessions) running += session.running;
    return running;
  }

  async open(request: RequestEnvelope, over: () => void): Promise<Opened> {
    const session = new ChildSession(this.#options, request, {
      failed: (end) => this.#failed(end),
      over,
    });
    // A session that is over may have a child that still has to end.
    this.#sessions.add(session);
    void session.gone.then(() => this.#sessions.delete(session));
    const opened = await session.opened;
    this.#proof = { kind: 'up' };
    return opened;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    const error = new RouterError('DRAINING', 'The server is shutting down.');
    await Promise.all([this.#rehearsal, ...Array.from(this.#sessions, (session) => session.stop(error))]);
  }

  #rehearse(): void {
    this.#rehearsal ??= this.#tryOut().finally(() => {
      this.#rehearsal = undefined;
    });
  }

  async #tryOut(): Promise<void> {
    const first = this.#proof.kind === 'none';
    const end = await rehearse(this.#options, this.#stopping.signal);
    if (this.#stopping.signal.aborted) return;
    if (!end) this.#proof = { kind: 'up' };
    else if (end.spawnFailed && first) this.#options.onHopeless(end.reason);
    else this.#failed(end);
  }

  #failed({ reason }: ChildEnd): void {
    if (this.#proof.kind !== 'down') this.#options.log.warn('the server does not come up', { reason });
    this.#proof = { kind: 'down', reason, at: this.#options.now() };
  }
}
