import { randomBytes } from 'node:crypto';
import { KeyRing } from '../../src/gateway/key-ring.ts';
import type { Log, LogFields } from '../../src/model.ts';
import { DegradingStore, type DegradingOptions } from '../../src/store/degrading.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { Sealing } from '../../src/store/store.ts';

export interface TestStore {
  readonly store: DegradingStore;
  readonly logs: { level: string; message: string; fields: LogFields | undefined }[];
  readonly failures: string[];
}

export const testBounds = { maxEvents: 5, maxBytes: 3000, maxAgeMs: 60_000 };
/** As main hands it over. */
export function sealingOf(ring: KeyRing): Sealing {
  return {
    seal: (text, context) => ring.seal('store', text, context),
    open: (sealed, context) => ring.open('store', sealed, context),
  };
}

const testSealing = sealingOf(new KeyRing([randomBytes(32)]));

export const memoryStore = (more: Partial<DegradingOptions> = {}): MemoryStore =>
  new MemoryStore({
    sessionTtlMs: 60_000,
    events: testBounds,
    now: () => performance.now(),
    ...more,
  });

/** One replica's store at a server of the test. Not started yet. */
export function redisStore(port: number, more: Partial<DegradingOptions> = {}): TestStore {
  const logs: TestStore['logs'] = [];
  const failures: string[] = [];
  const write = (level: string) => (message: string, fields?: LogFields) =>
    void logs.push({ level, message, fields });
  const log: Log = { error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug') };
  const store = new DegradingStore({
    sessionTtlMs: 60_000,
    events: testBounds,
    target: { at: { host: '127.0.0.1', port, tls: false }, database: 0 },
    sealing: testSealing,
    // Long: a busy machine is no outage.
    deadlineMs: 5000,
    log,
    now: () => performance.now(),
    random: Math.random,
    onFailure: (operation) => void failures.push(operation),
    ...more,
  });
  return { store, logs, failures };
}
