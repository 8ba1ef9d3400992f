import type { RequestLog } from './request-log.ts';
import type { ChangeEvent, RouterStatus, ServiceSummary, StateEvent, TimelineEntry } from './shapes.ts';
import type { Timeline } from './timeline.ts';

export interface LiveFeedPorts {
  readonly status: () => RouterStatus;
  /** One line for every registered service. */
  readonly services: () => readonly ServiceSummary[];
  readonly calls: RequestLog;
  readonly timeline: Timeline;
}

/** Somebody who watches. */
export interface Watcher {
  state(state: StateEvent): void;
  change(change: ChangeEvent): void;
}

/** Changes within so long are one event. */
const GATHER_MS = 150;
/** Counts that nobody announces (sessions, calls under way) are looked at this often. */
const TICK_MS = 1000;
const MAX_CALLS_IN_STATE = 200;
const MAX_CALLS_IN_CHANGE = 100;
const MAX_TIMELINE_IN_STATE = 300;

/**
 * What the dashboard sees, live: first all there is, then what changed. While nobody watches it costs nothing.
 * Whoever joins gets the state of the same moment from which on changes come, so none is missed.
 */
export class LiveFeed {
  readonly #ports: LiveFeedPorts;
  readonly #watchers = new Set<Watcher>();
  /** As told last, as text: only what differs is told again. */
  readonly #told = new Map<string, { readonly text: string; readonly summary: ServiceSummary }>();
  #toldStatus = '';
  #toldCalls = 0;
  #happened: TimelineEntry[] = [];
  #timer: NodeJS.Timeout | undefined;
  #tick: NodeJS.Timeout | undefined;

  constructor(ports: LiveFeedPorts) {
    this.#ports = ports;
  }

  /** Something may be different. */
  touch(): void {
    if (this.#watchers.size > 0) this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS);
  }

  happened(entry: TimelineEntry): void {
    if (this.#watchers.size === 0) return;
    this.#happened.push(entry);
    this.touch();
  }

  /** @returns what ends it */
  watch(watcher: Watcher): () => void {
    if (this.#watchers.size === 0) this.#begin();
    else this.#flush();
    this.#watchers.add(watcher);
    watcher.state({
      status: this.#ports.status(),
      services: Array.from(this.#told.values(), ({ summary }) => summary),
      calls: this.#ports.calls.last(MAX_CALLS_IN_STATE),
      timeline: this.#ports.timeline.last(MAX_TIMELINE_IN_STATE),
    });
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.stop();
    };
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#tick);
    this.#timer = undefined;
    this.#told.clear();
    this.#happened = [];
  }

  #begin(): void {
    this.#changedServices();
    this.#toldStatus = JSON.stringify(this.#ports.status());
    this.#toldCalls = this.#ports.calls.count;
    this.#tick = setInterval(() => this.#flush(), TICK_MS).unref();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { services, removed } = this.#changedServices();
    const status = this.#ports.status();
    const statusText = JSON.stringify(status);
    const ended = this.#ports.calls.count - this.#toldCalls;
    const calls = ended > 0 ? this.#ports.calls.last(Math.min(ended, MAX_CALLS_IN_CHANGE)) : [];
    const change: ChangeEvent = {
      ...(statusText !== this.#toldStatus && { status }),
      ...(services.length > 0 && { services }),
      ...(removed.length > 0 && { removed }),
      ...(calls.length > 0 && { calls }),
      ...(ended > calls.length && { callsLeftOut: ended - calls.length }),
      ...(this.#happened.length > 0 && { timeline: this.#happened }),
    };
    this.#toldStatus = statusText;
    this.#toldCalls += ended;
    this.#happened = [];
    if (Object.keys(change).length === 0) return;
    for (const watcher of this.#watchers) watcher.change(change);
  }

  #changedServices(): { readonly services: readonly ServiceSummary[]; readonly removed: readonly string[] } {
    const services: ServiceSummary[] = [];
    const present = new Set<string>();
    for (const summary of this.#ports.services()) {
      present.add(summary.name);
      const text = JSON.stringify(summary);
      if (this.#told.get(summary.name)?.text === text) continue;
      this.#told.set(summary.name, { text, summary });
      services.push(summary);
    }
    const removed = [...this.#told.keys()].filter((name) => !present.has(name));
    for (const name of removed) this.#told.delete(name);
    return { services, removed };
  }
}
