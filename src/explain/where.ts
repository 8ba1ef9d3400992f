import type { Instance, ItemKind, ServiceRoute, UpstreamName } from '../model.ts';
import { balanceSentence } from './chances.ts';
import type { Chance, Outlook } from './outlook.ts';

/** Where a call would go at this moment, and why there. */
export interface Going {
  readonly outcome: 'goes' | 'refused';
  /** How the choice is made, or why there is none. */
  readonly sentence: string;
  /** Every registered instance, the likeliest first. */
  readonly candidates: readonly Candidate[];
}

export interface Candidate extends Chance {
  readonly instance: string;
  readonly serviceId: string;
  readonly datacenter: string;
  readonly node: string;
}

export function whereTo(
  route: ServiceRoute,
  item: { readonly kind: ItemKind; readonly key: UpstreamName } | undefined,
  outlook: Outlook,
): Going {
  const chances = outlook.chances(route, item);
  const candidates = [...route.instances.values()]
    .map((instance) => candidate(instance, chances.get(instance.id)))
    .sort((a, b) => b.share - a.share || (a.instance < b.instance ? -1 : 1));
  const able = candidates.filter(({ share }) => share > 0);
  if (able.length === 0)
    return {
      outcome: 'refused',
      sentence: 'A call is refused with NO_HEALTHY_INSTANCE: no instance may take it.',
      candidates,
    };
  return { outcome: 'goes', sentence: howChosen(route, able.length), candidates };
}

function howChosen({ settings }: ServiceRoute, able: number): string {
  return able === 1
    ? 'Each call goes to the one instance that may take it.'
    : balanceSentence(settings.balance);
}

function candidate({ id, serviceId, datacenter, node }: Instance, chance: Chance | undefined): Candidate {
  return {
    instance: id,
    serviceId,
    datacenter,
    node,
    ...(chance ?? { state: 'out', share: 0, why: 'Nothing is known of it.', inFlight: 0 }),
  };
}
