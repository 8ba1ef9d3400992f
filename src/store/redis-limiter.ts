import type { RedisLink } from './redis-link.ts';
import type { LimiterClient } from './store.ts';

/** The client as `rate-limiter-flexible` sees it, behind the deadline and the state of the link. */
export function limiterClient(link: RedisLink): LimiterClient {
  return {
    get isReady() {
      return link.up;
    },
    eval: (script, options) => link.run('limit', (client) => client.eval(script, options)),
    del: (key) => link.run('limit', (client) => client.del(key)),
    multi() {
      const transaction = link.client.multi();
      const exec = transaction.exec.bind(transaction);
      return Object.assign(transaction, {
        exec: (asPipeline?: boolean) => link.run('limit', () => exec(asPipeline)),
      });
    },
  };
}
