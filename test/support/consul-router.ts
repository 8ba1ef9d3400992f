import { randomBytes } from 'node:crypto';
import { resolveSettings } from '../../src/config/resolve.ts';
import {
  consulClient,
  consulLookUp,
  consulRegistry,
  consulRollouts,
  startRouter,
  type Router,
} from '../../src/main.ts';
import type { Log } from '../../src/model.ts';

const log: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};

/** A router in this process beside a real Consul. */
export async function startConsulRouter(
  httpAddr: string,
  flags: Record<string, unknown> = {},
  keyRing: readonly Uint8Array[] = [randomBytes(32)],
): Promise<{ url: string; adminUrl: string; router: Router; stop(): Promise<void> }> {
  const resolved = resolveSettings({
    flags: {
      consulAddr: httpAddr,
      listen: '127.0.0.1:0',
      adminListen: '127.0.0.1:0',
      drainTimeout: 500,
      ...flags,
    },
  });
  if (resolved.kind === 'wrong') throw new Error(JSON.stringify(resolved.problems));
  const { settings } = resolved;
  const client = consulClient(settings);
  const router = await startRouter(settings, {
    log,
    keyRing,
    registry: consulRegistry(settings, client, log),
    rollouts: consulRollouts(settings, client, log),
    lookUp: consulLookUp(settings, client),
  });
  return {
    url: `http://127.0.0.1:${router.data.port}`,
    adminUrl: `http://127.0.0.1:${router.admin.port}`,
    router,
    stop: () => router.stop(),
  };
}
