import type { Catalog, RawJson, ServerDefinition } from '../model.ts';
import { readEnvelope, replaceMember } from '../relay/envelope.ts';
import { isObject, memberObject, splice } from '../relay/json-scan.ts';
import { meta } from '../relay/modern.ts';
import { shownBy, type Scope } from './scope.ts';
import type { Sight } from './sight.ts';

export interface RouterInfo {
  readonly name: string;
  readonly version: string;
}

/** How long and by whom a result may be kept (2026-07-28, server/utilities/caching). */
export interface CacheHints {
  readonly ttlMs: number;
  readonly scope: 'public' | 'private';
}

/**
 * For a list of a session-era server, which says nothing of keeping. Its changes are announced; this is for
 * clients that do not listen.
 */
const DEFAULT_HINTS: CacheHints = { ttlMs: 30_000, scope: 'private' };
/** For a resource of such a server: nobody announces its changes unless it is subscribed to. */
const NOT_KEPT: CacheHints = { ttlMs: 0, scope: 'private' };

const merged = new WeakMap<Catalog, CacheHints>();

/** Of the whole catalog: the shortest time of all, and private if any is. The same on all pages. */
export function cacheHints(table: Sight, scope: Scope): CacheHints {
  const all = scope.kind === 'service' ? hintsOf(shownBy(table, scope)?.definition) : mergedHints(table);
  // Others may see something else, so nobody may keep it for them.
  return table.personal ? { ...all, scope: 'private' } : all;
}

function mergedHints({ catalog }: Sight): CacheHints {
  let hints = merged.get(catalog);
  if (!hints) {
    const all = catalog.services.map((service) => hintsOf(service.definition));
    hints = {
      ttlMs: Math.min(DEFAULT_HINTS.ttlMs, ...all.map(({ ttlMs }) => ttlMs)),
      scope: all.length > 0 && all.every((one) => one.scope === 'public') ? 'public' : 'private',
    };
    merged.set(catalog, hints);
  }
  return hints;
}

function hintsOf(definition: ServerDefinition | undefined): CacheHints {
  return definition?.cache ?? DEFAULT_HINTS;
}

/** The members that end a result of the router's own: cache hints and who speaks. Without braces. */
export function modernFrame(router: RouterInfo, table: Sight, scope: Scope): string {
  const { ttlMs, scope: cacheScope } = cacheHints(table, scope);
  return `"ttlMs":${ttlMs},"cacheScope":"${cacheScope}",${serverInfoMeta(router, table, scope)}`;
}

/** `"_meta":{…}` with who speaks: the one server that is served here, or the router. */
export function serverInfoMeta(router: RouterInfo, table: Sight, scope: Scope): string {
  const own = scope.kind === 'service' ? shownBy(table, scope)?.definition : undefined;
  const info = own?.serverInfo ?? JSON.stringify({ name: router.name, version: router.version });
  return `"_meta":{"${meta.serverInfo}":${info}}`;
}

/** A result of the router's own, `{…}` and not empty, as the stateless era has it. */
export function modernResult(router: RouterInfo, table: Sight, scope: Scope, result: string): string {
  return `{"resultType":"complete",${result.slice(1, -1)},${serverInfoMeta(router, table, scope)}}`;
}

/**
 * A session-era server's answer for a modern client: every result says of which type it is, and one that may be
 * kept says for how long; a missing resource has another number. Anything else passes as it is.
 */
export function asModernAnswer(text: string, method: string): string {
  const { members } = readEnvelope(text);
  const error = memberObject(text, members, 'error');
  if (error) {
    const code = error.starts[error.keys.indexOf('code')];
    const missing = method === 'resources/read' && code !== undefined && text.startsWith('-32002', code);
    const edit = missing ? replaceMember(error, 'code', '-32602') : undefined;
    return edit ? splice(text, [edit]) : text;
  }
  const at = members.starts[members.keys.indexOf('result')];
  const result = memberObject(text, members, 'result');
  if (at === undefined || !result || !isObject(text, at)) return text;
  const more = [];
  if (!result.keys.includes('resultType')) more.push('"resultType":"complete"');
  if (method === 'resources/read') {
    if (!result.keys.includes('ttlMs')) more.push(`"ttlMs":${NOT_KEPT.ttlMs}`);
    if (!result.keys.includes('cacheScope')) more.push(`"cacheScope":"${NOT_KEPT.scope}"`);
  }
  if (more.length === 0) return text;
  const insert = more.join(',') + (result.keys.length > 0 ? ',' : '');
  return splice(text, [{ start: at + 1, end: at + 1, insert }]);
}

/** The answer under another id: a call that waited for its client is answered to the client's later request. */
export function withId(text: string, id: RawJson): string {
  const { members } = readEnvelope(text);
  const edit = replaceMember(members, 'id', id);
  return edit ? splice(text, [edit]) : text;
}
