import { isIPv6 } from 'node:net';
import { z } from 'zod';
import type { Check, Instance, InstanceId, InstanceState, Problem, ServiceName, Skipped } from '../model.ts';
import { ConsulError } from './consul-answer.ts';
import { readMeta, type MetaSettings } from './registration-meta.ts';

/** An instance with the settings that its registration asks for; the newest one's count for the service. */
export interface ParsedInstance {
  readonly instance: Instance;
  readonly settings: MetaSettings['service'];
}

export interface ParsedService {
  /** Sorted by instance id. */
  readonly instances: readonly ParsedInstance[];
  readonly skipped: readonly Skipped[];
}

// Only what is read is described; Consul adds fields with every release.
const catalogAnswer = z.record(z.string(), z.array(z.string()).nullable());

const checkEntry = z.object({
  CheckID: z.string(),
  Name: z.string().default(''),
  Status: z.string(),
  Notes: z.string().default(''),
  Output: z.string().default(''),
  ServiceID: z.string().default(''),
});

const healthEntry = z.object({
  Node: z.object({
    Node: z.string().min(1),
    Address: z.string().default(''),
    Datacenter: z.string().default(''),
  }),
  Service: z.object({
    ID: z.string().min(1),
    Kind: z.string().default(''),
    Tags: z.array(z.string()).nullable().default([]),
    Address: z.string().default(''),
    Port: z.number().int().default(0),
    Meta: z.record(z.string(), z.string()).nullable().default({}),
    Weights: z.object({ Passing: z.number(), Warning: z.number() }).partial().nullable().default({}),
    ModifyIndex: z.number().default(0),
  }),
  Checks: z.array(checkEntry).nullable().default([]),
});
type HealthEntry = z.output<typeof healthEntry>;
type CheckEntry = z.output<typeof checkEntry>;

const healthAnswer = z.array(healthEntry);

/**
 * Names of the services that have the tag, sorted. Tags are compared here: older servers ignore `filter=`, and
 * `?tag=` does not look at case.
 * @throws {ConsulError} 'garbage'
 */
export function parseCatalog(body: unknown, tag: string): readonly string[] {
  const parsed = catalogAnswer.safeParse(body);
  if (!parsed.success) throw garbage('catalog/services', parsed.error);
  return Object.entries(parsed.data)
    .filter(([, tags]) => tags?.includes(tag))
    .map(([name]) => name)
    .sort();
}

/**
 * The instances of one service, as `health/service/<name>` gives them.
 * @throws {ConsulError} 'garbage'
 */
export function parseHealth(
  body: unknown,
  service: ServiceName,
  tag: string,
  datacenter: string,
): ParsedService {
  const parsed = healthAnswer.safeParse(body);
  if (!parsed.success) throw garbage(`health/service/${service}`, parsed.error);
  const instances: ParsedInstance[] = [];
  const skipped: Skipped[] = [];
  for (const entry of parsed.data) {
    const reason = whySkipped(entry, tag);
    const dc = entry.Node.Datacenter || datacenter;
    if (reason)
      skipped.push({ service, serviceId: entry.Service.ID, node: entry.Node.Node, datacenter: dc, reason });
    else instances.push(parseInstance(entry, service, dc));
  }
  instances.sort((a, b) => (a.instance.id < b.instance.id ? -1 : 1));
  return { instances, skipped };
}

function garbage(what: string, error: z.ZodError): ConsulError {
  const issue = error.issues[0];
  const where = issue ? `${issue.path.join('.')}: ${issue.message}` : 'unknown';
  return new ConsulError('garbage', `answered ${what} with JSON that Consul would not send (${where})`);
}

function whySkipped({ Node, Service }: HealthEntry, tag: string): Problem | undefined {
  if (Service.Kind !== '') {
    return {
      code: 'KIND',
      message: `${Service.ID} is a ${Service.Kind}, which inherits its service's tags; only plain services are served.`,
    };
  }
  if (!Service.Tags?.includes(tag)) {
    return {
      code: 'NO_TAG',
      message: `${Service.ID} has no tag "${tag}" though others of its service have; add it to have this one served.`,
    };
  }
  if (Service.Port <= 0 || Service.Port > 65_535) {
    return {
      code: 'NO_PORT',
      message: `${Service.ID} is registered with port ${Service.Port}, so it can't be called; register the port it listens on.`,
    };
  }
  const host = Service.Address || Node.Address;
  if (!isHost(host)) {
    return {
      code: 'BAD_ADDRESS',
      message: `${Service.ID} has the address ${JSON.stringify(host)}, which is neither a host name nor an IP address; mend the registration.`,
    };
  }
  return undefined;
}

/** A host name, an IPv4 or an IPv6 address without brackets. What else could change the meaning of a URL? */
function isHost(host: string): boolean {
  return isIPv6(host) || /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9.])?$/.test(host);
}

function parseInstance(entry: HealthEntry, service: ServiceName, datacenter: string): ParsedInstance {
  const { Node, Service } = entry;
  const meta = Service.Meta ?? {};
  const settings = readMeta(meta, service);
  const host = Service.Address || Node.Address;
  const endpoint = { ...settings.endpoint, host, port: Service.Port };
  const checks = parseChecks(entry.Checks ?? []);
  const instance: Instance = {
    id: [datacenter, Node.Node, Service.ID].map(encodeURIComponent).join('/') as InstanceId,
    service,
    datacenter,
    node: Node.Node,
    serviceId: Service.ID,
    endpoint,
    state: worst(checks),
    checks,
    weights: { passing: Service.Weights?.Passing ?? 1, warning: Service.Weights?.Warning ?? 1 },
    tags: Service.Tags ?? [],
    meta,
    ...(settings.version !== undefined && { version: settings.version }),
    registration: `${Service.ModifyIndex} ${JSON.stringify(endpoint)}`,
    modifyIndex: Service.ModifyIndex,
    problems: settings.problems,
  };
  return { instance, settings: settings.service };
}

const MAX_OUTPUT = 512;

function parseChecks(entries: readonly CheckEntry[]): readonly Check[] {
  return entries.map((entry) => {
    const status = checkState(entry);
    // What a passing check prints changes all the time and interests nobody.
    const output = status === 'maintenance' ? entry.Notes : status === 'passing' ? '' : entry.Output;
    return {
      id: entry.CheckID,
      name: entry.Name,
      status,
      output: output.slice(0, MAX_OUTPUT),
      ofNode: entry.ServiceID === '',
    };
  });
}

/** Maintenance is a critical check under a reserved id (API documentation: agent service, maintenance mode). */
function checkState(entry: CheckEntry): InstanceState {
  if (entry.CheckID === '_node_maintenance' || entry.CheckID.startsWith('_service_maintenance:'))
    return 'maintenance';
  return entry.Status === 'passing' || entry.Status === 'warning' ? entry.Status : 'critical';
}

const severity: readonly InstanceState[] = ['passing', 'warning', 'critical', 'maintenance'];

/** The worst check counts, the node's included; no check at all is passing, as in Consul. */
function worst(checks: readonly Check[]): InstanceState {
  let state: InstanceState = 'passing';
  for (const check of checks)
    if (severity.indexOf(check.status) > severity.indexOf(state)) state = check.status;
  return state;
}
