import type { InstanceId, RawJson, Target } from '../model.ts';
import type { Envelope, NotificationEnvelope } from '../relay/envelope.ts';
import { decodeString, memberObject, scanArray } from '../relay/json-scan.ts';
import type { ModernIntroduction } from '../relay/modern.ts';
import { LATEST_LEGACY_VERSION } from '../relay/versions.ts';
import { BackendSessions, type BackendSessionsOptions } from './backend-sessions.ts';
import { listen, subscription, type Listener } from './listen.ts';

export interface ResourceWatchOptions {
  readonly backends: BackendSessionsOptions;
  readonly introduction: ModernIntroduction;
  /** Where to watch now; undefined while nothing is healthy. */
  readonly choose: () => Target | undefined;
  /** `notifications/resources/updated` as the backend sent it. */
  readonly onUpdated: (message: NotificationEnvelope) => void;
  /** What was watched elsewhere may have changed unseen on the way here. */
  readonly onMoved: (uris: readonly string[]) => void;
}

/** Longest wait for a backend to say what it agrees to. */
const AGREE_MS = 5000;
const MAX_EVENT_BYTES = 1 << 20;
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 30_000;

/**
 * Watches resources of one service on behalf of one client, at whichever instance is there: by subscribing in a
 * session of the session era, or by listening in the stateless one.
 */
export class ResourceWatch {
  readonly #options: ResourceWatchOptions;
  readonly #uris = new Set<string>();
  #at: InstanceId | undefined;
  #stop: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #closed = false;

  constructor(options: ResourceWatchOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#uris.size;
  }

  /** @returns those of the URIs that the backend agreed to; a slow one is taken to agree. */
  async add(uris: readonly string[]): Promise<readonly string[]> {
    for (const uri of uris) this.#uris.add(uri);
    return this.#open(uris);
  }

  remove(uri: string): void {
    if (!this.#uris.delete(uri)) return;
    if (this.#uris.size === 0) this.#leave();
    else void this.#open([]);
  }

  /** The table has changed: is it still watched where it was? */
  check(present: { has(instance: InstanceId): boolean }): void {
    if (this.#closed || this.#uris.size === 0) return;
    if (this.#at !== undefined && present.has(this.#at)) return;
    const moved = this.#at !== undefined;
    this.#leave();
    void this.#reopen(moved);
  }

  close(): void {
    this.#closed = true;
    this.#uris.clear();
    this.#leave();
  }

  /** Lost, or not reached: another try after a while. */
  #again(): void {
    this.#leave();
    if (this.#closed) return;
    const pauseMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures++);
    this.#timer = setTimeout(() => {
      void this.#reopen(true);
    }, pauseMs * this.#options.backends.random());
    this.#timer.unref();
  }

  async #reopen(moved: boolean): Promise<void> {
    await this.#open([]);
    if (moved && this.#at !== undefined) this.#options.onMoved([...this.#uris]);
  }

  #leave(): void {
    clearTimeout(this.#timer);
    this.#at = undefined;
    this.#stop?.();
    this.#stop = undefined;
  }

  async #open(wanted: readonly string[]): Promise<readonly string[]> {
    if (this.#closed || this.#uris.size === 0) return [];
    const target = this.#options.choose();
    this.#leave();
    if (!target) return wanted;
    this.#at = target.instance.id;
    const agreed = target.eras.modern ? this.#listen(target) : this.#subscribe(target);
    const known = await agreed;
    return known === undefined ? wanted : wanted.filter((uri) => known.has(uri));
  }

  /** Undefined: not known. */
  #listen(target: Target): Promise<ReadonlySet<string> | undefined> {
    const { backends, introduction } = this.#options;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), AGREE_MS);
      timer.unref();
      const listener: Listener = listen(backends.connections, {
        endpoint: target.instance.endpoint,
        opening: subscription(introduction, { resourceSubscriptions: [...this.#uris] }),
        timeoutMs: backends.handshakeTimeoutMs,
        maxEventBytes: MAX_EVENT_BYTES,
        onMessage: (message) => {
          if (message.kind !== 'notification') return;
          if (message.method === 'notifications/subscriptions/acknowledged') resolve(acknowledged(message));
          else this.#hear(message);
        },
        onOver: () => resolve(new Set()),
        now: backends.now,
        random: backends.random,
      });
      this.#stop = () => {
        clearTimeout(timer);
        listener.stop();
        resolve(undefined);
      };
    });
  }

  async #subscribe(target: Target): Promise<ReadonlySet<string> | undefined> {
    const { backends, introduction } = this.#options;
    let left = false;
    const onLost = (): void => {
      if (!left) this.#again();
    };
    const sessions = new BackendSessions(
      { ...backends, onLost },
      {
        protocolVersion: LATEST_LEGACY_VERSION,
        clientInfo: introduction.clientInfo,
        // Nothing is asked of the client on a stream that is there for news.
        capabilities: '{}' as RawJson,
      },
    );
    this.#stop = () => {
      left = true;
      void sessions.close();
    };
    sessions.listen((message) => this.#hear(message));
    const uris = [...this.#uris];
    for (const uri of uris) sessions.subscribed(target.instance.service, uri);
    try {
      const session = sessions.ready(target) ?? (await sessions.open(target));
      if (left) return undefined;
      this.#failures = 0;
      if (session.id === undefined || !session.capabilities?.includes('"subscribe"')) return new Set();
      return new Set(uris);
    } catch {
      if (!left) this.#again();
      return undefined;
    }
  }

  #hear(message: Envelope): void {
    if (message.kind === 'notification' && message.method === 'notifications/resources/updated') {
      this.#options.onUpdated(message);
    }
  }
}

function acknowledged({ text, params }: NotificationEnvelope): ReadonlySet<string> {
  const filter = params && memberObject(text, params, 'notifications');
  const start = filter?.starts[filter.keys.indexOf('resourceSubscriptions')];
  if (start === undefined) return new Set();
  return new Set(scanArray(text, start, 10_000).map(([from, to]) => decodeString(text, from, to)));
}
