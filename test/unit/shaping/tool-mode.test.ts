import { encode } from 'gpt-tokenizer/encoding/o200k_base';
import { describe, expect, it } from 'vitest';
import type { CatalogItem, Tool } from '../../../src/model.ts';
import { metaToolJson } from '../../../src/shaping/meta-tools.ts';
import { estimateTokens, estimateTokensOfBytes } from '../../../src/shaping/token-estimate.ts';
import {
  listedTools,
  parseToolMode,
  settleMode,
  type ListingRules,
  type SettledMode,
} from '../../../src/shaping/tool-mode.ts';
import { realServers } from '../../bench/search/corpus.ts';
import { catalogService } from '../../support/catalog.ts';
import { tool } from '../../support/model.ts';

const shop = catalogService('shop', [
  tool('order'),
  { ...tool('show_cart'), hasApp: true },
  { ...tool('refresh_cart'), appOnly: true },
]);
const files = catalogService('files', [tool('read'), { ...tool('open_page'), appOnly: true }]);
const permitted = [...shop.tools, ...files.tools];
const rules: ListingRules = {
  allowed: () => false,
  pinned: () => false,
  clientHasApps: false,
  withReadTool: false,
  withReadResult: false,
};
const called =
  (...names: string[]) =>
  (entry: CatalogItem<Tool>): boolean =>
    names.includes(entry.canonical);

function list(mode: SettledMode, more: Partial<ListingRules> = {}): string[] {
  const { metaTools, tools } = listedTools(mode, permitted, { ...rules, ...more });
  return [...metaTools, ...tools.map((entry) => entry.canonical)];
}
const all = permitted.map((entry) => entry.canonical as string);

describe('listedTools', () => {
  it.each<[string, string[], string[]]>([
    ['full shows all', list('full'), all],
    ['full, with a way to read on', list('full', { withReadResult: true }), ['read_result', ...all]],
    ['filtered shows what is allowed', list('filtered', { allowed: called('shop.order') }), ['shop.order']],
    ['filtered shows nothing where nothing is allowed', list('filtered'), []],
    [
      'filtered keeps what the pages of allowed apps call, for a client that has apps',
      list('filtered', { allowed: called('shop.show_cart'), clientHasApps: true }),
      ['shop.show_cart', 'shop.refresh_cart'],
    ],
    [
      'filtered without apps in the client has only what is allowed',
      list('filtered', { allowed: called('shop.show_cart') }),
      ['shop.show_cart'],
    ],
    ['search shows two tools', list('search'), ['find_tools', 'call_tool']],
    [
      'search with everything',
      list('search', { withReadTool: true, withReadResult: true }),
      ['find_tools', 'call_tool', 'call_read_tool', 'read_result'],
    ],
    [
      'search keeps pinned tools',
      list('search', { pinned: called('files.read') }),
      ['find_tools', 'call_tool', 'files.read'],
    ],
    [
      'search keeps what apps need to open and to work',
      list('search', { clientHasApps: true }),
      ['find_tools', 'call_tool', 'shop.show_cart', 'shop.refresh_cart', 'files.open_page'],
    ],
  ])('%s', (_what, shown, expected) => {
    expect(shown).toEqual(expected);
  });

  it.each([500, 1000, 10_000])('begins with less than 300 tokens at %i tools', (count) => {
    const many = catalogService(
      'many',
      Array.from({ length: count }, (_, at) => tool(`tool_${at}`)),
    );
    const { metaTools, tools } = listedTools('search', many.tools, {
      ...rules,
      withReadTool: true,
      withReadResult: true,
    });
    const text = [...metaTools.map(metaToolJson), ...tools.map(({ item }) => item.json)].join(',');
    expect(encode(text).length).toBeLessThanOrEqual(300);
  });
});

describe('settleMode', () => {
  it.each([
    ['auto', 40_000, 'full'],
    ['auto', 40_001, 'search'],
    ['full', 1_000_000, 'full'],
    ['filtered', 1_000_000, 'filtered'],
    ['search', 0, 'search'],
  ] as const)('%s with %i bytes of list: %s', (asked, bytes, expected) => {
    expect(settleMode(asked, bytes)).toBe(expected);
  });

  it('takes another threshold', () => {
    expect(settleMode('auto', 4100, 1000)).toBe('search');
  });

  it.each(['full', 'filtered', 'search', 'auto'])('knows %s', (mode) => {
    expect(parseToolMode(mode)).toBe(mode);
  });

  it('knows no other mode', () => {
    expect(parseToolMode('FULL')).toBeUndefined();
    expect(parseToolMode('')).toBeUndefined();
  });
});

describe('estimateTokens', () => {
  it('is within a fifth of a real tokenizer over the list of every real server', () => {
    for (const { service, tools } of realServers()) {
      const text = tools.map((entry) => JSON.stringify(entry)).join(',');
      const ratio = estimateTokens(text) / encode(text).length;
      expect([service, ratio > 0.8 && ratio < 1.3]).toEqual([service, true]);
    }
  });

  it('counts bytes and not characters, so that Han is not four times too cheap', () => {
    const text = '查询北京今天的天气预报和空气质量';
    expect(estimateTokens(text)).toBeGreaterThan(encode(text).length * 0.7);
    expect(estimateTokensOfBytes(5)).toBe(2);
    expect(estimateTokens('')).toBe(0);
  });
});
