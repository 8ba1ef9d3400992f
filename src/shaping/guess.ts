import { indexTerms } from './words.ts';

const MAX_GUESSES = 4;
const SHORTEST = 4;

/** What guesses are made from: a word's term and how it was written, all terms there are, and which of them count. */
export interface GuessInput {
  readonly term: string;
  readonly raw: string;
  readonly known: Iterable<string>;
  readonly has: (term: string) => boolean;
}

/**
 * Terms that a word nobody has may stand for: two that it is written together from, one letter off, or one that it
 * begins.
 */
export function guessTerms({ term, raw, known, has }: GuessInput): string[] {
  if (term.length < SHORTEST) return [];
  const split = splitInTwo(raw, has);
  if (split) return split;
  const slips: string[] = [];
  const longer: string[] = [];
  for (const other of known) {
    if (other.length < SHORTEST) continue;
    if (oneSlip(term, other)) slips.push(other);
    else if (other.startsWith(term)) longer.push(other);
  }
  const candidates = [...slips, ...longer.sort((a, b) => a.length - b.length || (a < b ? -1 : 1))];
  return candidates.filter(has).slice(0, MAX_GUESSES);
}

/** `pullrequest` → pull, request. */
function splitInTwo(raw: string, has: (term: string) => boolean): string[] | undefined {
  for (let at = raw.length - 3; at >= 3; at--) {
    const halves = indexTerms(`${raw.slice(0, at)} ${raw.slice(at)}`);
    if (halves.length === 2 && halves.every(has)) return halves;
  }
  return undefined;
}

/** One letter more, less, other, or two swapped. The first letter is right: people rarely miss it. */
function oneSlip(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1 || a[0] !== b[0]) return false;
  let at = 1;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  const [restA, restB] = [a.slice(at), b.slice(at)];
  if (restA.slice(1) === restB.slice(1) || restA.slice(1) === restB || restA === restB.slice(1)) return true;
  return restA[0] === restB[1] && restA[1] === restB[0] && restA.slice(2) === restB.slice(2);
}
