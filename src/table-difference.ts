import type { LogFields, RoutingTable, ServiceRoute } from './model.ts';

/** What a new table changes, as the fields of one log line. Only what changed is named. */
export function tableDifference(next: RoutingTable, previous: RoutingTable): LogFields {
  const added: string[] = [];
  const changed: string[] = [];
  for (const route of next.services.values()) {
    const before = previous.services.get(route.name);
    if (!before) added.push(`${route.name} (${healthy(route)})`);
    else if (before !== route) changed.push(change(route, before));
  }
  const removed = [...previous.services.keys()].filter((service) => !next.services.has(service));
  const tools = (table: RoutingTable): ReadonlySet<string> =>
    new Set(table.catalog.services.flatMap((service) => service.tools.map((entry) => entry.canonical)));
  const [toolsNow, toolsBefore] = [tools(next), tools(previous)];
  const toolsAdded = [...toolsNow].filter((tool) => !toolsBefore.has(tool));
  const toolsRemoved = [...toolsBefore].filter((tool) => !toolsNow.has(tool));
  return {
    version: next.version,
    tools: toolsNow.size,
    ...(added.length > 0 && { added: some(added) }),
    ...(removed.length > 0 && { removed: some(removed) }),
    ...(changed.length > 0 && { changed: some(changed) }),
    ...(toolsAdded.length > 0 && { toolsAdded: some(toolsAdded) }),
    ...(toolsRemoved.length > 0 && { toolsRemoved: some(toolsRemoved) }),
  };
}

const MOST = 20;

function some(entries: readonly string[]): string[] {
  return entries.length <= MOST
    ? [...entries]
    : [...entries.slice(0, MOST), `and ${entries.length - MOST} more`];
}

function healthy(route: ServiceRoute): string {
  return `${route.targets.length}/${route.instances.size} healthy`;
}

function change(route: ServiceRoute, before: ServiceRoute): string {
  const parts: string[] = [];
  for (const [id, instance] of route.instances) {
    const old = before.instances.get(id);
    if (!old) parts.push(`+${instance.serviceId}`);
    else if (old.state !== instance.state)
      parts.push(`${instance.serviceId} ${old.state} → ${instance.state}`);
  }
  for (const [id, instance] of before.instances)
    if (!route.instances.has(id)) parts.push(`-${instance.serviceId}`);
  if (route.definition?.digest !== before.definition?.digest) parts.push('definition changed');
  if (healthy(route) !== healthy(before)) parts.push(healthy(route));
  return `${route.name}: ${parts.length > 0 ? parts.join(', ') : 'settings or checks'}`;
}
