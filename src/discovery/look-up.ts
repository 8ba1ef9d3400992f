import { z } from 'zod';
import { describeError } from '../errors.ts';
import type { SeenService, Sighting } from '../model.ts';
import { ConsulError, type ConsulAnswer } from './consul-answer.ts';
import type { ConsulClient } from './consul-client.ts';
import type { ConsulLine } from './consul-line.ts';

const namesAnswer = z.record(z.string(), z.array(z.string()).nullable());
const serviceAnswer = z.array(
  z.object({
    Service: z.object({ Kind: z.string().default(''), Tags: z.array(z.string()).nullable().default([]) }),
  }),
);
const datacentersAnswer = z.array(z.string());

const TIMEOUT_MS = 5000;
/** Somebody waits for the answer; a federation may have many. */
const MAX_DATACENTERS = 20;

/**
 * Asks Consul for a service, whatever its tags and kind, in every datacenter that it knows. For people: slow, and
 * past everything that the router keeps. Never rejects.
 * @param asked the datacenters that the router asks; empty: the agent's own
 */
export async function lookUp(
  client: ConsulClient,
  asked: readonly string[],
  service: string,
): Promise<Sighting> {
  const line = client.control();
  try {
    const own = asked.length === 0 ? [undefined] : asked;
    const catalogs = await Promise.all(
      own.map((dc) => ask(line, dc, (consul, options) => consul.catalog.service.list(options))),
    );
    const lists = catalogs.map(({ body }) => Object.keys(read(namesAnswer, body)));
    // Consul registers itself everywhere; Consul before 1.11 does not say that it filtered.
    const filtered = catalogs.some((answer, at) => answer.filtered || !lists[at]?.includes('consul'));
    const home = await Promise.all(own.map((dc) => seenIn(line, service, dc, true)));
    const others = await elsewhere(line, service, asked, home);
    const found = [...home, ...others].filter((one) => one !== undefined);
    return { kind: 'seen', found, names: lists.flat(), filtered };
  } catch (error) {
    return { kind: 'failed', reason: describeError(error) };
  } finally {
    line.close();
  }
}

/** Datacenters that the router does not ask; one that can't be reached tells nothing. */
async function elsewhere(
  line: ConsulLine,
  service: string,
  asked: readonly string[],
  home: readonly (SeenService | undefined)[],
): Promise<readonly (SeenService | undefined)[]> {
  const answer = await ask(line, undefined, (consul, options) => consul.catalog.datacenters(options));
  const datacenters = read(datacentersAnswer, answer.body);
  // The first is the agent's own, or near it (API documentation: list datacenters, sorted by round trip).
  const known = new Set(asked.length === 0 ? datacenters.slice(0, 1) : asked);
  for (const one of home) if (one) known.add(one.datacenter);
  const others = datacenters.filter((name) => !known.has(name)).slice(0, MAX_DATACENTERS);
  return Promise.all(others.map((dc) => seenIn(line, service, dc, false).catch(() => undefined)));
}

async function seenIn(
  line: ConsulLine,
  service: string,
  dc: string | undefined,
  asked: boolean,
): Promise<SeenService | undefined> {
  const answer = await ask(line, dc, (consul, options) => consul.health.service({ ...options, service }));
  const instances = read(serviceAnswer, answer.body).map(({ Service }) => Service);
  if (instances.length === 0) return undefined;
  return {
    datacenter: dc ?? "the agent's datacenter",
    asked,
    tags: [...new Set(instances.flatMap(({ Tags }) => Tags ?? []))].sort(),
    kinds: [...new Set(instances.map(({ Kind }) => Kind))].sort(),
  };
}

function ask(
  line: ConsulLine,
  dc: string | undefined,
  call: Parameters<ConsulLine['call']>[0],
): Promise<ConsulAnswer> {
  return line.call(call, { ...(dc !== undefined && { dc }), timeoutMs: TIMEOUT_MS });
}

/** @throws {ConsulError} 'garbage' */
function read<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new ConsulError('garbage', 'answered with JSON that Consul would not send');
}
