import type { CatalogItem, Tool } from '../model.ts';
import type { MetaToolName } from './meta-tools.ts';
import { estimateTokensOfBytes } from './token-estimate.ts';

/** How much of the catalog a tool list shows. `auto` is `search` for long lists and `full` for short ones. */
export const toolModes = ['full', 'filtered', 'search', 'auto'] as const;
export type ToolMode = (typeof toolModes)[number];
export type SettledMode = Exclude<ToolMode, 'auto'>;

/** A list of fewer tokens is shown whole in `auto`: below that, searching costs more turns than it saves tokens. */
export const AUTO_THRESHOLD_TOKENS = 10_000;

/** Undefined for what is no mode. */
export function parseToolMode(text: string): ToolMode | undefined {
  return toolModes.find((mode) => mode === text);
}

/**
 * The mode of a session, settled when it opens: a list that flips between modes would pull tools away from under
 * a running conversation. `listBytes` is the size of the caller's visible list.
 */
export function settleMode(
  asked: ToolMode,
  listBytes: number,
  threshold = AUTO_THRESHOLD_TOKENS,
): SettledMode {
  if (asked !== 'auto') return asked;
  return estimateTokensOfBytes(listBytes) > threshold ? 'search' : 'full';
}

export interface ListingRules {
  /** Public or canonical names let through in `filtered`. */
  readonly allowed: (entry: CatalogItem<Tool>) => boolean;
  /** Listed in `search`, too. */
  readonly pinned: (entry: CatalogItem<Tool>) => boolean;
  /** The client opens pages of MCP Apps: `io.modelcontextprotocol/ui`. */
  readonly clientHasApps: boolean;
  readonly withReadTool: boolean;
  /** Cut results can be read on by a tool: for clients that read no resources. */
  readonly withReadResult: boolean;
}

export interface Listing {
  readonly metaTools: readonly MetaToolName[];
  readonly tools: readonly CatalogItem<Tool>[];
}

/**
 * What a list shows of the tools that its caller may use. What it leaves out may still be called: hidden is not
 * denied. A host opens an app from its tool's entry and looks up its page's tools in the list, so these stay
 * wherever the client has apps.
 */
export function listedTools(
  mode: SettledMode,
  permitted: readonly CatalogItem<Tool>[],
  rules: ListingRules,
): Listing {
  const reading: readonly MetaToolName[] = rules.withReadResult ? ['read_result'] : [];
  if (mode === 'full') return { metaTools: reading, tools: permitted };
  if (mode === 'filtered') return { metaTools: reading, tools: filtered(permitted, rules) };
  const calling: readonly MetaToolName[] = rules.withReadTool
    ? ['call_tool', 'call_read_tool']
    : ['call_tool'];
  const tools = permitted.filter((entry) => rules.pinned(entry) || (rules.clientHasApps && ofApp(entry)));
  return { metaTools: ['find_tools', ...calling, ...reading], tools };
}

function ofApp({ item }: CatalogItem<Tool>): boolean {
  return item.hasApp || item.appOnly;
}

/** What is allowed, and what the pages of allowed apps call. */
function filtered(permitted: readonly CatalogItem<Tool>[], rules: ListingRules): CatalogItem<Tool>[] {
  const appServices = new Set(
    permitted.filter((entry) => entry.item.hasApp && rules.allowed(entry)).map(({ service }) => service),
  );
  return permitted.filter(
    (entry) =>
      rules.allowed(entry) || (rules.clientHasApps && entry.item.appOnly && appServices.has(entry.service)),
  );
}
