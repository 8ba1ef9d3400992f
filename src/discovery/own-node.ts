import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Log } from '../model.ts';
import { ConsulError } from './consul-answer.ts';
import type { ConsulClient } from './consul-client.ts';

/** A node of Consul, which is unique in its datacenter. */
export interface OwnNode {
  readonly datacenter: string;
  readonly node: string;
}

const selfAnswer = z.object({
  Config: z.object({ Datacenter: z.string().min(1), NodeName: z.string().min(1) }),
});

const TIMEOUT_MS = 10_000;
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 60_000;

/**
 * Asks the agent which node it stands for, which is the node that the router is on. Tries until there is an
 * answer; undefined where the token may not ask, or `signal` came first. Never rejects.
 */
export async function ownNode(
  client: ConsulClient,
  log: Log,
  signal: AbortSignal,
): Promise<OwnNode | undefined> {
  const line = client.control();
  try {
    for (let pauseMs = RETRY_MIN_MS; !signal.aborted; pauseMs = Math.min(RETRY_MAX_MS, 2 * pauseMs)) {
      try {
        const settings = { timeoutMs: TIMEOUT_MS, signal };
        const answer = await line.call((consul, options) => consul.agent.self(options), settings);
        const parsed = selfAnswer.safeParse(answer.body);
        if (!parsed.success) throw new ConsulError('garbage', 'answered agent/self without a node name');
        return { datacenter: parsed.data.Config.Datacenter, node: parsed.data.Config.NodeName };
      } catch (error) {
        if (error instanceof ConsulError && error.reason === 'refused') {
          log.info("the router's own node is not known, so instances on it are not preferred", {
            reason: error.message,
            mend: 'give the token `agent_prefix "" { policy = "read" }`, or set MCP_ROUTER_NODE',
          });
          return undefined;
        }
        await delay(pauseMs, undefined, { signal }).catch(() => undefined);
      }
    }
    return undefined;
  } finally {
    line.close();
  }
}
