import type { Question } from './corpus.ts';

/** How good a ranking is over some questions. */
export interface Quality {
  readonly recall1: number;
  readonly recall5: number;
  /** Mean of 1 / rank of the first right one within the first twenty. */
  readonly mrr: number;
  readonly missed: readonly string[];
}

/** `rank` gives tools as `service/tool`, best first. */
export function quality(questions: readonly Question[], rank: (text: string) => readonly string[]): Quality {
  let [first, five, reciprocal] = [0, 0, 0];
  const missed: string[] = [];
  for (const { text, right } of questions) {
    const at = rank(text)
      .slice(0, 20)
      .findIndex((name) => right.has(name));
    if (at === 0) first++;
    if (at >= 0 && at < 5) five++;
    else missed.push(text);
    if (at >= 0) reciprocal += 1 / (at + 1);
  }
  const count = questions.length;
  return { recall1: first / count, recall5: five / count, mrr: reciprocal / count, missed };
}
