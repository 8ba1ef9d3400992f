import type { Clock, DoubtReason, RoutingTable } from '../model.ts';
import type { EndedCall } from './request-log.ts';
import { Ring } from './ring.ts';
import type { TimelineEntry } from './shapes.ts';
import { tableStory, type Happening } from './table-story.ts';

const MAX_ENTRIES = 1000;
/** Calls of a service that found their way within so long are one entry. */
const TOGETHER_MS = 10_000;

const doubts: Readonly<Record<DoubtReason, string>> = {
  'not-synced': 'has not answered yet',
  unreachable: 'cannot be reached',
  refused: 'refuses the token',
  'rate-limited': 'limits how often it is asked',
  'server-error': 'answers with errors',
  garbage: 'answers with something that Consul would not say',
  'empty-at-start': 'has no leader, or has lost its state',
  filtered: 'does not let the token see everything',
  'mass-disappearance': 'says that most of what was there is gone',
};

interface Rerouted {
  readonly since: number;
  readonly count: number;
}

/** What happened lately, in the order in which it did, in plain words. */
export class Timeline {
  readonly #wallClock: Clock;
  readonly #tell: (entry: TimelineEntry) => void;
  readonly #entries = new Ring<TimelineEntry>(MAX_ENTRIES);
  readonly #doubts = new Map<string, DoubtReason>();
  /** The latest entry, if it is about calls that found another instance. */
  #rerouted: (Rerouted & { readonly entry: TimelineEntry }) | undefined;
  #count = 0;

  /**
   * @param wallClock milliseconds since 1970
   * @param tell told of each entry, and again of one that was changed
   */
  constructor(wallClock: Clock, tell: (entry: TimelineEntry) => void) {
    this.#wallClock = wallClock;
    this.#tell = tell;
  }

  /** The last `most`, oldest first. */
  last(most?: number): readonly TimelineEntry[] {
    return this.#entries.last(most);
  }

  add(happening: Happening): TimelineEntry {
    const entry = { n: ++this.#count, at: this.#wallClock(), ...happening };
    this.#rerouted = undefined;
    this.#entries.push(entry);
    this.#tell(entry);
    return entry;
  }

  swapped(next: RoutingTable, previous: RoutingTable): void {
    for (const happening of tableStory(next, previous)) this.add(happening);
  }

  /** What is to be said of Consul now, one datacenter after the other. */
  consul(datacenters: readonly { readonly name: string; readonly doubt: DoubtReason | undefined }[]): void {
    for (const { name, doubt } of datacenters) {
      const before = this.#doubts.get(name);
      // That nothing was learned yet is no news.
      if (doubt === before || (doubt === 'not-synced' && before === undefined)) continue;
      const who = name === 'local' ? 'Consul' : `Consul (${name})`;
      if (doubt === undefined) {
        this.#doubts.delete(name);
        this.add({ kind: 'consul', tone: 'good', text: `${who} answers again, and is believed.` });
      } else {
        this.#doubts.set(name, doubt);
        this.add({
          kind: 'consul',
          tone: 'bad',
          text: `${who} ${doubts[doubt]}. The last good state is served meanwhile.`,
        });
      }
    }
  }

  /** A call that needed more than one instance is an entry, many in a row are one. */
  called({ service, attempts, result, trouble }: EndedCall): void {
    if (attempts < 2 || result !== 'ok') return;
    const now = this.#wallClock();
    const last = this.#rerouted;
    const goesOn = last?.entry.service === service && now - last.since < TOGETHER_MS;
    const count = goesOn ? last.count + 1 : 1;
    const calls = count === 1 ? 'A call' : `${count} calls`;
    const were = count === 1 ? 'was' : 'were';
    const because = trouble === undefined ? '' : ` (${trouble.replace(/\.$/, '')})`;
    const happening: Happening = {
      kind: 'failover',
      tone: 'plain',
      service,
      text: `${calls} of ${service} ${were} answered at a further try${because}.`,
    };
    if (!goesOn) {
      const entry = this.add(happening);
      this.#rerouted = { since: now, count, entry };
      return;
    }
    const entry = { ...last.entry, ...happening };
    this.#rerouted = { since: last.since, count, entry };
    this.#entries.replaceLast(entry);
    this.#tell(entry);
  }
}
