import type { DoubtReason } from '../model.ts';
import type { Statement } from './judgement.ts';
import type { ParsedService } from './parse-answers.ts';

/**
 * When an answer of Consul is not to be believed. All rules are about things that vanish: what appears, or
 * changes its state, is taken at once.
 *
 * - Nothing at an index of 1 or less: a server without a leader or without its state says `200 []`.
 * - Something vanished though the index stands, or the answer says that ACLs filtered it: the token sees less.
 * - Something vanished and the index went back: Consul lost its state; services will register again.
 * - Most of what there was vanished at once: an accident, more likely than a wish.
 */
export function doubtNames(
  answer: Statement<readonly string[]>,
  last: Statement<readonly string[]> | undefined,
): DoubtReason | undefined {
  if (answer.value.length === 0 && answer.index <= 1n) return 'empty-at-start';
  if (!last) return undefined;
  const present = new Set(answer.value);
  const gone = last.value.filter((name) => !present.has(name)).length;
  if (gone === 0) return undefined;
  return (
    lessTrusted(answer, last) ??
    (gone >= 2 && gone * 2 > last.value.length ? 'mass-disappearance' : undefined)
  );
}

export function doubtInstances(
  answer: Statement<ParsedService>,
  last: Statement<ParsedService> | undefined,
): DoubtReason | undefined {
  const { instances, skipped } = answer.value;
  if (instances.length === 0 && skipped.length === 0 && answer.index <= 1n) return 'empty-at-start';
  if (!last) return undefined;
  const present = new Set([
    ...instances.map(({ instance }) => `${instance.node}/${instance.serviceId}`),
    ...skipped.map((entry) => `${entry.node ?? ''}/${entry.serviceId ?? ''}`),
  ]);
  const before = last.value.instances;
  const gone = before.filter(({ instance }) => !present.has(`${instance.node}/${instance.serviceId}`)).length;
  if (gone === 0) return undefined;
  // A service may well shrink by more than half, and a deployment replaces all of it; that nothing is left of
  // several instances is another thing.
  return lessTrusted(answer, last) ?? (gone >= 2 && present.size === 0 ? 'mass-disappearance' : undefined);
}

/** Keys of KV vanish by somebody's hand, also many at once; only Consul's own loss is in doubt. */
export function doubtKeys(
  answer: Statement<ReadonlyMap<string, string>>,
  last: Statement<ReadonlyMap<string, string>> | undefined,
): DoubtReason | undefined {
  // A KV that was never written to has no higher index.
  if (answer.value.size === 0 && answer.index <= 1n && !answer.knownLeader) return 'empty-at-start';
  if (!last || [...last.value.keys()].every((key) => answer.value.has(key))) return undefined;
  return lessTrusted(answer, last);
}

function lessTrusted<Value>(answer: Statement<Value>, last: Statement<Value>): DoubtReason | undefined {
  if (answer.index === last.index || (answer.filtered && !last.filtered)) return 'filtered';
  return answer.index < last.index ? 'mass-disappearance' : undefined;
}
