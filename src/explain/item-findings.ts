import { glob } from '../catalog/glob.ts';
import type { ItemKind, ListItem, Problem, RegisteredService, UpstreamName } from '../model.ts';
import { finding, findingOf, type Finding } from './reasons.ts';
import { similar } from './similar.ts';
import { definitionsOf, itemKinds, type ItemSubject } from './subjects.ts';
import type { Outlook } from './outlook.ts';

export const kindNames: Readonly<Record<ItemKind, string>> = {
  tools: 'tool',
  prompts: 'prompt',
  resources: 'resource',
  resourceTemplates: 'resource template',
};

/** What is to be said of one item, beside what is said of its service. */
export function itemFindings(subject: ItemSubject, outlook: Outlook): readonly Finding[] {
  const { list, service, key, entry } = subject;
  const problems = itemProblems(service, list, key, outlook);
  const findings = problems.map((problem) =>
    findingOf(problem, problem.code === 'INVALID_ITEM' && entry ? { effect: 'partly' } : {}),
  );
  const hidden = list === 'tools' ? hiddenByMeta(service, key) : undefined;
  if (hidden) findings.push(hidden);
  findings.push(...spread(subject, outlook));
  if (!entry) {
    const told = findings.some(({ effect }) => effect === 'gone');
    const served = (outlook.table.services.get(service.name)?.targets.length ?? 0) > 0;
    if (!told && served)
      findings.push(finding('NOT_YET', `${key} was learned a moment ago, and is listed in a moment.`));
    return findings;
  }
  const said = new Set(findings.map(({ code }) => code));
  if (entry.item.eras !== 'both' && !said.has('INVALID_ITEM')) findings.push(oneEra(entry.item));
  if ('canonical' in entry && !said.has('NAME_CONFLICT')) {
    const plain = [`${service.settings.namespace}.${key}`, `${service.settings.namespace}__${key}`];
    if (!plain.includes(entry.canonical) || !plain.includes(entry.portable))
      findings.push(
        finding(
          'NAME_CHANGED',
          `Its server calls it ${key}; clients see ${entry.portable}, or ${entry.canonical}, which all of them take.`,
        ),
      );
  }
  const later = laterPage(subject, outlook);
  return later ? [...findings, later] : findings;
}

/** The service is known and has no item that could be meant. */
export function missingFindings(
  service: RegisteredService,
  key: string,
  outlook: Outlook,
): readonly Finding[] {
  const definitions = definitionsOf(service, outlook);
  const lists = itemKinds
    .flatMap((list) => listProblems(service, list, outlook))
    .map((one) => findingOf(one));
  if (definitions.length === 0) return lists;
  const names = definitions.flatMap((one) => itemKinds.flatMap((list) => one[list].map((item) => item.key)));
  const meant = similar(key, names);
  const has = meant.length === 0 ? '' : ` It has ${meant.join(', ')}.`;
  return [
    finding('NO_SUCH_ITEM', `No instance of ${service.name} lists a tool, prompt or resource ${key}.${has}`),
    ...lists,
  ];
}

function itemProblems(
  service: RegisteredService,
  list: ItemKind,
  key: string,
  outlook: Outlook,
): readonly Problem[] {
  const own = definitionsOf(service, outlook).flatMap(({ problems }) => problems);
  const settled = outlook.table.catalog.problems.get(service.name) ?? [];
  const about = [...own, ...settled].filter(
    ({ subject, code, message }) =>
      subject === `${list}/${key}` || (code === 'URI_CONFLICT' && list !== 'tools' && message.includes(key)),
  );
  return distinct(about);
}

/** Of a list as a whole: what is missing may be there. */
function listProblems(service: RegisteredService, list: ItemKind, outlook: Outlook): readonly Problem[] {
  const problems = definitionsOf(service, outlook).flatMap((definition) => definition.problems);
  return distinct(problems.filter(({ subject }) => subject === list));
}

function distinct(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [`${problem.code} ${problem.message}`, problem])).values()];
}

function hiddenByMeta({ name, settings }: RegisteredService, key: string): Finding | undefined {
  const denied = settings.toolsDeny.find((pattern) => glob(pattern)(key));
  if (denied !== undefined)
    return finding('TOOLS_DENY', `mcp-tools-deny of ${name} hides ${key} by "${denied}".`);
  const { toolsAllow } = settings;
  if (toolsAllow.length === 0 || toolsAllow.some((pattern) => glob(pattern)(key))) return undefined;
  return finding(
    'TOOLS_ALLOW',
    `mcp-tools-allow of ${name} is "${toolsAllow.join(', ')}", and ${key} matches none of it.`,
  );
}

/** Which instances have the item, and have it as it is listed. */
function spread({ list, service, key, entry }: ItemSubject, outlook: Outlook): readonly Finding[] {
  const route = outlook.table.services.get(service.name);
  if (!route?.definition || route.targets.length === 0) return [];
  const having = route.targets.filter(({ definition }) => has(definition[list], key));
  const names = (targets: typeof having): string =>
    targets.map(({ instance }) => instance.serviceId).join(', ');
  if (!has(route.definition[list], key)) {
    if (having.length === 0) return [];
    return [
      finding(
        'NOT_ADVERTISED',
        `Only ${names(having)} of ${route.targets.length} instances ${having.length === 1 ? 'has' : 'have'} it; the service shows what the others have.`,
      ),
    ];
  }
  const able = route.split[list].get(key as UpstreamName);
  if (!entry || able === undefined) return [];
  const others = route.targets.filter(({ instance }) => !able.byId.has(instance.id));
  if (others.length === 0) return [];
  return [
    finding(
      'SOME_INSTANCES',
      `${names(others)} ${others.length === 1 ? 'has' : 'have'} it otherwise or not at all, and ${others.length === 1 ? 'gets' : 'get'} no calls of it.`,
    ),
  ];
}

function has(items: readonly ListItem[], key: string): boolean {
  return items.some((item) => (item.key as string) === key);
}

function oneEra({ eras }: ListItem): Finding {
  return finding(
    'ONE_ERA',
    eras === 'legacy'
      ? 'Clients of revision 2026-07-28 would refuse it and do not see it; all others do.'
      : 'Clients of revisions up to 2025-11-25 would refuse it and do not see it; those of 2026-07-28 do.',
  );
}

function laterPage({ list, entry }: ItemSubject, { table, settings }: Outlook): Finding | undefined {
  let position = 0;
  for (const service of table.catalog.services) {
    const at = service[list].findIndex((one) => one === entry);
    if (at === -1) {
      position += service[list].length;
      continue;
    }
    position += at + 1;
    if (position <= settings.pageSize) return undefined;
    return finding(
      'LATER_PAGE',
      `It is number ${position} of the list at /mcp, and a page has ${settings.pageSize} (MCP_ROUTER_PAGE_SIZE).`,
    );
  }
  return undefined;
}
