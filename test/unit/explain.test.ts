import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { doubtSentences, findingOf, reasonTable } from '../../src/explain/reasons.ts';
import { similar } from '../../src/explain/similar.ts';
import { explanationText } from '../../src/cli/explain.ts';

/** Every code of a problem that these rooms report. */
function codesIn(rooms: readonly string[]): ReadonlySet<string> {
  const codes = new Set<string>();
  for (const room of rooms) {
    const folder = new URL(`../../src/${room}/`, import.meta.url).pathname;
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue;
      const text = readFileSync(join(folder, file), 'utf8');
      const found = text.matchAll(/\b(?:code: |#report\(\s*)'([A-Z]+(?:_[A-Z]+)*)'/g);
      for (const [, code] of found) if (code !== undefined) codes.add(code);
    }
  }
  return codes;
}

describe('reasons', () => {
  it('a problem that some room reports and explain does not know', () => {
    const codes = codesIn(['discovery', 'upstream', 'catalog', 'routing']);
    expect(codes.size).toBeGreaterThan(15);
    expect([...codes].filter((code) => !(code in reasonTable))).toEqual([]);
  });

  it('one that takes something away says how to mend it, or its sentence does', () => {
    // Their sentences, made where the problem is found, end with the mend.
    const selfTold = new Set([
      'KIND',
      'NO_TAG',
      'NO_PORT',
      'BAD_ADDRESS',
      'INVALID_ITEM',
      'NOBODY_SERVES',
      'LIST_FAILED',
      'CYCLIC_PAGES',
      'TOO_MANY_PAGES',
    ]);
    const silent = Object.entries(reasonTable).filter(
      ([code, reason]) => reason.effect !== 'note' && !('mend' in reason) && !selfTold.has(code),
    );
    expect(silent).toEqual([]);
  });

  it('each doubt about Consul has a sentence and a mend', () => {
    for (const { sentence, mend } of Object.values(doubtSentences)) {
      expect(sentence).toMatch(/^[a-zA-Z].*[^.]$/);
      expect(mend).toMatch(/\.$/);
    }
  });

  it('a problem that nobody knows is a note', () => {
    expect(findingOf({ code: 'NEW', message: 'So it is.' })).toEqual({
      code: 'NEW',
      effect: 'note',
      sentence: 'So it is.',
    });
  });
});

describe('what may have been meant', () => {
  it.each([
    ['wether', ['weather', 'github'], ['weather']],
    ['search', ['github__search_code', 'files__read'], ['github__search_code']],
    ['GitHub', ['github', 'gitlab'], ['github', 'gitlab']],
    ['zzz', ['github', 'files'], []],
    ['', ['github'], []],
  ])('%s', (wanted, names, expected) => {
    expect(similar(wanted, names)).toEqual(expected);
  });
});

it('a terminal shows the sentence, the mend, and what was meant', () => {
  const text = explanationText({
    query: 'wether',
    subjects: [],
    findings: [
      { code: 'NOT_REGISTERED', effect: 'gone', sentence: 'It is not there.', mend: 'Register it.' },
    ],
    similar: ['weather'],
  });
  expect(text).toBe(
    'wether\n\n  ✗ It is not there. [NOT_REGISTERED]\n    → Register it.\n\nWas one of these meant? weather',
  );
});
