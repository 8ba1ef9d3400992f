import { KvWatch, type KvWatchOptions } from './discovery/kv-watch.ts';
import type { DoubtReason } from './model.ts';
import type { Source } from './policy/document.ts';
import type { DocumentSource, Unreadable } from './policy/watched-file.ts';

/** Where documents in KV come from: {@link KvWatch}, or a test's own hand. */
export type KvPort = Pick<KvWatch<string>, 'start' | 'stop' | 'values' | 'doubt'>;

/**
 * Opens a watch.
 * @param path one key, or with a `/` at its end everything below it
 */
export type OpenKv = (path: string, onChange: () => void, onError: (reason: DoubtReason) => void) => KvPort;

interface Listener {
  readonly onText: (source: Source | undefined) => void;
  readonly onUnreadable: Unreadable | undefined;
}

interface Watched {
  readonly port: KvPort;
  readonly listeners: Map<string, Listener>;
}

/** How documents in Consul KV are read: one query for a key, or one for all keys of a folder. */
export class KvDocuments {
  readonly #open: OpenKv;
  readonly #onError: (reason: DoubtReason) => void;
  readonly #watched = new Map<string, Watched>();

  constructor(open: OpenKv, onError: (reason: DoubtReason) => void) {
    this.#open = open;
    this.#onError = onError;
  }

  /** Blocking queries under way. */
  get queries(): number {
    return this.#watched.size;
  }

  /** @param folder with a `/` at its end; its keys are followed together */
  source(key: string, folder?: string): DocumentSource {
    const place = `Consul KV ${key}`;
    return {
      place,
      watch: (onText, onUnreadable) => {
        const path = folder ?? key;
        const watched = this.#watched.get(path) ?? this.#begin(path);
        watched.listeners.set(key, { onText, onUnreadable });
        if (watched.port.doubt !== 'not-synced') this.#tell(watched, key);
        return () => {
          watched.listeners.delete(key);
          if (watched.listeners.size > 0) return;
          this.#watched.delete(path);
          watched.port.stop();
        };
      },
    };
  }

  #begin(path: string): Watched {
    const listeners = new Map<string, Listener>();
    const port = this.#open(
      path,
      () => {
        if (port.doubt === 'not-synced') return;
        for (const key of listeners.keys()) this.#tell(watched, key);
      },
      (reason) => {
        this.#onError(reason);
        if (reason !== 'refused') return;
        for (const { onUnreadable } of listeners.values()) onUnreadable?.('refused');
      },
    );
    const watched: Watched = { port, listeners };
    this.#watched.set(path, watched);
    port.start();
    return watched;
  }

  #tell({ port, listeners }: Watched, key: string): void {
    const text = port.values.get(key);
    listeners.get(key)?.onText(text === undefined ? undefined : { text, place: `Consul KV ${key}` });
  }
}

/** A watch of KV as text. */
export function textWatch(options: Omit<KvWatchOptions<string>, 'parse'>): KvPort {
  return new KvWatch({ ...options, parse: (text) => text });
}
