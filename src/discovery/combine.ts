import type {
  Instance,
  Problem,
  RegisteredService,
  ServiceName,
  ServiceSettings,
  Skipped,
} from '../model.ts';
import type { ParsedInstance } from './parse-answers.ts';
import type { ServiceWatch } from './service-watch.ts';

/**
 * One service from all datacenters; undefined while nothing is known of it yet.
 * @param parts in failover order
 * @param before what this gave last; given again while it is the same
 */
export function combine(
  name: ServiceName,
  parts: readonly ServiceWatch[],
  before: RegisteredService | undefined,
): RegisteredService | undefined {
  const known = parts.filter((part) => part.doubt !== 'not-synced');
  if (known.length === 0) return undefined;
  const parsed = known.flatMap((part) => part.known.instances);
  const instances = parsed.map(({ instance }) => instance).sort((a, b) => (a.id < b.id ? -1 : 1));
  const skipped = known.flatMap((part) => part.known.skipped);
  const doubt = known.map((part) => part.doubt).find((reason) => reason !== undefined);
  if (
    before &&
    before.doubt === doubt &&
    sameItems(before.instances, instances) &&
    sameJson(before.skipped, skipped)
  ) {
    return before;
  }
  const newest = newestOf(parsed);
  const settings = newest?.settings ?? before?.settings ?? defaults(name);
  return {
    name,
    settings: before && sameJson(before.settings, settings) ? before.settings : settings,
    instances,
    skipped,
    problems: newest ? conflicts(newest, parsed) : [],
    ...(doubt !== undefined && { doubt }),
  };
}

/** Set if the service is none of ours at all: a sidecar or gateway that has inherited the tag. */
export function skippedAsWhole({ instances, skipped, doubt }: RegisteredService): Skipped | undefined {
  const [first] = skipped;
  if (!first || doubt !== undefined || instances.length > 0) return undefined;
  if (skipped.some(({ reason }) => reason.code !== 'KIND')) return undefined;
  return { service: first.service, datacenter: first.datacenter, reason: first.reason };
}

/** The newest registration: the highest index in the first datacenter that has any, then the lower id. */
function newestOf(parsed: readonly ParsedInstance[]): ParsedInstance | undefined {
  // Indexes of different datacenters can't be compared.
  const home = parsed[0]?.instance.datacenter;
  let newest: ParsedInstance | undefined;
  for (const one of parsed) {
    if (one.instance.datacenter !== home) continue;
    if (!newest || one.instance.modifyIndex > newest.instance.modifyIndex) newest = one;
  }
  return newest;
}

/** What each instance keeps for itself: it says where that instance is. */
const own = ['transport', 'scheme', 'path', 'tlsServerName', 'openapiPath'];

/** Instances whose settings differ from the newest one's; each setting is reported once. */
function conflicts(newest: ParsedInstance, parsed: readonly ParsedInstance[]): readonly Problem[] {
  const problems = new Map<string, Problem>();
  for (const one of parsed) {
    const theirs = comparable(one);
    for (const [setting, value] of Object.entries(comparable(newest))) {
      if (sameJson(theirs[setting], value) || problems.has(setting)) continue;
      problems.set(setting, {
        code: 'SETTINGS_DIFFER',
        subject: setting,
        message:
          `Instances differ in ${setting}: ${newest.instance.serviceId} (the newest) says ${show(value)}, ` +
          `${one.instance.serviceId} says ${show(theirs[setting])}. ` +
          (own.includes(setting)
            ? 'Each instance is called at its own.'
            : 'The newest registration counts for all.'),
      });
    }
  }
  return [...problems.values()];
}

function comparable({ settings, instance }: ParsedInstance): Record<string, unknown> {
  const { transport, scheme, path, tlsServerName, openapiPath } = instance.endpoint;
  return {
    group: undefined,
    credential: undefined,
    ...settings,
    transport,
    scheme,
    path,
    tlsServerName,
    openapiPath,
  };
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

function defaults(name: ServiceName): ServiceSettings {
  return {
    namespace: name,
    session: 'stateful',
    balance: 'rendezvous',
    timeoutMs: 60_000,
    maxConcurrency: 0,
    toolsAllow: [],
    toolsDeny: [],
  };
}

function sameItems(a: readonly Instance[], b: readonly Instance[]): boolean {
  return a.length === b.length && a.every((instance, at) => instance === b[at]);
}

/** Of values that were built by the same code, so with the same order of keys. */
export function sameJson(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
