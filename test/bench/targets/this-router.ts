import { randomBytes } from 'node:crypto';
import { resolveSettings } from '../../../src/config/resolve.ts';
import { startRouter } from '../../../src/main.ts';
import { createLog } from '../../../src/observability/log.ts';
import type { RegistrySnapshot } from '../../../src/model.ts';
import { registered } from '../../support/router.ts';
import { report } from './report.ts';

/**
 * This router with everything on: sessions, sealed ids, metrics, logs. Its registry is fed by hand, since Consul
 * is not on the path of a call.
 */
const resolved = resolveSettings({ flags: { listen: '127.0.0.1:0', adminListen: '127.0.0.1:0' } });
if (resolved.kind === 'wrong') throw new Error(JSON.stringify(resolved.problems));
const service = registered('bench', [['backend', Number(process.argv[2])]]);
const router = await startRouter(resolved.settings, {
  log: createLog({ level: 'warn', format: 'json' }),
  keyRing: [randomBytes(32)],
  registry: (onSnapshot) => ({
    start: () =>
      onSnapshot({
        version: 1,
        services: new Map([[service.name, service]]),
        skipped: [],
      } satisfies RegistrySnapshot),
    stop: () => undefined,
    status: () => ({ synced: true, queries: 0, datacenters: [] }),
  }),
});
report(router.data.port);
