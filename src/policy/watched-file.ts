import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Source } from './document.ts';

/** Where a document comes from: a file, or a key of Consul's KV. */
export interface DocumentSource {
  readonly place: string;
  /**
   * Calls `onText` with the text now, where it can be had now, and whenever it changed; with undefined where there is
   * none. `onUnreadable` where nobody can say whether there is one.
   * @returns ends the watch
   */
  watch(onText: (source: Source | undefined) => void, onUnreadable?: Unreadable): () => void;
}

/** `refused`: whoever keeps the document does not let the router read it. */
export type Unreadable = (reason: 'refused') => void;

/**
 * The text is read again and again: files of a mounted secret or config map are swapped behind a link, which no
 * event tells, and times of files miss changes of the same moment.
 */
const POLL_MS = 1000;

export function fileSource(path: string, pollMs = POLL_MS): DocumentSource {
  return {
    place: path,
    watch(onText) {
      let last = readNow(path);
      let ended = false;
      const tell = (text: string | undefined): void =>
        onText(text === undefined ? undefined : { text, place: path });
      tell(last);
      const look = async (): Promise<void> => {
        const text = await readFile(path, 'utf8').catch(() => undefined);
        if (ended || text === last) return;
        last = text;
        tell(text);
      };
      const timer = setInterval(() => void look(), pollMs).unref();
      return () => {
        ended = true;
        clearInterval(timer);
      };
    },
  };
}

/** At the start, so that what stands there is in force before the first request. */
function readNow(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
