import { objectTests, type Target } from '../rules/objects.ts';
import type { Selection } from './schema.ts';

/** Consul tags of a service: those that some instance of it bears. */
export type Tags = ReadonlySet<string>;

export type Contains = (target: Target, tags: Tags) => boolean;

/** Undefined selects everything. */
export function selectionTest(selections: readonly Selection[] | undefined): Contains {
  if (selections === undefined) return () => true;
  const tests = selections.map(({ tags, ...pattern }) => {
    const [object] = objectTests([pattern]);
    return (target: Target, given: Tags): boolean =>
      (tags === undefined || tags.some((tag) => given.has(tag))) &&
      object !== undefined &&
      object.service(target.service) &&
      object.rest(target);
  });
  return (target, tags) => tests.some((test) => test(target, tags));
}
