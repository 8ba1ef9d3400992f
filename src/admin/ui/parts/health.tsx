import type { ServiceSummary } from '../../shapes.ts';
import { Badge, type Tone } from './bits.tsx';
import { count } from './words.ts';

/** Registered instances, whatever their state. */
export function total({ instances }: ServiceSummary): number {
  return instances.passing + instances.warning + instances.critical + instances.maintenance;
}

/** How a service is, all in all. */
export function toneOf(service: ServiceSummary): Tone {
  if (service.healthy === 0) return 'bad';
  if (service.healthy < total(service) - service.instances.maintenance) return 'warn';
  return service.problems > 0 || service.stale !== undefined ? 'warn' : 'good';
}

/** How many take calls. */
export function Health({ service }: { readonly service: ServiceSummary }) {
  const { healthy } = service;
  const of = total(service);
  const missed = of - service.instances.maintenance;
  const tone: Tone = healthy === 0 ? 'bad' : healthy < missed ? 'warn' : 'good';
  return (
    <Badge tone={tone}>
      {healthy} of {of}
    </Badge>
  );
}

/** What else there is to know of a service. */
export function notes(service: ServiceSummary): readonly string[] {
  const { problems, definitions, stale, instances } = service;
  return [
    ...(stale === undefined ? [] : ['last good state']),
    ...(definitions > 1 ? [`${definitions} definitions`] : []),
    ...(instances.maintenance > 0 ? [`${instances.maintenance} in maintenance`] : []),
    ...(problems > 0 ? [count(problems, 'problem')] : []),
  ];
}
