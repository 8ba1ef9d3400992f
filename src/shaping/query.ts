import { splitWords, indexTerms, type Word } from './words.ts';
import { synonymGroups } from './word-lists.ts';

/** What a question asks of one thing: any of the terms, each for its share. */
export interface Clause {
  /** The terms, with what each is worth (0…1); the first is the word itself. */
  readonly terms: readonly (readonly [term: string, worth: number])[];
}

export interface QueryRules {
  readonly synonymWorth: number;
  readonly joinedWorth: number;
  readonly guessWorth: number;
}

export const queryRules: QueryRules = {
  synonymWorth: 0.4,
  joinedWorth: 0.8,
  guessWorth: 0.5,
};

const MAX_QUERY = 1000;
const MAX_CLAUSES = 32;
/** A guess looks at every term there is; a question of nothing but unknown words must not take long. */
const MAX_GUESSES = 4;

const synonyms: ReadonlyMap<string, readonly string[]> = neighbours(synonymGroups);

/** The terms that stand beside each term in some group. */
function neighbours(groups: readonly (readonly string[])[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const group of groups) {
    const terms = [...new Set(group.flatMap(indexTerms))];
    for (const term of terms) {
      const others = terms.filter((other) => other !== term);
      found.set(term, [...new Set([...(found.get(term) ?? []), ...others])]);
    }
  }
  return found;
}

/** What a question is read against: the terms of the tools that its caller may see, and of no others. */
export interface Vocabulary {
  has(term: string): boolean;
  /** Terms that a word nobody has may stand for: a typing error, or the beginning of one. */
  guess(term: string, raw: string): readonly string[];
}

/** A question as clauses. A word that no tool has is tried as its parts, and then as a guess. */
export function parseQuery(query: string, known: Vocabulary, rules: QueryRules = queryRules): Clause[] {
  const words = splitWords(query.slice(0, MAX_QUERY)).flatMap((word) => knownWords(word, known));
  const clauses = new Map<string, Map<string, number>>();
  let guesses = 0;
  for (const [at, { term, raw }] of words.entries()) {
    if (term === '') continue;
    const clause = clauses.get(term) ?? new Map<string, number>();
    clauses.set(term, clause);
    const offer = (other: string, worth: number): void => {
      clause.set(other, Math.max(clause.get(other) ?? 0, worth));
    };
    offer(term, 1);
    // "web hook" also finds webhook; a stop word between them has no term and joins nothing.
    const next = words[at + 1]?.term ?? '';
    if (next !== '' && known.has(term + next)) offer(term + next, rules.joinedWorth);
    for (const synonym of synonyms.get(term) ?? []) offer(synonym, rules.synonymWorth);
    if (known.has(term) || guesses++ >= MAX_GUESSES) continue;
    for (const guess of known.guess(term, raw)) offer(guess, rules.guessWorth);
  }
  return [...clauses.values()].slice(0, MAX_CLAUSES).map((offered) => ({ terms: [...offered] }));
}

interface QueryWord {
  readonly term: string;
  readonly raw: string;
}

/** A word as it is, or as its parts where nobody has the whole. */
function knownWords({ whole, parts, raw }: Word, known: Vocabulary): readonly QueryWord[] {
  if (parts.length === 0 || known.has(whole)) return [{ term: whole, raw }];
  return parts.map((part) => ({ term: part, raw: part }));
}
