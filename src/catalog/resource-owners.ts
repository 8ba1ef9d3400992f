import type { CatalogResource, CatalogService, Problem, ServiceName } from '../model.ts';

/** URIs after every one has an owner. */
export interface SettledUris {
  /** By public URI. */
  readonly index: ReadonlyMap<string, CatalogResource>;
  /** Entries whose URI belongs to another service, and what they are called instead. */
  readonly renamed: ReadonlyMap<CatalogResource, CatalogResource>;
  readonly problems: readonly { readonly service: ServiceName; readonly problem: Problem }[];
}

/**
 * URIs stay as they are: they stand in texts and pages that nobody can rewrite. Only where two services have the
 * same one does the later (by `outranks`) get a namespaced form.
 */
export function settleUris(
  claims: readonly CatalogService[],
  outranks: (a: CatalogResource, b: CatalogResource) => boolean,
): SettledUris {
  const index = new Map<string, CatalogResource>();
  const losers: CatalogResource[] = [];
  for (const service of claims) {
    for (const entry of [...service.resources, ...service.resourceTemplates]) {
      const holder = index.get(entry.uri);
      if (holder === undefined || outranks(entry, holder)) {
        index.set(entry.uri, entry);
        if (holder) losers.push(holder);
      } else losers.push(entry);
    }
  }
  const renamed = new Map<CatalogResource, CatalogResource>();
  const lost = new Map<ServiceName, Map<ServiceName, string[]>>();
  const namespaces = new Map(claims.map((service) => [service.name, service.namespace]));
  for (const entry of losers) {
    const winner = index.get(entry.uri);
    const next = { ...entry, uri: namespacedUri(namespaces.get(entry.service) ?? entry.service, entry.uri) };
    renamed.set(entry, next);
    index.set(next.uri, next);
    if (!winner) continue;
    const to = lost.get(entry.service) ?? new Map<ServiceName, string[]>();
    lost.set(entry.service, to.set(winner.service, [...(to.get(winner.service) ?? []), entry.uri]));
  }
  return { index, renamed, problems: report(lost) };
}

const PREFIX = 'mcp-router://';

/**
 * The form of a URI that says whose it is. `ui://` keeps its scheme: hosts of MCP Apps open nothing else. The
 * original stands in it as it is, so templates stay templates.
 */
export function namespacedUri(namespace: string, uri: string): string {
  const name = encodeURIComponent(namespace);
  return uri.startsWith('ui://') ? `ui://${name}/${uri.slice('ui://'.length)}` : `${PREFIX}${name}/${uri}`;
}

/** The original of a namespaced URI, if it is one of this namespace. */
export function originalUri(namespace: string, uri: string): string | undefined {
  const name = encodeURIComponent(namespace);
  for (const [prefix, scheme] of [
    [`${PREFIX}${name}/`, ''],
    [`ui://${name}/`, 'ui://'],
  ] as const) {
    if (uri.startsWith(prefix)) return scheme + uri.slice(prefix.length);
  }
  return undefined;
}

function report(
  lost: ReadonlyMap<ServiceName, ReadonlyMap<ServiceName, readonly string[]>>,
): { service: ServiceName; problem: Problem }[] {
  const problems: { service: ServiceName; problem: Problem }[] = [];
  for (const [loser, winners] of lost) {
    for (const [winner, uris] of winners) {
      const some = uris.slice(0, 3).join(', ') + (uris.length > 3 ? ` and ${uris.length - 3} more` : '');
      const problem = (message: string): Problem => ({ code: 'URI_CONFLICT', subject: 'resources', message });
      problems.push({
        service: loser,
        problem: problem(
          `${some} belong to service ${winner} as well, so here they are listed under this service's namespace.`,
        ),
      });
      if (loser !== winner) {
        problems.push({
          service: winner,
          problem: problem(
            `Service ${loser} has ${some} as well; there they are listed under its namespace.`,
          ),
        });
      }
    }
  }
  return problems;
}
