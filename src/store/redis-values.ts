import type { RedisLink } from './redis-link.ts';
import type { Sealing, Values } from './store.ts';

const key = (name: string): string => `mcp-router:value:${name}`;
const context = (name: string): string => `value ${name}`;

/** Small sealed values in a Valkey or Redis. Its operations reject where the link fails. */
export function redisValues(link: RedisLink, sealing: Sealing): Values {
  const opened = (name: string, sealed: string | null): string | undefined =>
    sealed === null ? undefined : sealing.open(sealed, context(name));
  return {
    async get(name) {
      return opened(name, await link.run('get', (client) => client.get(key(name))));
    },
    async put(name, text, ttlMs) {
      if (ttlMs < 1) return;
      const expiration = { type: 'PX', value: Math.round(ttlMs) } as const;
      await link.run('put', (client) =>
        client.set(key(name), sealing.seal(text, context(name)), { expiration }),
      );
    },
    async take(name) {
      return opened(name, await link.run('take', (client) => client.getDel(key(name))));
    },
  };
}
