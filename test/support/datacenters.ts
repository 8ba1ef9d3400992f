import { consulApi, startConsul, type ConsulAgent } from './consul.ts';
import { eventually } from './eventually.ts';

/** Real agents, each a datacenter of its own (`dc1`, `dc2`, …), joined over the WAN. */
export async function startDatacenters(count: number): Promise<ConsulAgent[]> {
  const agents = await Promise.all(
    Array.from({ length: count }, (_, at) => startConsul({ datacenter: `dc${at + 1}` })),
  );
  const [first, ...others] = agents;
  if (!first) return agents;
  const self = (await consulApi(first, 'GET', 'agent/self')) as { DebugConfig: { SerfPortWAN: number } };
  for (const agent of others) {
    await consulApi(agent, 'PUT', `agent/join/127.0.0.1:${self.DebugConfig.SerfPortWAN}?wan=1`);
  }
  for (const agent of agents) {
    await eventually(async () => {
      const known = (await consulApi(agent, 'GET', 'catalog/datacenters')) as string[];
      return known.length === count;
    });
    for (let at = 1; at <= count; at++) {
      await eventually(() => consulApi(agent, 'GET', `catalog/services?dc=dc${at}`));
    }
  }
  return agents;
}
