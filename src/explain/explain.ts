import type { RegisteredService, ServiceRoute, Sighting, UpstreamName } from '../model.ts';
import { itemFindings, kindNames, missingFindings } from './item-findings.ts';
import { finding, findingOf, type Finding } from './reasons.ts';
import { serviceFindings, stale, takesCalls } from './service-findings.ts';
import { similar } from './similar.ts';
import { itemKinds, subjectsOf, type ItemSubject, type Subject } from './subjects.ts';
import { whereTo, type Going } from './where.ts';
import type { LookUp, Outlook } from './outlook.ts';

/** Why a thing is or is not there: what `explain` prints and `/api/v1/explain` gives. */
export interface Explanation {
  readonly query: string;
  /** One for each thing that the name may mean; empty where nothing is known of it. */
  readonly subjects: readonly Explained[];
  /** Why there is nothing, where there is nothing. */
  readonly findings: readonly Finding[];
  /** What may have been meant. */
  readonly similar: readonly string[];
}

export interface Explained {
  readonly kind: 'service' | 'tool' | 'prompt' | 'resource' | 'resource template' | 'unknown item';
  readonly name: string;
  readonly service: string;
  readonly verdict: 'available' | 'partly' | 'unavailable';
  /** Names or the URI that clients see. */
  readonly listedAs: readonly string[];
  /** Instances by what they say of themselves: one group unless a deploy is under way. */
  readonly versions: readonly VersionGroup[];
  readonly findings: readonly Finding[];
  /** Absent where there is nothing to be called. */
  readonly call?: Going;
}

export interface VersionGroup {
  readonly digest: string;
  /** What the service shows. */
  readonly advertised: boolean;
  /** Service ids. */
  readonly instances: readonly string[];
}

/**
 * Explains a tool, prompt, resource, service or instance by any name that it has. Consul is asked only where the
 * router knows nothing of the name.
 */
export async function explain(query: string, outlook: Outlook, lookUp: LookUp): Promise<Explanation> {
  const subjects = subjectsOf(query, outlook);
  if (subjects.length > 0) {
    return { query, subjects: subjects.map((one) => explained(one, outlook)), findings: [], similar: [] };
  }
  if (!outlook.snapshot) {
    const findings = [
      finding('NOT_SYNCED', 'Consul has not yet answered, so nothing is known of any service.'),
    ];
    return { query, subjects: [], findings, similar: [] };
  }
  // A tool's name begins with its service's.
  const [service = query] = /^(.+?)(?:\.|__|\/)/.exec(query)?.slice(1) ?? [];
  let sighting = await lookUp(query);
  if (service !== query && sighting.kind === 'seen' && sighting.found.length === 0)
    sighting = await lookUp(service);
  return unknown(query, service, sighting, outlook);
}

function explained(subject: Subject, outlook: Outlook): Explained {
  switch (subject.kind) {
    case 'service': {
      const { service } = subject;
      return assemble('service', service.name, service, serviceView(service, outlook), undefined, outlook);
    }
    case 'skipped':
      return {
        kind: 'service',
        name: subject.name,
        service: subject.name,
        verdict: 'unavailable',
        listedAs: [],
        versions: [],
        findings: [findingOf(subject.reason)],
      };
    case 'missing': {
      const { service, key } = subject;
      const findings = [...missingFindings(service, key, outlook), ...ofService(service, outlook)];
      return {
        ...assemble('unknown item', key, service, findings, undefined, outlook),
        verdict: 'unavailable',
      };
    }
    case 'item': {
      const { service, list, key } = subject;
      const findings = [...itemFindings(subject, outlook), ...ofService(service, outlook)];
      return assemble(kindNames[list], key, service, findings, subject, outlook);
    }
  }
}

/** Of a service as a whole: a single item that is missing takes away a part of it. */
function serviceView(service: RegisteredService, outlook: Outlook): readonly Finding[] {
  const listing = service.instances.flatMap((instance) => {
    const learned = outlook.learned(instance);
    const definition = learned.kind === 'learned' ? learned.definition : undefined;
    return (definition?.problems ?? []).map((problem) => findingOf(problem));
  });
  const settled = (outlook.table.catalog.problems.get(service.name) ?? []).map((problem) =>
    findingOf(problem),
  );
  const weakened = [...listing, ...settled].map((one): Finding =>
    one.effect === 'gone' ? { ...one, effect: 'partly' } : one,
  );
  const distinct = new Map(weakened.map((one) => [`${one.code} ${one.sentence}`, one]));
  return [...serviceFindings(service, outlook), ...distinct.values()];
}

/** What matters of a service to one who asked for an item of it. */
function ofService(service: RegisteredService, outlook: Outlook): readonly Finding[] {
  return serviceFindings(service, outlook).filter((one) => takesCalls(one) || one.code === 'STALE');
}

function assemble(
  kind: string,
  name: string,
  service: RegisteredService,
  findings: readonly Finding[],
  item: ItemSubject | undefined,
  outlook: Outlook,
): Explained {
  const route = outlook.table.services.get(service.name);
  const callable = kind === 'service' || item?.entry !== undefined;
  const wish = item && { kind: item.list, key: item.key as UpstreamName };
  const call = route && callable ? whereTo(route, wish, outlook) : undefined;
  const gone = findings.some(({ effect }) => effect === 'gone') || call?.outcome === 'refused';
  const partly = findings.some(({ effect }) => effect === 'partly');
  return {
    kind: kind as Explained['kind'],
    name,
    service: service.name,
    verdict: gone || (item && !item.entry) ? 'unavailable' : partly ? 'partly' : 'available',
    listedAs: kind === 'service' ? namesOfService(service, outlook) : item?.entry ? publicNames(item) : [],
    versions: route ? versionsOf(route) : [],
    findings,
    ...(call && { call }),
  };
}

function publicNames({ entry }: ItemSubject): readonly string[] {
  if (!entry) return [];
  return 'uri' in entry ? [entry.uri] : [entry.portable, entry.canonical];
}

/** A service is listed as the items that it shows: their number by kind. */
function namesOfService({ name }: RegisteredService, { table }: Outlook): readonly string[] {
  const shown = table.catalog.byName.get(name);
  if (!shown) return [];
  return itemKinds
    .filter((list) => shown[list].length > 0)
    .map((list) => `${shown[list].length} ${kindNames[list]}${shown[list].length === 1 ? '' : 's'}`);
}

function versionsOf({ targets, definition }: ServiceRoute): readonly VersionGroup[] {
  const groups = new Map<string, string[]>();
  for (const target of targets) {
    const { digest } = target.definition;
    groups.set(digest, [...(groups.get(digest) ?? []), target.instance.serviceId]);
  }
  return Array.from(groups, ([digest, instances]) => ({
    digest: digest.slice(0, 12),
    advertised: digest === definition?.digest,
    instances,
  }));
}

/** The router has never heard of it: what does Consul say? */
function unknown(query: string, service: string, sighting: Sighting, outlook: Outlook): Explanation {
  const known = [
    ...outlook.table.catalog.tools.keys(),
    ...outlook.table.catalog.prompts.keys(),
    ...outlook.table.catalog.resources.keys(),
    ...(outlook.snapshot?.services.keys() ?? []),
  ];
  const names = sighting.kind === 'seen' ? [...known, ...sighting.names] : known;
  const findings =
    sighting.kind === 'failed' ? notSeen(query, sighting.reason) : seen(service, sighting, outlook);
  const doubt = outlook.snapshot?.doubt;
  return {
    query,
    subjects: [],
    findings: doubt === undefined ? findings : [...findings, stale(doubt)],
    similar: similar(query, names),
  };
}

function notSeen(query: string, reason: string): readonly Finding[] {
  return [
    finding('NOT_REGISTERED', `The router knows no ${query}.`),
    finding('LOOK_UP_FAILED', `Consul could not be asked for it: ${reason}.`),
  ];
}

function seen(
  name: string,
  { found, filtered }: Extract<Sighting, { kind: 'seen' }>,
  { settings: { tag } }: Outlook,
): readonly Finding[] {
  const findings = found.map(({ datacenter, asked, tags, kinds }): Finding => {
    if (kinds.every((kind) => kind !== ''))
      return finding(
        'KIND',
        `${name} in ${datacenter} is a ${kinds.join(', ')}; only plain services are served.`,
      );
    if (!tags.includes(tag)) {
      const alike = tags.find((one) => one.toLowerCase() === tag.toLowerCase());
      const has =
        alike !== undefined
          ? `It has "${alike}", and case counts`
          : tags.length === 0
            ? 'It has none'
            : `It has ${tags.map((one) => `"${one}"`).join(', ')}`;
      return finding('NO_TAG', `${name} is registered in ${datacenter} without the tag "${tag}". ${has}.`, {
        mend: `Register it with the tag "${tag}", or set MCP_ROUTER_TAG.`,
      });
    }
    return asked
      ? finding('NOT_YET', `${name} is registered in ${datacenter}, and the router has not yet taken it up.`)
      : finding('OTHER_DATACENTER', `${name} is registered in ${datacenter}, which the router does not ask.`);
  });
  if (findings.length === 0)
    findings.push(
      finding('NOT_REGISTERED', `Consul has no service ${name}, and no service has an item of that name.`),
    );
  if (filtered)
    findings.push(finding('TOKEN_SEES_LESS', "Consul's ACLs hide some services from the router's token."));
  return findings;
}
