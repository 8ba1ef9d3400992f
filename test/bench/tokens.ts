import { encode } from 'gpt-tokenizer/encoding/o200k_base';
import type { CatalogItem, Tool } from '../../src/model.ts';
import { findToolsJson } from '../../src/shaping/find-tools.ts';
import { metaToolJson } from '../../src/shaping/meta-tools.ts';
import { slimTool } from '../../src/shaping/slim-tool.ts';
import { allAtOnce } from '../../src/shaping/slices.ts';
import { estimateTokens } from '../../src/shaping/token-estimate.ts';
import { ToolIndex } from '../../src/shaping/tool-index.ts';
import { listedTools } from '../../src/shaping/tool-mode.ts';
import { catalogOf, questions, realServers } from './search/corpus.ts';

/**
 * What lists and searches cost a model, in o200k tokens, over the tools of real servers; and how far the estimate is
 * off that the router works with:
 *
 *   npm run bench:tokens
 */
const tokens = (text: string): number => encode(text).length;
const percent = (part: number, whole: number): string => `${((part / whole) * 100).toFixed(1)} %`;
const services = catalogOf(realServers());
const all = services.flatMap((service) => service.tools);
const spell = (entry: CatalogItem<Tool>): string => entry.portable;

const index = new ToolIndex();
allAtOnce(index.sync(services));

const whole = all.reduce((sum, { item }) => sum + tokens(item.json), 0);
const slim = all.reduce((sum, { item }) => sum + tokens(slimTool(item.json)), 0);
const short = all.reduce((sum, { item }) => sum + tokens(slimTool(item.json, { maxDescription: 120 })), 0);
console.log(`${all.length} tools, each ${(whole / all.length).toFixed(0)} tokens`);
console.log(
  `loss-free slimming saves ${percent(whole - slim, whole)}, descriptions cut to 120 characters ${percent(whole - short, whole)}`,
);
const worst = services.map(({ name, tools }) => {
  const before = tools.reduce((sum, { item }) => sum + tokens(item.json), 0);
  const after = tools.reduce((sum, { item }) => sum + tokens(slimTool(item.json)), 0);
  return { name, saved: (before - after) / before };
});
worst.sort((a, b) => b.saved - a.saved);
console.log(
  `  by server: ${((worst.at(-1)?.saved ?? 0) * 100).toFixed(1)} … ${((worst[0]?.saved ?? 0) * 100).toFixed(1)} % (${worst[0]?.name ?? ''})`,
);

const rules = {
  allowed: () => true,
  pinned: () => false,
  clientHasApps: false,
  withReadTool: false,
  withReadResult: false,
};
const first = (more: Partial<typeof rules>): number =>
  tokens(
    listedTools('search', all, { ...rules, ...more })
      .metaTools.map(metaToolJson)
      .join(','),
  );
console.log(
  `\nfirst list in search mode: ${first({})} tokens, with call_read_tool and read_result ${first({ withReadTool: true, withReadResult: true })}`,
);

const searches = questions().map(({ text }) => {
  return tokens(
    findToolsJson({ index, permitted: new Set(all), arguments: { query: text, limit: 5 } }, spell),
  );
});
searches.sort((a, b) => a - b);
const middle = searches[Math.floor(searches.length / 2)] ?? 0;
const mean = searches.reduce((sum, count) => sum + count, 0) / searches.length;
console.log(
  `a search of five results: median ${middle}, mean ${mean.toFixed(0)}, largest ${searches.at(-1) ?? 0} tokens`,
);

/** 500 tools with whole servers, as the bar has it. */
const few: CatalogItem<Tool>[] = [];
for (const { tools } of services) if (few.length + tools.length <= 510) few.push(...tools);
const fewFull = few.reduce((sum, { item }) => sum + tokens(slimTool(item.json)), 0);
const fewSearches = questions().map(({ text }) =>
  tokens(findToolsJson({ index, permitted: new Set(few), arguments: { query: text, limit: 5 } }, spell)),
);
const five = (fewSearches.reduce((sum, count) => sum + count, 0) / fewSearches.length) * 5;
console.log(
  `${few.length} tools: full list ${fewFull}; search list and five searches ${(first({}) + five).toFixed(0)}, ${percent(fewFull - first({}) - five, fewFull)} less`,
);

const errors = all.map(({ item }) => estimateTokens(item.json) / tokens(item.json) - 1).sort((a, b) => a - b);
const at = (share: number): string => percent(errors[Math.floor(errors.length * share)] ?? 0, 1);
const list = all.map(({ item }) => item.json).join(',');
console.log(
  `\nthe estimate (bytes ÷ 4): ${percent(estimateTokens(list) / tokens(list) - 1, 1)} over the whole list; by tool p5 ${at(0.05)}, median ${at(0.5)}, p95 ${at(0.95)}`,
);
