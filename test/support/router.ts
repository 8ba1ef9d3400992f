import { randomBytes } from 'node:crypto';
import { resolveSettings } from '../../src/config/resolve.ts';
import { rolloutKey } from '../../src/discovery/rollouts.ts';
import { startRouter, type Router } from '../../src/main.ts';
import type {
  Instance,
  Layout,
  Log,
  LogFields,
  RegisteredService,
  RegistrySnapshot,
  ServiceName,
  VersionWeights,
} from '../../src/model.ts';
import { instance, service, settings } from './model.ts';

/** A router whose registry is moved by hand: everything behind it is real. */
export interface HandRouter {
  readonly url: string;
  readonly adminUrl: string;
  readonly logs: { level: string; message: string; fields: LogFields | undefined }[];
  /** Says what is registered from now on. */
  register(...services: RegisteredService[]): void;
  /** Says what weights the versions of a service have from now on; undefined: none. */
  weigh(service: string, weights: Readonly<Record<string, number>> | undefined): void;
  stop(): Promise<void>;
}

export async function startHandRouter(
  flags: Record<string, unknown> = {},
  keyRing: readonly Uint8Array[] = [randomBytes(32)],
  home?: Layout['home'],
): Promise<HandRouter> {
  const resolved = resolveSettings({
    flags: { listen: '127.0.0.1:0', adminListen: '127.0.0.1:0', drainTimeout: 1000, ...flags },
  });
  if (resolved.kind === 'wrong') throw new Error(JSON.stringify(resolved.problems));
  const logs: HandRouter['logs'] = [];
  const write = (level: string) => (message: string, fields?: LogFields) =>
    void logs.push({ level, message, fields });
  const log: Log = { error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug') };
  let tell: (snapshot: RegistrySnapshot) => void = () => undefined;
  let version = 0;
  const weights = new Map<string, VersionWeights>();
  let weighed: () => void = () => undefined;
  const router: Router = await startRouter(resolved.settings, {
    log,
    keyRing,
    registry: (onSnapshot) => {
      tell = onSnapshot;
      return {
        start: () => undefined,
        stop: () => undefined,
        status: () => ({ synced: version > 0, queries: 0, datacenters: [] }),
      };
    },
    rollouts: (onChange) => {
      weighed = onChange;
      return { start: () => undefined, stop: () => undefined, values: weights, problems: new Map() };
    },
    home: () => Promise.resolve(home),
  });
  return {
    url: `http://127.0.0.1:${router.data.port}`,
    adminUrl: `http://127.0.0.1:${router.admin.port}`,
    logs,
    register(...services) {
      const byName = new Map<ServiceName, RegisteredService>(services.map((entry) => [entry.name, entry]));
      tell({ version: ++version, services: byName, skipped: [] });
    },
    weigh(name, given) {
      const key = rolloutKey(service(name));
      if (given) weights.set(key, new Map(Object.entries(given)));
      else weights.delete(key);
      weighed();
    },
    stop: () => router.stop(),
  };
}

/** A service as the registry would give it; instances are `[id, port]` or made by hand. */
export function registered(
  name: string,
  instances: readonly (readonly [id: string, port: number] | Instance)[],
  more: Partial<RegisteredService['settings']> = {},
): RegisteredService {
  return {
    name: service(name),
    settings: settings(name, more),
    instances: instances.map((entry) => ('id' in entry ? entry : at(name, entry[0], entry[1]))),
    skipped: [],
    problems: [],
  };
}

export function at(name: string, id: string, port: number, more: Partial<Instance> = {}): Instance {
  const base = instance(name, id, more);
  return { ...base, endpoint: { ...base.endpoint, port, ...more.endpoint } };
}

/** An instance that speaks HTTP+SSE of 2024-11-05. */
export function overSse(
  name: string,
  id: string,
  port: number,
  { path = '/sse', ...more }: Partial<Instance> & { path?: string } = {},
): Instance {
  const base = at(name, id, port, more);
  return { ...base, endpoint: { ...base.endpoint, transport: 'sse', path } };
}
