/**
 * Globs over names: `*` stands for any run of characters, also none; `?` for one. Everything else stands for
 * itself, case counts. The whole name must match.
 *
 * Names and URIs come from clients and servers, so no pattern may be slow on any name: a match takes at most
 * length of pattern × length of name steps, where an expression with several `.*` would try every split.
 */
export function glob(pattern: string): (name: string) => boolean {
  if (pattern.includes('?')) {
    // By code points: `?` is one character, also outside the basic plane.
    const wanted = Array.from(pattern);
    return (name) => matches(wanted, Array.from(name));
  }
  const [start = '', ...parts] = pattern.split('*');
  const end = parts.pop();
  if (end === undefined) return (name) => name === start;
  const least = start.length + end.length;
  return (name) =>
    name.length >= least && name.startsWith(start) && name.endsWith(end) && inOrder(parts, name, start, end);
}

/** Whether the parts follow each other between start and end; the first place for each is as good as any. */
function inOrder(parts: readonly string[], name: string, start: string, end: string): boolean {
  let from = start.length;
  for (const part of parts) {
    const at = name.indexOf(part, from);
    if (at === -1) return false;
    from = at + part.length;
  }
  return from <= name.length - end.length;
}

/** On a mismatch the last `*` takes one character more; earlier ones never need to be tried again. */
function matches(pattern: readonly string[], name: readonly string[]): boolean {
  let at = 0;
  let star = -1;
  let taken = 0;
  for (let index = 0; index < name.length;) {
    const wanted = pattern[at];
    if (wanted === '*') {
      star = at;
      taken = index;
      at += 1;
    } else if (wanted === '?' || wanted === name[index]) {
      at += 1;
      index += 1;
    } else if (star >= 0) {
      taken += 1;
      index = taken;
      at = star + 1;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}

/** Whether a name is let through: it matches `allow` (an empty list allows all) and nothing of `deny`. */
export function nameFilter(allow: readonly string[], deny: readonly string[]): (name: string) => boolean {
  const allowed = allow.map(glob);
  const denied = deny.map(glob);
  return (name) =>
    (allowed.length === 0 || allowed.some((matches) => matches(name))) &&
    !denied.some((matches) => matches(name));
}
