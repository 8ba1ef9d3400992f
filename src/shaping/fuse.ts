import type { CatalogItem, Tool } from '../model.ts';
import type { Hit, SearchResult } from './search.ts';
import { cosine, type VectorStore } from './vectors.ts';

/** How many of each ranking take part. */
const DEPTH = 50;
/** What the nearest meaning counts beside the best match by words. Ranks instead of scores made some sets worse. */
const MEANING_WEIGHT = 0.5;

/**
 * The best by words and by meaning together. `byWords` should hold the best fifty; only tools out of `visible` take
 * part. Where nothing is near in meaning more than the rest, words alone decide.
 */
export function fuseByMeaning(
  byWords: SearchResult,
  visible: Iterable<CatalogItem<Tool>>,
  question: Float32Array,
  vectors: VectorStore,
  limit: number,
): SearchResult {
  const scores = new Map<CatalogItem<Tool>, Hit>();
  const top = byWords.hits[0]?.score ?? 1;
  for (const hit of byWords.hits.slice(0, DEPTH)) scores.set(hit.entry, { ...hit, score: hit.score / top });
  for (const [entry, nearness] of nearest(visible, question, vectors)) {
    const hit = scores.get(entry) ?? { entry, score: 0, coverage: 0 };
    scores.set(entry, { ...hit, score: hit.score + MEANING_WEIGHT * nearness });
  }
  const ordered = [...scores.values()].sort(
    (a, b) => b.score - a.score || (a.entry.canonical < b.entry.canonical ? -1 : 1),
  );
  return { hits: ordered.slice(0, limit), total: Math.max(byWords.total, ordered.length) };
}

/** The nearest ones, from 1 for the nearest of all down to 0 for the last of them. */
function nearest(
  visible: Iterable<CatalogItem<Tool>>,
  question: Float32Array,
  vectors: VectorStore,
): [CatalogItem<Tool>, number][] {
  const found: [CatalogItem<Tool>, number][] = [];
  for (const entry of visible) {
    const vector = entry.item.appOnly ? undefined : vectors.tool(entry.item.digest);
    if (vector) found.push([entry, cosine(question, vector)]);
  }
  const best = found.sort((a, b) => b[1] - a[1]).slice(0, DEPTH);
  const [highest, lowest] = [best[0]?.[1] ?? 0, best.at(-1)?.[1] ?? 0];
  const span = highest - lowest;
  return span <= 0 ? [] : best.map(([entry, nearness]) => [entry, (nearness - lowest) / span]);
}
