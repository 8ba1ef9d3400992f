import { stemmer as english } from '@orama/stemmers/english';
import { stemmer as russian } from '@orama/stemmers/russian';
import { stopWords } from './word-lists.ts';

/**
 * Text as the terms that search compares: lower case, without accents, names split, words stemmed, stop words
 * gone. Scripts that write no spaces become overlapping pairs of characters.
 */

/** One word of a text: the terms that it may be found by, the best one first. */
export interface Word {
  /** The whole word. Empty for a stop word. */
  readonly whole: string;
  /** What it is put together of (`GitHub` → git, hub; `oauth2` → oauth); empty for a plain word. */
  readonly parts: readonly string[];
  /** As it was written. */
  readonly raw: string;
}

/** Longer runs are no words (base64, hashes); they are cut here, so that no term grows beyond reason. */
const MAX_WORD = 40;
const MAX_RUN = 128;
const MAX_REMEMBERED = 20_000;

const spaceless =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}ー々]+/u;
const runs = /[\p{L}\p{N}\p{M}]+/gu;
const latin = /\p{Script=Latin}/u;
const cyrillic = /^\p{Script=Cyrillic}+$/u;
const marks = /\p{M}+/gu;

/** The words of a text in their order, stop words included as empty ones (so that neighbours stay known). */
export function splitWords(text: string): Word[] {
  const found: Word[] = [];
  for (const [run] of text.normalize('NFKC').matchAll(runs)) {
    if (spaceless.test(run)) found.push(...mixedRun(run));
    else found.push(word(run));
  }
  return found;
}

/** The terms under which a text is found: whole words and their parts, with repetition. */
export function indexTerms(text: string): string[] {
  const terms: string[] = [];
  for (const { whole, parts } of splitWords(text)) {
    if (whole !== '') terms.push(whole);
    terms.push(...parts);
  }
  return terms;
}

/** The terms of a name: `createPullRequest`, `create_pull_request` and `create-pull-request` give the same. */
export function nameTerms(name: string): string[] {
  return splitWords(name).flatMap(({ whole, parts }) =>
    parts.length > 0 ? parts : whole === '' ? [] : [whole],
  );
}

/** A run that has characters of a script without spaces, perhaps beside others (`查询12306车票`). */
function mixedRun(run: string): Word[] {
  const found: Word[] = [];
  let rest = run;
  while (rest !== '') {
    const match = spaceless.exec(rest);
    const start = match?.index ?? rest.length;
    if (start > 0) found.push(word(rest.slice(0, start)));
    if (!match) break;
    found.push(...pairs(match[0]));
    rest = rest.slice(start + match[0].length);
  }
  return found;
}

/** `天气预报` → 天气, 气预, 预报. A single character stands for itself. */
function pairs(run: string): Word[] {
  const characters = Array.from(run);
  if (characters.length === 1) return [{ whole: run, parts: [], raw: run }];
  return characters.slice(1).map((character, at) => {
    const pair = `${characters[at]}${character}`;
    return { whole: pair, parts: [], raw: pair };
  });
}

const remembered = new Map<string, Word>();

function word(written: string): Word {
  const run = written.slice(0, MAX_RUN);
  const known = remembered.get(run);
  if (known) return known;
  const pieces = splitIdentifier(run);
  const parts = pieces.length <= 1 ? [] : pieces.map(term).filter((part) => part !== '');
  const made: Word = { whole: term(run), parts, raw: run };
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(run, made);
  return made;
}

/** `getHTTPResponse` → get, HTTP, Response; `oauth2` → oauth (a digit alone says nothing); `S3` stays. */
function splitIdentifier(run: string): string[] {
  const cut = run
    .replaceAll(/(\p{Ll}|\p{N})(\p{Lu})/gu, '$1 $2')
    .replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .split(' ');
  return cut.flatMap((piece) => {
    const letters = piece.split(/\p{N}+/u).filter((part) => part.length >= 3);
    return letters.length > 0 && /\p{N}/u.test(piece) ? [piece, ...letters] : [piece];
  });
}

/** Words whose stem is another word's: a customer is not custom, news are not new. */
const unstemmed: ReadonlyMap<string, string> = new Map([
  ['customer', 'customer'],
  ['customers', 'customer'],
  ['news', 'news'],
  ['paste', 'paste'],
  ['general', 'general'],
  ['organizer', 'organizer'],
  ['university', 'university'],
]);

/** The term of one word; empty for a stop word. */
function term(raw: string): string {
  const lower = raw.slice(0, MAX_WORD).toLowerCase();
  if (cyrillic.test(lower)) return stopWords.has(lower) ? '' : russian(lower);
  if (!latin.test(lower)) return lower;
  const plain = lower.normalize('NFD').replaceAll(marks, '');
  if (stopWords.has(plain)) return '';
  return unstemmed.get(plain) ?? (/^[a-z]{3,}$/.test(plain) ? english(plain) : plain);
}
