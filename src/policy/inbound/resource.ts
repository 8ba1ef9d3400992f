/**
 * The router as an OAuth protected resource: each endpoint is one of its own, with its own canonical URI, so that a
 * token for one profile is none for another.
 */

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** RFC 9728 section 2. */
export interface ResourceMetadata {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly bearer_methods_supported: readonly ['header'];
  readonly scopes_supported?: readonly string[];
  readonly resource_name: string;
}

/**
 * The canonical URI of an endpoint (MCP authorization, "Canonical Server URI"): no trailing slash, no query.
 * @param publicUrl as clients reach the router
 * @param path of the endpoint, `/mcp`; empty for the router as a whole
 */
export function resourceUri(publicUrl: string, path: string): string {
  return canonicalUri(publicUrl) + (path === '/' ? '' : path);
}

/** Where the metadata of an endpoint is: the well-known path goes between host and path (RFC 9728 section 3.1). */
export function metadataUrl(publicUrl: string, path: string): string {
  const { origin, pathname } = new URL(resourceUri(publicUrl, path));
  return `${origin}${WELL_KNOWN}${pathname === '/' ? '' : pathname}`;
}

/**
 * The endpoint whose metadata a request path asks for; undefined for other paths. A proxy in front may or may not
 * strip the path of the public URL.
 */
export function metadataPath(publicUrl: string, path: string): string | undefined {
  if (path !== WELL_KNOWN && !path.startsWith(`${WELL_KNOWN}/`)) return undefined;
  const rest = path.slice(WELL_KNOWN.length).replace(/\/$/, '');
  const prefix = new URL(canonicalUri(publicUrl)).pathname;
  return prefix !== '/' && (rest === prefix || rest.startsWith(`${prefix}/`))
    ? rest.slice(prefix.length)
    : rest;
}

/**
 * Scheme and host in lower case, no default port, no slash at the end: what is equal for a reader is equal here.
 * Anything that is no URL stays as it is.
 */
export function canonicalUri(uri: string): string {
  if (!URL.canParse(uri)) return uri;
  const parsed = new URL(uri);
  // Schemes without an authority (urn:, api:) have no host to fold.
  if (parsed.host === '') return uri;
  const { protocol, host, pathname, search } = parsed;
  return `${protocol}//${host}${pathname.replace(/\/$/, '')}${search}`;
}
