import type { Instance, ItemKind, ListItem, RoutingTable, ServerDefinition, ServiceRoute } from '../model.ts';
import type { TimelineEntry } from './shapes.ts';

/** What happened, before it has a number and a time. */
export type Happening = Omit<TimelineEntry, 'n' | 'at'>;

/** More services than this that come or go at once are told in one sentence. */
const MANY = 8;
const MAX_REASON = 160;

/** What a new table means, in plain words: who came and went, what they offer, who may serve. */
export function tableStory(next: RoutingTable, previous: RoutingTable): readonly Happening[] {
  const came = [...next.services.values()].filter((route) => !previous.services.has(route.name));
  const went = [...previous.services.values()].filter((route) => !next.services.has(route.name));
  return [
    ...crowd(came, 'appeared in Consul', 'plain', arrival),
    ...crowd(went, 'left Consul', 'plain', departure),
    ...[...next.services.values()].flatMap((route) => {
      const before = previous.services.get(route.name);
      return before && before !== route ? serviceStory(route, before) : [];
    }),
  ];
}

function crowd(
  routes: readonly ServiceRoute[],
  verb: string,
  tone: Happening['tone'],
  one: (route: ServiceRoute) => Happening,
): readonly Happening[] {
  if (routes.length <= MANY) return routes.map(one);
  const names = routes.slice(0, 3).map((route) => route.name);
  const text = `${routes.length} services ${verb}: ${names.join(', ')} and ${routes.length - 3} more.`;
  return [{ kind: 'service', tone, text }];
}

function arrival(route: ServiceRoute): Happening {
  const offer = route.definition
    ? ` and offers ${offered(route.definition)}`
    : '; it is asked what it offers';
  return {
    kind: 'service',
    tone: 'good',
    service: route.name,
    text: `${route.name} appeared with ${count(route.instances.size, 'instance')}${offer}.`,
  };
}

function departure(route: ServiceRoute): Happening {
  const lost = route.definition ? ` and took ${offered(route.definition)} along` : '';
  return { kind: 'service', tone: 'plain', service: route.name, text: `${route.name} left Consul${lost}.` };
}

function serviceStory(route: ServiceRoute, before: ServiceRoute): readonly Happening[] {
  return [
    ...definitionStory(route, before),
    ...instanceStory(route, before),
    ...rollingStory(route, before),
    ...servingStory(route, before),
  ];
}

function definitionStory(route: ServiceRoute, before: ServiceRoute): readonly Happening[] {
  const { name, definition } = route;
  if (!definition || definition === before.definition) return [];
  const tell = (tone: Happening['tone'], text: string): Happening[] => [
    { kind: 'definition', tone, service: name, text },
  ];
  if (!before.definition) return tell('good', `${name} can be used: it offers ${offered(definition)}.`);
  if (definition.digest === before.definition.digest) return [];
  const changes = (['tools', 'prompts', 'resources', 'resourceTemplates'] as const)
    .map((kind) => listStory(kind, definition[kind], before.definition?.[kind] ?? []))
    .filter((text) => text !== '');
  return tell(
    'plain',
    changes.length > 0
      ? `${name} changed what it offers: ${changes.join('; ')}.`
      : `${name} changed what it says of itself.`,
  );
}

const kindNames: Readonly<Record<ItemKind, string>> = {
  tools: 'tool',
  prompts: 'prompt',
  resources: 'resource',
  resourceTemplates: 'resource template',
};

function listStory(kind: ItemKind, next: readonly ListItem[], previous: readonly ListItem[]): string {
  const before = new Map(previous.map((item) => [item.key, item.digest]));
  const after = new Set(next.map((item) => item.key));
  const added = next.filter((item) => !before.has(item.key)).map((item) => item.key);
  const removed = previous.filter((item) => !after.has(item.key)).map((item) => item.key);
  const changed = next
    .filter((item) => before.has(item.key) && before.get(item.key) !== item.digest)
    .map((item) => item.key);
  const say = (what: string, keys: readonly string[]): string[] =>
    keys.length === 0 ? [] : [`${what} ${count(keys.length, kindNames[kind])} (${some(keys)})`];
  return [...say('added', added), ...say('removed', removed), ...say('changed', changed)].join(', ');
}

function instanceStory(route: ServiceRoute, before: ServiceRoute): readonly Happening[] {
  const story: Happening[] = [];
  const tell = (kind: Happening['kind'], tone: Happening['tone'], text: string): void => {
    story.push({ kind, tone, service: route.name, text: `${route.name}: ${text}` });
  };
  for (const [id, instance] of route.instances) {
    const old = before.instances.get(id);
    if (!old) tell('instance', 'plain', `${label(instance)} joined${stateOnArrival(instance)}.`);
    else if (old.state !== instance.state) {
      const { tone, text } = turned(instance);
      tell('health', tone, text);
    } else if (old.registration !== instance.registration) {
      tell('instance', 'plain', `${label(instance)} was registered anew.`);
    }
  }
  for (const [id, instance] of before.instances) {
    if (!route.instances.has(id)) tell('instance', 'plain', `${label(instance)} left.`);
  }
  return story;
}

function label({ serviceId, version }: Instance): string {
  return version === undefined ? serviceId : `${serviceId} (version ${version})`;
}

function stateOnArrival({ state }: Instance): string {
  return state === 'passing' ? '' : `, ${state} so far`;
}

function turned(instance: Instance): Pick<Happening, 'tone' | 'text'> {
  const who = label(instance);
  const why = reason(instance);
  switch (instance.state) {
    case 'passing':
      return { tone: 'good', text: `${who} is passing again.` };
    case 'warning':
      return { tone: 'plain', text: `${who} is in warning${why}.` };
    case 'critical':
      return { tone: 'bad', text: `${who} turned critical and gets no calls${why}.` };
    case 'maintenance':
      return {
        tone: 'plain',
        text: `${who} is in maintenance: running calls finish, new ones go elsewhere.`,
      };
  }
}

/** What the check that counts printed. */
function reason({ state, checks }: Instance): string {
  const check = checks.find((one) => one.status === state);
  if (!check) return '';
  const [line = ''] = check.output.trim().split('\n');
  const output = line.length > MAX_REASON ? `${line.slice(0, MAX_REASON)}…` : line;
  return output === '' ? ` (check “${check.name}”)` : ` (check “${check.name}”: ${output})`;
}

function rollingStory(route: ServiceRoute, before: ServiceRoute): readonly Happening[] {
  const [now, earlier] = [differing(route), differing(before)];
  if (now === earlier || (now > 0 && earlier > 0)) return [];
  const text =
    now > 0
      ? `${route.name}: its instances differ on ${count(now, 'item')}, as in a rolling deploy. A call goes only where the item is as clients see it.`
      : `${route.name}: all instances agree again.`;
  return [{ kind: 'definition', tone: 'plain', service: route.name, text }];
}

function differing({ split }: ServiceRoute): number {
  return split.tools.size + split.prompts.size + split.resources.size + split.resourceTemplates.size;
}

function servingStory(route: ServiceRoute, before: ServiceRoute): readonly Happening[] {
  const [now, earlier] = [route.targets.length, before.targets.length];
  // Before it was learned for the first time, nobody missed it.
  if (!before.definition || now > 0 === earlier > 0) return [];
  return [
    now > 0
      ? {
          kind: 'health',
          tone: 'good',
          service: route.name,
          text: `${route.name} is served again, by ${count(now, 'instance')}.`,
        }
      : {
          kind: 'health',
          tone: 'bad',
          service: route.name,
          text: `${route.name} has nobody left to serve it: its calls are refused until an instance is healthy.`,
        },
  ];
}

function offered(definition: ServerDefinition): string {
  const parts = [
    count(definition.tools.length, 'tool'),
    ...(definition.prompts.length > 0 ? [count(definition.prompts.length, 'prompt')] : []),
    ...(definition.resources.length > 0 ? [count(definition.resources.length, 'resource')] : []),
  ];
  return parts.length < 2 ? (parts[0] ?? '') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1) ?? ''}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function some(names: readonly string[]): string {
  return names.length <= 4
    ? names.join(', ')
    : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}
