/**
 * Globs over names: `*` stands for any run of characters, also none; `?` for one. Everything else stands for
 * itself, case counts. The whole name must match.
 */
export function glob(pattern: string): (name: string) => boolean {
  const source = pattern.replaceAll(/[\\^$.|+()[\]{}*?]/g, (character) =>
    character === '*' ? '.*' : character === '?' ? '.' : `\\${character}`,
  );
  const expression = new RegExp(`^${source}$`, 'su');
  return (name) => expression.test(name);
}

/** Whether a name is let through: it matches `allow` (an empty list allows all) and nothing of `deny`. */
export function nameFilter(allow: readonly string[], deny: readonly string[]): (name: string) => boolean {
  const allowed = allow.map(glob);
  const denied = deny.map(glob);
  return (name) =>
    (allowed.length === 0 || allowed.some((matches) => matches(name))) &&
    !denied.some((matches) => matches(name));
}
