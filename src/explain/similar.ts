import { distance } from 'fastest-levenshtein';

/** Names that may have been meant, best first. */
export function similar(wanted: string, names: Iterable<string>, most = 3): readonly string[] {
  const plain = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '');
  const sought = plain(wanted);
  const scored: { name: string; score: number }[] = [];
  for (const name of new Set(names)) {
    const there = plain(name);
    if (sought === '' || there === '' || name === wanted) continue;
    const within = there.includes(sought) || sought.includes(there);
    const score = within ? Math.abs(there.length - sought.length) / 10 : distance(sought, there);
    if (score <= Math.max(2, sought.length / 3)) scored.push({ name, score });
  }
  return scored
    .sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1))
    .slice(0, most)
    .map(({ name }) => name);
}
