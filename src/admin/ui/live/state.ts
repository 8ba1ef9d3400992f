import { batch, computed, signal } from '@preact/signals';
import type {
  CallRecord,
  ChangeEvent,
  RouterStatus,
  ServiceSummary,
  StateEvent,
  TimelineEntry,
} from '../../shapes.ts';

/** What the router says, as it is now. Written by `receive…` alone. */

export type Connection = 'connecting' | 'live' | 'lost';

const MAX_CALLS = 2000;
const MAX_ENTRIES = 1000;

export const connection = signal<Connection>('connecting');
export const status = signal<RouterStatus | undefined>(undefined);
export const services = signal<ReadonlyMap<string, ServiceSummary>>(new Map());
/** Newest first. */
export const calls = signal<readonly CallRecord[]>([]);
/** Newest first. */
export const timeline = signal<readonly TimelineEntry[]>([]);
/** Calls that were too many to be sent one by one. */
export const callsLeftOut = signal(0);

export const serviceList = computed(() =>
  [...services.value.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
);

export function receiveState(state: StateEvent): void {
  batch(() => {
    status.value = state.status;
    services.value = new Map(state.services.map((service) => [service.name, service]));
    calls.value = [...state.calls].toReversed();
    timeline.value = [...state.timeline].toReversed();
    callsLeftOut.value = 0;
    connection.value = 'live';
  });
}

export function receiveChange(change: ChangeEvent): void {
  batch(() => {
    if (change.status) status.value = change.status;
    if (change.services || change.removed) {
      const next = new Map(services.value);
      for (const service of change.services ?? []) next.set(service.name, service);
      for (const name of change.removed ?? []) next.delete(name);
      services.value = next;
    }
    if (change.calls) receiveCalls(change.calls);
    if (change.callsLeftOut !== undefined) callsLeftOut.value += change.callsLeftOut;
    if (change.timeline) timeline.value = newestFirst(timeline.value, change.timeline, MAX_ENTRIES);
  });
}

/** Calls that ended, perhaps told before. */
export function receiveCalls(told: readonly CallRecord[]): void {
  calls.value = newestFirst(calls.value, told, MAX_CALLS);
}

/** Each once; what is told later counts. */
function newestFirst<Item extends { readonly n: number }>(
  known: readonly Item[],
  told: readonly Item[],
  most: number,
): readonly Item[] {
  const all = new Map([...known, ...told].map((item) => [item.n, item]));
  return [...all.values()].sort((a, b) => b.n - a.n).slice(0, most);
}
