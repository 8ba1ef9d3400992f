import type { Digest, ItemKind, ServerDefinition, Target, UpstreamName } from '../model.ts';

/** Instances of one service that say the same of themselves. */
export interface DefinitionGroup {
  readonly digest: Digest;
  readonly definition: ServerDefinition;
  readonly targets: readonly Target[];
}

/** Newest first: by the newest registration in each group, then by digest, so that replicas agree. */
export function groupByDefinition(targets: readonly Target[]): readonly DefinitionGroup[] {
  const groups = new Map<Digest, { definition: ServerDefinition; targets: Target[]; newest: number }>();
  for (const target of targets) {
    const group = groups.get(target.definition.digest);
    if (group) {
      group.targets.push(target);
      group.newest = Math.max(group.newest, target.instance.modifyIndex);
    } else {
      groups.set(target.definition.digest, {
        definition: target.definition,
        targets: [target],
        newest: target.instance.modifyIndex,
      });
    }
  }
  return [...groups]
    .map(([digest, group]) => ({ digest, ...group }))
    .sort((a, b) => b.newest - a.newest || (a.digest < b.digest ? -1 : 1));
}

/**
 * The definition that the service advertises: the newest that at least half of the instances have, so that a
 * rolling deploy switches once, in its middle; where none has that many, the most widespread, the older of two.
 */
export function leadingDefinition(groups: readonly DefinitionGroup[]): ServerDefinition | undefined {
  const total = groups.reduce((sum, group) => sum + group.targets.length, 0);
  const half = groups.find((group) => group.targets.length * 2 >= total);
  if (half) return half.definition;
  let widest: DefinitionGroup | undefined;
  for (const group of groups) {
    if (widest === undefined || group.targets.length >= widest.targets.length) widest = group;
  }
  return widest?.definition;
}

export type Split = Readonly<Record<ItemKind, ReadonlyMap<UpstreamName, readonly Target[]>>>;

const none: ReadonlyMap<UpstreamName, readonly Target[]> = new Map();
const noSplit: Split = { tools: none, prompts: none, resources: none, resourceTemplates: none };

/**
 * For each advertised item on which the instances differ, who has it exactly as advertised. A call for it goes
 * nowhere else: no caller that saw one schema meets another.
 */
export function splitTargets(lead: ServerDefinition | undefined, groups: readonly DefinitionGroup[]): Split {
  if (!lead || groups.length <= 1) return noSplit;
  const split = (kind: ItemKind): ReadonlyMap<UpstreamName, readonly Target[]> => {
    const digests = groups.map(
      (group) => new Map(group.definition[kind].map((item) => [item.key, item.digest])),
    );
    const result = new Map<UpstreamName, readonly Target[]>();
    for (const item of lead[kind]) {
      if (digests.every((byKey) => byKey.get(item.key) === item.digest)) continue;
      result.set(
        item.key,
        groups.flatMap((group, at) => (digests[at]?.get(item.key) === item.digest ? group.targets : [])),
      );
    }
    return result;
  };
  return {
    tools: split('tools'),
    prompts: split('prompts'),
    resources: split('resources'),
    resourceTemplates: split('resourceTemplates'),
  };
}
