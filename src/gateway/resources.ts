import { uriTemplateMatcher } from '../catalog/uri-template.ts';
import { originalUri } from '../catalog/resource-owners.ts';
import { RouterError } from '../errors.ts';
import type { CatalogResource, CatalogService, ServiceName, UpstreamName } from '../model.ts';
import { resultResponse, withParam, type RequestEnvelope } from '../relay/envelope.ts';
import type { Answer } from '../relay/answer.ts';
import { memberString } from '../relay/json-scan.ts';
import type { Destination, DestinationWanted } from './call.ts';
import type { ClientSession } from './client-session.ts';
import type { Scope } from './scope.ts';
import { uriRewriter } from './uri-rewriter.ts';
import type { Sight } from './sight.ts';

/** Services that are asked for a URI that nobody lists; more would make one bad URI a storm. */
const MAX_PROBES = 8;

/**
 * Where `resources/read` goes: to who lists the URI, else to whose template matches it, else to one after the
 * other of those that have resources at all: tools hand out links to resources that stand in no list.
 * @throws {RouterError} UNKNOWN_RESOURCE, INVALID_PARAMS
 */
export function readDestination(table: Sight, scope: Scope, request: RequestEnvelope): Destination {
  const uri = uriOf(request);
  const owners = ownersOf(table, scope, uri);
  const next = (at: number): Destination | undefined => {
    const owner = owners[at];
    if (!owner) return undefined;
    return {
      ...toOwner(table, scope, request, uri, owner),
      otherwise: at + 1 < owners.length ? () => next(at + 1) : undefined,
    };
  };
  const first = next(0);
  if (!first) throw unknownResource(uri);
  return first;
}

/** Where `resources/subscribe` and `resources/unsubscribe` go; what was agreed is kept for sessions to come. */
export function subscribeDestination(
  table: Sight,
  session: ClientSession,
  request: RequestEnvelope,
): Destination {
  const uri = uriOf(request);
  const owner = ownerOf(table, session.scope, uri);
  const destination = toOwner(table, session.scope, request, uri, owner);
  const subscribe = request.method === 'resources/subscribe';
  return {
    ...destination,
    onAnswer: (failed) => {
      if (failed) return;
      if (subscribe) session.backends.subscribed(owner.service, owner.uri);
      else session.backends.unsubscribed(owner.service, owner.uri);
    },
  };
}

/** @throws {RouterError} UNKNOWN_RESOURCE */
export function ownerOf(table: Sight, scope: Scope, uri: string): Owner {
  const [first] = ownersOf(table, scope, uri);
  if (!first) throw unknownResource(uri);
  return first;
}

/**
 * Subscribes to a resource, which the rules allow, of a service that is of the stateless era: there it is watched on a stream of its own.
 * @returns false where the service has sessions, and with them subscriptions
 */
export function watchStateless(
  table: Sight,
  session: ClientSession,
  { service, name: uri }: Pick<Destination, 'service' | 'name'>,
  request: RequestEnvelope,
  answer: Answer,
): boolean {
  const targets = table.services.get(service)?.targets ?? [];
  if (uri === undefined || targets.length === 0 || targets.some((target) => target.eras.legacy)) return false;
  if (request.method === 'resources/unsubscribe') session.watches.remove(service, uri);
  else void session.watches.add(service, [uri]);
  answer.send(200, resultResponse(request.id, '{}'));
  return true;
}

/** Whether a service's own URI is one that the caller may read now. */
export function seesUri(table: Sight, service: ServiceName, uri: string): boolean {
  if (!table.restricted) return true;
  const whole = table.whole.catalog.byName.get(service);
  return table.shows({ kind: 'resources', name: uriRewriter(whole)?.toPublic(uri) ?? uri, service });
}

export interface Owner {
  readonly service: ServiceName;
  /** As everybody knows it; rules are about it. */
  readonly publicUri: string;
  /** As the service spells it. */
  readonly uri: string;
  readonly key?: { readonly kind: 'resources' | 'resourceTemplates'; readonly key: UpstreamName };
}

/** Who may have a URI, likeliest first. */
export function ownersOf(table: Sight, scope: Scope, uri: string): readonly Owner[] {
  if (scope.kind === 'service') {
    const whole = table.whole.catalog.byName.get(scope.service);
    return [{ service: scope.service, uri, publicUri: uriRewriter(whole)?.toPublic(uri) ?? uri }];
  }
  const exact = table.catalog.resources.get(uri);
  if (exact) return [owner(exact, exact.item.key, uri)];
  // Somebody has it, and not for this caller: then nobody else is asked for it.
  if (table.whole.catalog.resources.has(uri)) {
    table.missed('resources', scope, uri);
    return [];
  }
  for (const service of table.catalog.services) {
    const own = service.rewritesUris ? (originalUri(service.namespace, uri) ?? uri) : uri;
    const template = service.resourceTemplates.find((entry) => matches(entry, uri));
    if (template) return [owner(template, own, uri)];
    if (own !== uri) return [{ service: service.name, uri: own, publicUri: uri }];
  }
  return table.catalog.services
    .filter((service) => hasResources(service))
    .slice(0, MAX_PROBES)
    .map((service) => ({ service: service.name, uri, publicUri: uri }));
}

function owner(entry: CatalogResource, uri: string, publicUri: string): Owner {
  const kind = entry.item.json.includes('"uriTemplate"') ? 'resourceTemplates' : 'resources';
  return { service: entry.service, uri, publicUri, key: { kind, key: entry.item.key } };
}

/** @param uri as the client spells it */
export function resourceWanted({ service, publicUri }: Owner, uri: string): DestinationWanted {
  return { kind: 'resources', name: publicUri, service, unknown: () => unknownResource(uri) };
}

const matchers = new WeakMap<CatalogResource, (uri: string) => boolean>();

function matches(template: CatalogResource, uri: string): boolean {
  let matcher = matchers.get(template);
  if (!matcher) {
    matcher = uriTemplateMatcher(template.uri);
    matchers.set(template, matcher);
  }
  return matcher(uri);
}

function hasResources(service: CatalogService): boolean {
  return Object.hasOwn(JSON.parse(service.definition.capabilities) as object, 'resources');
}

function toOwner(table: Sight, scope: Scope, request: RequestEnvelope, uri: string, to: Owner): Destination {
  const uris = scope.kind === 'all' ? uriRewriter(table.catalog.byName.get(to.service)) : undefined;
  return {
    service: to.service,
    wanted: resourceWanted(to, uri),
    ...(to.key && { item: to.key }),
    name: to.uri,
    text: to.uri === uri ? request.text : withParam(request, 'uri', JSON.stringify(to.uri)),
    repeatable: true,
    onlyReads: true,
    label: request.method,
    rewrite: uris && ((text) => uris.message(text)),
  };
}

export function uriOf(request: RequestEnvelope): string {
  const uri = request.params && memberString(request.text, request.params, 'uri');
  if (uri === undefined) throw new RouterError('INVALID_PARAMS', `${request.method} needs a "uri".`);
  return uri;
}

export function unknownResource(uri: string): RouterError {
  return new RouterError('UNKNOWN_RESOURCE', `Resource not found: ${uri.slice(0, 512)}`, {
    uri: uri.slice(0, 512),
  });
}
