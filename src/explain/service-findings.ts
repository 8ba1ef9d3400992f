import type { DoubtReason, Instance, RegisteredService, ServiceRoute } from '../model.ts';
import { doubtSentences, finding, findingOf, type Finding } from './reasons.ts';
import type { Outlook } from './outlook.ts';

/** Everything that is to be said of a service and its instances, the worst first within each part. */
export function serviceFindings(service: RegisteredService, outlook: Outlook): readonly Finding[] {
  const route = outlook.table.services.get(service.name);
  const instances = service.instances.flatMap((instance) => instanceFindings(instance, route, outlook));
  const registration = service.skipped.map(({ reason, serviceId }) =>
    findingOf(reason, { effect: 'partly', ...(serviceId !== undefined && { instance: serviceId }) }),
  );
  const rest = [...service.problems, ...outlook.kvProblems(service.name)].map((problem) =>
    findingOf(problem),
  );
  const nobody = nobodyServes(service, route, outlook);
  const doubt = service.doubt ?? outlook.snapshot?.doubt;
  return [
    ...(nobody ? [nobody] : []),
    ...registration,
    ...instances,
    ...rest,
    ...(doubt === undefined ? [] : [stale(doubt)]),
  ];
}

/** Whether a finding takes calls away, from all or from some instances. */
export function takesCalls({ effect }: Finding): boolean {
  return effect !== 'note';
}

export function stale(doubt: DoubtReason): Finding {
  const { sentence, mend } = doubtSentences[doubt];
  return finding('STALE', `The last good state is served: ${sentence}.`, { mend });
}

function nobodyServes(
  service: RegisteredService,
  route: ServiceRoute | undefined,
  outlook: Outlook,
): Finding | undefined {
  if (service.instances.length === 0 && service.doubt === 'not-synced')
    return finding('NOT_SYNCED', `Consul has not yet said which instances ${service.name} has.`);
  if (route && route.targets.length > 0) return undefined;
  const seconds = outlook.settings.unhealthyGraceMs / 1000;
  const listed = outlook.table.catalog.byName.has(service.name)
    ? `What it has stays listed for ${seconds} s (MCP_ROUTER_UNHEALTHY_GRACE), and calls are refused.`
    : 'So nothing of it is listed.';
  const count = service.instances.length;
  const which = count === 0 ? 'none of its registrations can be served' : `none of its ${count} instances`;
  return finding(
    'NOBODY_SERVES',
    count === 0 ? `${service.name}: ${which}. ${listed}` : `${service.name}: ${which} takes calls. ${listed}`,
    { mend: 'See what is said of each below.' },
  );
}

function instanceFindings(
  instance: Instance,
  route: ServiceRoute | undefined,
  outlook: Outlook,
): readonly Finding[] {
  const about = { instance: instance.serviceId };
  const findings: Finding[] = [];
  const unfit = stateFinding(instance);
  if (unfit) findings.push(unfit);
  const learned = outlook.learned(instance);
  if (learned.kind === 'failed') {
    const kept = learned.last !== undefined;
    findings.push(findingOf(learned.problem, { ...about, effect: kept ? 'note' : 'partly' }));
  } else if (learned.kind === 'pending' && !unfit) {
    findings.push(finding('NOT_ASKED_YET', `${instance.serviceId} was not yet asked what it can do.`, about));
  }
  const chance = route && !unfit ? outlook.chances(route, undefined).get(instance.id) : undefined;
  const known = learned.kind === 'learned' || (learned.kind === 'failed' && learned.last !== undefined);
  if (known && (chance?.state === 'ejected' || chance?.state === 'out'))
    findings.push(finding('ROUTER_SAYS_NO', `${instance.serviceId}: ${chance.why}`, about));
  return [...findings, ...instance.problems.map((problem) => findingOf(problem, about))];
}

/** Why Consul's word keeps calls away. */
function stateFinding(instance: Instance): Finding | undefined {
  const about = { instance: instance.serviceId };
  const worst = instance.checks.find((check) => check.status === instance.state);
  const check = worst ? `check "${worst.name || worst.id}"${worst.ofNode ? ' of its node' : ''}` : 'a check';
  const said = worst?.output.trim().replaceAll(/\s+/g, ' ') ?? '';
  const output = said === '' ? '' : `: ${said}`;
  switch (instance.state) {
    case 'critical':
      return finding('CRITICAL', `${instance.serviceId} is critical by ${check}${output}`, about);
    case 'maintenance': {
      const whose = worst?.ofNode ? `its node ${instance.node}` : 'it';
      return finding(
        'MAINTENANCE',
        `${instance.serviceId} takes no new calls: ${whose} is in maintenance${output}`,
        about,
      );
    }
    case 'warning':
      return instance.weights.warning === 0
        ? finding(
            'NO_WEIGHT',
            `${instance.serviceId} is warning by ${check}${output}, and its weight is then 0`,
            about,
          )
        : undefined;
    case 'passing':
      return undefined;
  }
}
