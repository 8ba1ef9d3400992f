import type { Difference, Score } from './results.ts';

const widths = [58, 20, 20];

export const row = (...cells: string[]): string =>
  cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join('')
    .trimEnd();

/** `44/44`, and the warnings where there are any. */
export const scoreText = ({ passed, failed, warnings }: Score): string =>
  `${passed}/${passed + failed}${warnings > 0 ? ` (${warnings} warned)` : ''}`;

const oneLine = (message: string): string => {
  const line = message.replaceAll(/\s+/g, ' ');
  return line.length > 200 ? `${line.slice(0, 199)}…` : line;
};

export function differenceText({ scenario, counts, fixture, router, bad, absent }: Difference): string {
  const lines = [
    row(`  ${scenario}${counts ? '' : ' (not scored)'}`, scoreText(fixture), scoreText(router)),
    ...bad.map((check) => `      ${check.status} ${check.name}: ${oneLine(check.errorMessage ?? '')}`),
  ];
  if (absent.length > 0) lines.push(`      not reached: ${absent.map((check) => check.name).join(', ')}`);
  return lines.join('\n');
}
