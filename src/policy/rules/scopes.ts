/** Scope → scopes that it stands for. */
export type ScopeHierarchy = Readonly<Record<string, readonly string[]>>;

/**
 * Whether granted scopes are enough, broader ones counted for what they stand for (MCP 2026-07-28, scope
 * challenge handling: servers must account for hierarchies).
 */
export function scopeTest(
  hierarchy: ScopeHierarchy = {},
): (granted: readonly string[], wanted: readonly string[]) => boolean {
  const implied = new Map(Object.keys(hierarchy).map((scope) => [scope, closure(scope, hierarchy)]));
  return (granted, wanted) =>
    wanted.every(
      (scope) => granted.includes(scope) || granted.some((broader) => implied.get(broader)?.has(scope)),
    );
}

function closure(scope: string, hierarchy: ScopeHierarchy): ReadonlySet<string> {
  const found = new Set([scope]);
  // A set visits what is added while it is walked; a circle adds nothing new.
  for (const each of found) {
    if (!Object.hasOwn(hierarchy, each)) continue;
    for (const narrower of hierarchy[each] ?? []) found.add(narrower);
  }
  return found;
}
