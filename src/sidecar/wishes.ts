/** Severities of `notifications/message`, least first (2025-11-25, logging; RFC 5424). */
const levels = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const;
export type Level = (typeof levels)[number];

export function isLevel(word: string | undefined): word is Level {
  return (levels as readonly (string | undefined)[]).includes(word);
}

interface Subscription<Session> {
  readonly sessions: Set<Session>;
  /** The child has agreed. */
  confirmed: boolean;
}

/**
 * What the sessions of one child want to hear. The child knows one client, so it is asked for what the most
 * curious session wants, and each session is told what it asked for. Wishes count from the moment they are
 * uttered, so that of two that cross each other neither is lost; one that the child refuses is taken back.
 */
export class Wishes<Session> {
  readonly #levels = new Map<Session, Level>();
  readonly #subscriptions = new Map<string, Subscription<Session>>();

  levelOf(session: Session): Level | undefined {
    return this.#levels.get(session);
  }

  setLevel(session: Session, level: Level | undefined): void {
    if (level === undefined) this.#levels.delete(session);
    else this.#levels.set(session, level);
  }

  /** The level that the child must be at; undefined where nobody asked for one. */
  get wantedLevel(): Level | undefined {
    const wanted = new Set(this.#levels.values());
    return levels.find((level) => wanted.has(level));
  }

  /**
   * Whether a session hears a log message. One that never asked hears what the server says by itself, until
   * another session makes the server talkative: from then on, `info` and above.
   */
  hears(session: Session, level: string | undefined): boolean {
    const threshold = this.#levels.get(session) ?? (this.#levels.size > 0 ? 'info' : 'debug');
    return !isLevel(level) || levels.indexOf(level) >= levels.indexOf(threshold);
  }

  /** True: the child has to be asked. */
  subscribe(session: Session, uri: string): boolean {
    const known = this.#subscriptions.get(uri);
    if (known) known.sessions.add(session);
    else this.#subscriptions.set(uri, { sessions: new Set([session]), confirmed: false });
    return !known?.confirmed;
  }

  confirm(uri: string): void {
    const subscription = this.#subscriptions.get(uri);
    if (subscription) subscription.confirmed = true;
  }

  /** True: it was the last session that wanted it, and the child has to be told. */
  unsubscribe(session: Session, uri: string): boolean {
    const subscription = this.#subscriptions.get(uri);
    if (!subscription?.sessions.delete(session) || subscription.sessions.size > 0) return false;
    this.#subscriptions.delete(uri);
    return true;
  }

  /** The session is gone. What is returned nobody wants any more. */
  forget(session: Session): readonly string[] {
    this.#levels.delete(session);
    return [...this.#subscriptions.keys()].filter((uri) => this.unsubscribe(session, uri));
  }

  get uris(): Iterable<string> {
    return this.#subscriptions.keys();
  }

  /** Who hears of an update: it may be of a part of what was subscribed to (2025-11-25, resources/updated). */
  listeners(updated: string): ReadonlySet<Session> {
    const listeners = new Set<Session>();
    for (const [uri, { sessions }] of this.#subscriptions) {
      if (updated !== uri && !(updated.startsWith(uri) && /^[/?#]/.test(updated.slice(uri.length)))) continue;
      for (const session of sessions) listeners.add(session);
    }
    return listeners;
  }
}
