import { RouterError } from '../errors.ts';
import type { CatalogItem } from '../model.ts';
import { withParam, type RequestEnvelope } from '../relay/envelope.ts';
import { memberString } from '../relay/json-scan.ts';
import type { Destination, DestinationWanted } from './call.ts';
import { shownBy, type Scope } from './scope.ts';
import { uriRewriter } from './uri-rewriter.ts';
import type { Sight } from './sight.ts';

/**
 * Where `prompts/get` goes.
 * @throws {RouterError} UNKNOWN_PROMPT, INVALID_PARAMS
 */
export function promptDestination(table: Sight, scope: Scope, request: RequestEnvelope): Destination {
  const name = request.params && memberString(request.text, request.params, 'name');
  if (name === undefined) throw new RouterError('INVALID_PARAMS', 'prompts/get needs the name of a prompt.');
  const found = findPrompt(table, scope, name);
  if (!found) {
    table.missed('prompts', scope, name);
    throw unknownPrompt(name);
  }
  const uris = scope.kind === 'all' ? uriRewriter(table.catalog.byName.get(found.service)) : undefined;
  return {
    service: found.service,
    wanted: promptWanted(found, name),
    item: { kind: 'prompts', key: found.item.key },
    name: found.item.key,
    text: found.item.key === name ? request.text : withParam(request, 'name', JSON.stringify(found.item.key)),
    // Getting a prompt reads (2025-11-25, server/prompts).
    repeatable: true,
    onlyReads: true,
    label: found.canonical,
    rewrite: uris && ((text) => uris.message(text)),
  };
}

export function promptWanted({ canonical, service }: CatalogItem, name: string): DestinationWanted {
  return { kind: 'prompts', name: canonical, service, unknown: () => unknownPrompt(name) };
}

export function unknownPrompt(name: string): RouterError {
  return new RouterError('UNKNOWN_PROMPT', `Unknown prompt: ${name.slice(0, 128)}`);
}

export function findPrompt(table: Sight, scope: Scope, name: string): CatalogItem | undefined {
  if (scope.kind === 'all') return table.catalog.prompts.get(name);
  return shownBy(table, scope)?.prompts.find((entry) => (entry.item.key as string) === name);
}
