import { namespacedUri, originalUri } from '../catalog/resource-owners.ts';
import { uriTemplateMatcher } from '../catalog/uri-template.ts';
import type { CatalogService } from '../model.ts';

/**
 * Changes the URIs of one service that another service owns, in everything that it says, and back. Made only for
 * a service that has such URIs; all others pass byte for byte.
 */
export interface UriRewriter {
  /** The service's own URI as clients know it. */
  toPublic(uri: string): string;
  /** What a client knows as the service's own. */
  toOwn(uri: string): string;
  /** JSON text of a message with its URIs as clients know them. */
  message(text: string): string;
}

const rewriters = new WeakMap<CatalogService, UriRewriter>();

/** Undefined where nothing has to be changed. */
export function uriRewriter(service: CatalogService | undefined): UriRewriter | undefined {
  if (!service?.rewritesUris) return undefined;
  // Also what a caller may not see has its own name, and never that of another service's resource.
  const whole = service.whole ?? service;
  let rewriter = rewriters.get(whole);
  if (!rewriter) {
    rewriter = make(whole);
    rewriters.set(whole, rewriter);
  }
  return rewriter;
}

function make(service: CatalogService): UriRewriter {
  const renamed = new Map(
    [...service.resources, ...service.resourceTemplates]
      .filter((entry) => entry.uri !== (entry.item.key as string))
      .map((entry) => [entry.item.key as string, entry.uri]),
  );
  const templates = service.resourceTemplates
    .filter((entry) => entry.uri !== (entry.item.key as string))
    .map((entry) => uriTemplateMatcher(entry.item.key));
  const toPublic = (uri: string): string =>
    renamed.get(uri) ??
    (templates.some((matches) => matches(uri)) ? namespacedUri(service.namespace, uri) : uri);
  return {
    toPublic,
    toOwn: (uri) => originalUri(service.namespace, uri) ?? uri,
    message: (text) => JSON.stringify(rewrite(JSON.parse(text), toPublic)),
  };
}

/**
 * Where URIs stand in MCP messages (protocol.md, section 5): `uri` of resources, links, embedded resources and
 * updates, `uriTemplate`, and `resourceUri` of MCP Apps in both spellings. URIs in free text, structured content
 * and pages stay: nobody could tell them from other text.
 */
const members = new Set(['uri', 'uriTemplate', 'resourceUri', 'ui/resourceUri']);
const opaque = new Set([
  'structuredContent',
  'arguments',
  'inputSchema',
  'outputSchema',
  'text',
  'blob',
  'data',
]);

function rewrite(value: unknown, toPublic: (uri: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => rewrite(item, toPublic));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (typeof item === 'string') return [key, members.has(key) ? toPublic(item) : item];
      return [key, opaque.has(key) ? item : rewrite(item, toPublic)];
    }),
  );
}
