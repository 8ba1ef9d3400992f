import { effect } from '@preact/signals';
import type { ChangeEvent, StateEvent } from '../../shapes.ts';
import { ApiError, ask, locked } from './access.ts';
import { eventsOf } from './events.ts';
import { connection, receiveChange, receiveState } from './state.ts';

const RETRY_MS = 1000;
const MAX_RETRY_MS = 10_000;

/** Keeps the event stream open, as long as the page is. Each time it opens, all there is comes first. */
export async function connect(): Promise<never> {
  let failures = 0;
  for (;;) {
    try {
      for await (const { name, data } of eventsOf(await ask('events'))) {
        failures = 0;
        if (name === 'state') receiveState(data as StateEvent);
        else if (name === 'change') receiveChange(data as ChangeEvent);
      }
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) await unlocked();
    }
    connection.value = 'lost';
    await pause(Math.min(RETRY_MS * 2 ** failures++, MAX_RETRY_MS) * (0.5 + Math.random()));
    connection.value = 'connecting';
  }
}

function unlocked(): Promise<void> {
  return new Promise((resolve) => {
    const stop = effect(() => {
      if (locked.value) return;
      resolve();
      queueMicrotask(() => stop());
    });
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
