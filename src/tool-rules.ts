import { glob } from './catalog/glob.ts';
import type { Settings } from './config/settings.ts';
import type { ToolRules } from './gateway/tool-views.ts';

/** How tools are shown, from settings: one for all profiles. */
export function toolRules(settings: Settings): () => ToolRules {
  const rules: ToolRules = {
    mode: settings.tools,
    autoTokens: settings.toolsAutoTokens,
    allowed: anyOf(settings.toolsFiltered, true),
    pinned: anyOf(settings.toolsPinned, false),
    readTool: settings.callReadTool,
    readResult: false,
    activate: settings.activateTools,
    slim:
      settings.slim === 'off'
        ? undefined
        : settings.maxDescription > 0
          ? { maxDescription: settings.maxDescription }
          : {},
  };
  return () => rules;
}

function anyOf(patterns: readonly string[], whereEmpty: boolean): (name: string) => boolean {
  if (patterns.length === 0) return () => whereEmpty;
  const globs = patterns.map(glob);
  return (name) => globs.some((matches) => matches(name));
}
