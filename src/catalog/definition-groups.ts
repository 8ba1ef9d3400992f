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
 * @param votes how much each target counts; one that is missing counts nothing
 */
export function leadingDefinition(
  groups: readonly DefinitionGroup[],
  votes: ReadonlyMap<Target, number>,
): ServerDefinition | undefined {
  const counted = groups
    .map(({ definition, targets }) => ({
      definition,
      votes: targets.reduce((sum, target) => sum + (votes.get(target) ?? 0), 0),
    }))
    .filter((group) => group.votes > 0);
  const total = counted.reduce((sum, group) => sum + group.votes, 0);
  let widest: (typeof counted)[number] | undefined;
  for (const group of counted) {
    if (group.votes * 2 >= total) return group.definition;
    if (widest === undefined || group.votes >= widest.votes) widest = group;
  }
  return widest?.definition;
}

/** By advertised item on which instances differ: who has it as advertised, laid out in whatever way. */
export type Split<Layout> = Readonly<Record<ItemKind, ReadonlyMap<UpstreamName, Layout>>>;

/**
 * For each advertised item on which the instances differ, who has it exactly as advertised. A call for it goes
 * nowhere else: no caller that saw one schema meets another.
 */
export function splitTargets<Layout>(
  lead: ServerDefinition | undefined,
  groups: readonly DefinitionGroup[],
  lay: (targets: readonly Target[]) => Layout,
): Split<Layout> {
  // Items that the same groups have share one layout.
  const laid = new Map<string, Layout>();
  const layoutOf = (having: readonly boolean[]): Layout => {
    const key = having.join();
    const known = laid.get(key);
    if (known !== undefined) return known;
    const layout = lay(groups.flatMap((group, at) => (having[at] ? group.targets : [])));
    laid.set(key, layout);
    return layout;
  };
  const split = (kind: ItemKind): ReadonlyMap<UpstreamName, Layout> => {
    const result = new Map<UpstreamName, Layout>();
    if (!lead || groups.length <= 1) return result;
    const digests = groups.map(
      (group) => new Map(group.definition[kind].map((item) => [item.key, item.digest])),
    );
    for (const item of lead[kind]) {
      const having = digests.map((byKey) => byKey.get(item.key) === item.digest);
      if (having.includes(false)) result.set(item.key, layoutOf(having));
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
