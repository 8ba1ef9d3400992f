import type { CatalogItem, Tool } from '../model.ts';
import { guessTerms } from './guess.ts';
import { parseQuery, queryRules, type Clause, type QueryRules, type Vocabulary } from './query.ts';
import type { IndexedTool, ToolIndex } from './tool-index.ts';

/** The tools that a caller may see. A `ReadonlySet` is one. */
export interface VisibleTools {
  has(entry: CatalogItem<Tool>): boolean;
  readonly size: number;
}

/** A tool that a question found. */
export interface Hit {
  readonly entry: CatalogItem<Tool>;
  /** Above 0; comparable within one answer only. */
  readonly score: number;
  /** Share of the question's telling words that it has, 0…1. */
  readonly coverage: number;
}

export interface ScoreRules extends QueryRules {
  /** How soon more of the same word stops counting (BM25's k1). */
  readonly saturation: number;
  /** What a tool gains whose service the question names. */
  readonly serviceBoost: number;
  /** What a tool gains whose whole name the question says. */
  readonly nameBoost: number;
  /** How much a tool loses that lacks words of the question. */
  readonly coveragePower: number;
}

/** Found on the tuning half of test/bench/search; see docs/token-thrift.md. */
export const scoreRules: ScoreRules = {
  ...queryRules,
  saturation: 1.6,
  serviceBoost: 0.5,
  nameBoost: 0.3,
  coveragePower: 0.5,
};

export interface SearchResult {
  /** The best ones, best first; equal ones by name. */
  readonly hits: readonly Hit[];
  /** How many visible tools have any word of the question. */
  readonly total: number;
}

/**
 * The visible tools that a question finds. Hidden tools have no part in it: not in the results nor in their number,
 * not in how rare a word is, and not in what a mistyped word may mean.
 */
export function searchTools(
  index: ToolIndex,
  visible: VisibleTools,
  query: string,
  limit: number,
  rules: ScoreRules = scoreRules,
): SearchResult {
  const sight = sightOf(index, visible);
  const clauses = parseQuery(query, sight, rules);
  const tally = new Tally(index.capacity);
  for (const clause of clauses) scoreClause(clause, index, sight, tally, rules);
  const boosts = boostsOf(index, clauses, rules);
  const best = new Best(limit);
  for (const doc of tally.found) {
    const tool = index.tool(doc);
    if (!tool) continue;
    const coverage = (tally.covered[doc] ?? 0) / tally.total;
    const base = (tally.scores[doc] ?? 0) * coverage ** rules.coveragePower * boosts.service(doc);
    // Most tools can't get in any more: the name is looked at only for those that may.
    if (base * (1 + rules.nameBoost) < best.least) continue;
    best.offer({ entry: tool.entry, score: base * boosts.name(tool), coverage });
  }
  return { hits: best.sorted, total: tally.found.length };
}

/** The best few of many, without sorting them all. */
class Best {
  readonly sorted: Hit[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** What a hit must have to get in. */
  get least(): number {
    return this.sorted.length < this.#limit ? 0 : (this.sorted.at(-1)?.score ?? 0);
  }

  offer(hit: Hit): void {
    let at = this.sorted.length;
    while (at > 0 && precedes(hit, this.sorted[at - 1])) at--;
    this.sorted.splice(at, 0, hit);
    if (this.sorted.length > this.#limit) this.sorted.pop();
  }
}

function precedes(hit: Hit, other: Hit | undefined): boolean {
  if (!other || hit.score !== other.score) return !other || hit.score > other.score;
  return hit.entry.canonical < other.entry.canonical;
}

interface Boosts {
  /** What a tool gains whose service is named by the question. */
  service(doc: number): number;
  /** What a tool gains by as much of its name as the question says. */
  name(tool: IndexedTool): number;
}

function boostsOf(index: ToolIndex, clauses: readonly Clause[], rules: ScoreRules): Boosts {
  const worths = new Map<string, number>();
  const asked = new Set<string>();
  for (const { terms } of clauses) {
    asked.add(terms[0]?.[0] ?? '');
    for (const [term, worth] of terms) worths.set(term, Math.max(worths.get(term) ?? 0, worth));
  }
  const named = docsOfNamedServices(index, asked);
  return {
    service: (doc) => (named.has(doc) ? 1 + rules.serviceBoost : 1),
    name: ({ nameTerms }) => {
      let spoken = 0;
      for (const term of nameTerms) spoken += worths.get(term) ?? 0;
      return 1 + (rules.nameBoost * spoken) / Math.max(1, nameTerms.length);
    },
  };
}

interface Sight extends Vocabulary {
  sees(doc: number): boolean;
  /** How many tools are seen at all. */
  readonly count: number;
}

/** The index as one caller sees it. Asks about each tool at most once. */
function sightOf(index: ToolIndex, visible: VisibleTools): Sight {
  const seen = new Int8Array(index.capacity);
  const sees = (doc: number): boolean => {
    if (seen[doc] === 0) {
      const tool = index.tool(doc);
      seen[doc] = tool && visible.has(tool.entry) ? 1 : -1;
    }
    return seen[doc] === 1;
  };
  const has = (term: string): boolean => index.posting(term)?.docs.some(sees) ?? false;
  return {
    sees,
    has,
    count: visible.size,
    guess: (term, raw) => guessTerms({ term, raw, known: index.terms(), has }),
  };
}

/** Sums over the clauses of one question, by tool. */
class Tally {
  readonly scores: Float64Array;
  readonly covered: Float64Array;
  readonly found: number[] = [];
  /** What a tool would have covered that has every word of the question. */
  total = 0;
  readonly #weights: Float64Array;
  readonly #worths: Float64Array;
  #touched: number[] = [];

  constructor(capacity: number) {
    this.scores = new Float64Array(capacity);
    this.covered = new Float64Array(capacity);
    this.#weights = new Float64Array(capacity);
    this.#worths = new Float64Array(capacity);
  }

  /** A tool has one of the clause's terms, with this weight; the term is worth this much. */
  add(doc: number, weight: number, worth: number): void {
    if (this.#worths[doc] === 0) this.#touched.push(doc);
    this.#weights[doc] = (this.#weights[doc] ?? 0) + weight * worth;
    this.#worths[doc] = Math.max(this.#worths[doc] ?? 0, worth);
  }

  /** How many tools have any term of the clause. */
  get touched(): number {
    return this.#touched.length;
  }

  endClause(rarity: number, saturation: number): void {
    this.total += rarity;
    for (const doc of this.#touched) {
      const weight = this.#weights[doc] ?? 0;
      if (this.covered[doc] === 0) this.found.push(doc);
      this.scores[doc] = (this.scores[doc] ?? 0) + (rarity * weight) / (weight + saturation);
      this.covered[doc] = (this.covered[doc] ?? 0) + rarity * (this.#worths[doc] ?? 0);
      this.#weights[doc] = 0;
      this.#worths[doc] = 0;
    }
    this.#touched = [];
  }
}

/** Adds what one clause is worth to each visible tool that has a term of it. */
function scoreClause(clause: Clause, index: ToolIndex, sight: Sight, tally: Tally, rules: ScoreRules): void {
  let frequency = 0;
  for (const [term, worth] of clause.terms) {
    const posting = index.posting(term);
    if (!posting) continue;
    for (let at = 0; at < posting.docs.length; at++) {
      const doc = posting.docs[at] ?? 0;
      if (sight.sees(doc)) tally.add(doc, posting.weights[at] ?? 0, worth);
    }
    // How rare the word itself is; its synonyms count only where nobody has it.
    if (frequency === 0) frequency = tally.touched;
  }
  // BM25's idf, never negative; a word that nobody has is as telling as one that a single tool has.
  const held = Math.max(1, frequency);
  tally.endClause(Math.log(1 + (sight.count - held + 0.5) / (held + 0.5)), rules.saturation);
}

/** The tools of the services whose whole name the question says. */
function docsOfNamedServices(index: ToolIndex, asked: ReadonlySet<string>): Set<number> {
  const docs = new Set<number>();
  for (const service of index.services) {
    if (service.terms.length === 0 || !service.terms.every((term) => asked.has(term))) continue;
    for (const doc of service.docs) docs.add(doc);
  }
  return docs;
}
