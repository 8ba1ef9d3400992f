import type { Eras, Instance, Learned, RegisteredService, Target, VersionWeights } from '../model.ts';
import { shutOut } from './pool.ts';

const legacyOnly: Eras = { legacy: true, modern: false };

/**
 * Who may take new calls: Consul says passing or warning with a weight above 0, and the instance has answered
 * with its lists at least once since it registered. Connected with no successful list is not healthy.
 *
 * An instance whose later look failed keeps what it said before: whether it still answers is for its calls to
 * show, and a list that timed out once must not take its traffic away.
 * @param versions a version with weight 0 gets no calls
 */
export function targetsOf(
  service: RegisteredService,
  learned: (instance: Instance) => Learned,
  previous: readonly Target[] = [],
  versions?: VersionWeights,
): readonly Target[] {
  const targets: Target[] = [];
  for (const instance of service.instances) {
    const weight = weightOf(instance);
    if (weight === 0 || shutOut(versions, instance)) continue;
    const known = learned(instance);
    if (known.kind === 'pending') continue;
    const definition = known.kind === 'learned' ? known.definition : known.last;
    if (definition === undefined) continue;
    const sessionless = known.kind === 'learned' && known.sessionless;
    const eras = known.kind === 'learned' ? known.eras : (known.eras ?? legacyOnly);
    const before = previous.find((target) => target.instance === instance);
    targets.push(
      before?.definition === definition &&
        before.weight === weight &&
        before.sessionless === sessionless &&
        before.eras.legacy === eras.legacy &&
        before.eras.modern === eras.modern
        ? before
        : { instance, definition, sessionless, eras, weight },
    );
  }
  return targets.length === previous.length && targets.every((target, at) => target === previous[at])
    ? previous
    : targets;
}

/** Consul's weight in the present state; 0 takes no new calls. */
export function weightOf(instance: Instance): number {
  switch (instance.state) {
    case 'passing':
      return instance.weights.passing;
    case 'warning':
      return instance.weights.warning;
    case 'critical':
    case 'maintenance':
      return 0;
  }
}
