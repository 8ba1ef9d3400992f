import { RouterError } from '../errors.ts';
import { serviceAlone } from '../catalog/build.ts';
import type { CatalogService, InstanceId, ServiceName, ServiceRoute, Target } from '../model.ts';
import type { Destination } from './call.ts';
import type { Sight } from './sight.ts';

/** What an endpoint serves; from its path. */
export type Scope =
  /** Everything; or the part of it that a profile is made of. */
  | { readonly kind: 'all'; readonly profile?: string }
  /** One service under its own names, nothing added; or one instance of it and no other. */
  | { readonly kind: 'service'; readonly service: ServiceName; readonly instance?: InstanceId };

export type ServiceScope = Extract<Scope, { kind: 'service' }>;

/** What a service shows, or what one instance shows by itself; undefined while nothing is known of it. */
export function shownBy(table: Sight, scope: ServiceScope): CatalogService | undefined {
  if (scope.instance === undefined) return table.catalog.byName.get(scope.service);
  const route = table.services.get(scope.service);
  const target = route?.targets.find(({ instance }) => instance.id === scope.instance);
  return route && target && table.part(instanceAlone(route, target));
}

const alone = new WeakMap<ServiceRoute, Map<InstanceId, CatalogService>>();

function instanceAlone(route: ServiceRoute, { instance, definition }: Target): CatalogService {
  const known = alone.get(route) ?? new Map<InstanceId, CatalogService>();
  alone.set(route, known);
  const { namespace, toolsAllow, toolsDeny } = route.settings;
  const shown =
    known.get(instance.id) ??
    serviceAlone({ name: route.name, namespace, toolsAllow, toolsDeny, definition });
  known.set(instance.id, shown);
  return shown;
}

/** A call through an instance's own endpoint goes there, whatever its other instances have. */
export function within(scope: Scope, destination: Destination): Destination {
  if (scope.kind === 'all' || scope.instance === undefined) return destination;
  const { item: _item, ...rest } = destination;
  return { ...rest, only: scope.instance };
}

/** There is such a profile, or such a service, and such an instance of it. */
export function exists(table: Sight, scope: Scope): boolean {
  if (scope.kind === 'all') return table.served;
  const route = table.services.get(scope.service);
  return route !== undefined && (scope.instance === undefined || route.instances.has(scope.instance));
}

export function notFound(): RouterError {
  return new RouterError(
    'NOT_FOUND',
    'Nothing is served here. MCP endpoints: /mcp, /profiles/<profile>/mcp, /services/<service>/mcp and /services/<service>/instances/<id>/mcp.',
  );
}
