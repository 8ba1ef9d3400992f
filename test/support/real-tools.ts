import type { Backend } from './backend.ts';
import { startBackend } from './backend.ts';
import { realServers } from '../bench/search/corpus.ts';

/** A small server that has the tools of a real one, as that one lists them. */
export async function startLike(service: string): Promise<Backend> {
  const server = realServers().find((one) => one.service === service);
  if (!server) throw new Error(`no definitions of ${service}`);
  return startBackend({ tools: [...server.tools] });
}
