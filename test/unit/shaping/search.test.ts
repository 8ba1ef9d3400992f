import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CatalogItem, CatalogService, Tool } from '../../../src/model.ts';
import { searchTools, type SearchResult } from '../../../src/shaping/search.ts';
import { allAtOnce, inSlices } from '../../../src/shaping/slices.ts';
import { ToolIndex } from '../../../src/shaping/tool-index.ts';
import { catalogOf, questions, realServers } from '../../bench/search/corpus.ts';
import { quality } from '../../bench/search/score.ts';
import { catalogService } from '../../support/catalog.ts';
import { tool } from '../../support/model.ts';

function indexOf(services: readonly CatalogService[], index = new ToolIndex()): ToolIndex {
  allAtOnce(index.sync(services));
  return index;
}
const toolsOf = (services: readonly CatalogService[]): CatalogItem<Tool>[] =>
  services.flatMap((service) => service.tools);
const names = ({ hits }: SearchResult): string[] => hits.map(({ entry }) => entry.canonical);

function find(services: readonly CatalogService[], query: string, limit = 5): string[] {
  return names(searchTools(indexOf(services), new Set(toolsOf(services)), query, limit));
}

const described = (name: string, description: string, more: Record<string, unknown> = {}): Tool =>
  tool(name, { description, ...more });

const real = catalogOf(realServers());
const small = real.filter(({ name }) => ['github', 'slack', 'git', 'memory', 'amap', 'time'].includes(name));

describe('searchTools', () => {
  const services = [
    catalogService('github', [
      described('create_issue', 'Opens an issue in a repository'),
      described('deleteBranch', 'Removes a branch'),
      described('search_code', 'Finds code', {
        inputSchema: { type: 'object', properties: { regexp: { description: 'pattern to look for' } } },
      }),
    ]),
    catalogService('tracker', [described('create_issue', 'Opens an issue')]),
    catalogService('погода', [described('прогноз', 'Прогноз погоды на неделю по городу')]),
  ];

  it.each([
    ['a question in words', 'please create a new issue for me', 'github.create_issue'],
    ['another word for the same', 'file a ticket: make new', 'tracker.create_issue'],
    ['a name in camel case', 'delete branches', 'github.deleteBranch'],
    ['an argument', 'regexp', 'github.search_code'],
    ['what is said of an argument', 'patterns', 'github.search_code'],
    ['a slip of the finger', 'serach code', 'github.search_code'],
    ['two words written as one', 'searchcode', 'github.search_code'],
    ['the beginning of a word', 'repos issue', 'github.create_issue'],
    ['Russian in another form', 'прогнозы на завтра', 'погода.прогноз'],
  ])('finds by %s', (_what, query, expected) => {
    expect(find(services, query)).toContain(expected);
  });

  it('puts the tool of the named server first, of two with one name', () => {
    expect(find(services, 'create issue in tracker')[0]).toBe('tracker.create_issue');
    expect(find(services, 'create issue in github')[0]).toBe('github.create_issue');
  });

  it('finds nothing by words that say nothing, or that nobody has', () => {
    expect(find(services, 'please would you')).toEqual([]);
    expect(find(services, '')).toEqual([]);
    expect(find(services, 'xylophone zebra')).toEqual([]);
  });

  it('does not reward a description that is stuffed with keywords', () => {
    const stuffed = Array.from({ length: 400 }, () => 'issue create repository open best tool').join(' ');
    const all = [...services, catalogService('spam', [described('anything', stuffed)])];
    expect(find(all, 'create an issue in a repository')[0]).toBe('github.create_issue');
  });

  it('never finds a tool that only its page may call', () => {
    const hidden = { ...described('refund_order', 'Gives the money back'), appOnly: true };
    expect(find([catalogService('shop', [hidden])], 'refund order')).toEqual([]);
  });

  it('takes definitions that are no schema at all', () => {
    const odd = tool('odd', {
      description: 5,
      inputSchema: { properties: { a: null, b: true, c: [1] }, items: 3 },
    });
    expect(find([catalogService('x', [odd])], 'odd')).toEqual(['x.odd']);
  });

  it('says how many were found, not only how many are given', () => {
    const result = searchTools(indexOf(small), new Set(toolsOf(small)), 'github', 3);
    expect(result.hits).toHaveLength(3);
    expect(result.total).toBeGreaterThan(20);
  });

  it('gives the same best ones whatever the limit', () => {
    const index = indexOf(small);
    const visible = new Set(toolsOf(small));
    for (const { text } of questions()) {
      const all = names(searchTools(index, visible, text, 10_000));
      expect(names(searchTools(index, visible, text, 5))).toEqual(all.slice(0, 5));
    }
  });
});

const subset = fc.subarray(toolsOf(small));
const question = fc.constantFrom(
  ...questions().map(({ text }) => text),
  'isue',
  'pullrequest',
  'reposit',
  '天气',
);

describe('what a caller may not see', () => {
  it('changes nothing that he sees: neither order, nor scores, nor totals, nor what a typing error means', () => {
    const everything = indexOf(small);
    fc.assert(
      fc.property(subset, question, (allowed, text) => {
        const visible = new Set(allowed);
        const alone = indexOf(
          small.map((service) => ({
            ...service,
            tools: service.tools.filter((entry) => visible.has(entry)),
          })),
        );
        expect(searchTools(everything, visible, text, 20)).toEqual(searchTools(alone, visible, text, 20));
      }),
      { numRuns: 200 },
    );
  });
});

describe('ToolIndex', () => {
  const shape = (index: ToolIndex): unknown[] => [
    index.size,
    index.termCount,
    questions().map(({ text }) => names(searchTools(index, new Set(toolsOf(small)), text, 20))),
  ];

  it('is the same by whatever steps it came to be', () => {
    const steps = fc.array(fc.tuple(fc.subarray(small), fc.nat(60)), { maxLength: 4 });
    const expected = shape(indexOf(small));
    fc.assert(
      fc.property(steps, (earlier) => {
        const index = new ToolIndex();
        for (const [services, taken] of earlier) {
          // Left off after some steps, as when the next table comes while this one is being indexed.
          const running = index.sync(services);
          for (let step = 0; step < taken && !running.next().done; step++);
        }
        expect(shape(indexOf(small, index))).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  it('holds nothing of services that went', () => {
    const index = indexOf(small);
    indexOf([], index);
    expect([index.size, index.termCount]).toEqual([0, 0]);
    const capacity = index.capacity;
    for (let round = 0; round < 3; round++) indexOf([], indexOf(small, index));
    expect(index.capacity).toBe(capacity);
  });

  it('leaves a service alone that did not change', () => {
    const index = indexOf(small);
    let steps = 0;
    for (const step of index.sync(small)) steps += step === undefined ? 1 : 0;
    expect(steps).toBe(0);
  });

  it('finds the old tools of a service until the new ones are all there', () => {
    const old = catalogService('shop', [tool('order')]);
    const next = catalogService('shop', [tool('order'), tool('refund')]);
    const index = indexOf([old]);
    const running = index.sync([next]);
    running.next();
    expect(names(searchTools(index, new Set(old.tools), 'order', 5))).toEqual(['shop.order']);
    allAtOnce(running);
    expect(searchTools(index, new Set(old.tools), 'order', 5).hits).toEqual([]);
    expect(names(searchTools(index, new Set(next.tools), 'order', 5))).toEqual(['shop.order']);
  });
});

describe('inSlices', () => {
  it('gives others a turn whenever it went on for long enough', async () => {
    let now = 0;
    let pauses = 0;
    function* steps(): Generator<void, void, void> {
      for (let step = 0; step < 100; step++) {
        now += 1;
        yield;
      }
    }
    const pause = (): Promise<void> => {
      pauses++;
      return Promise.resolve();
    };
    await inSlices(steps(), { clock: () => now, pause, sliceMs: 10 });
    expect(pauses).toBe(10);
  });
});

describe('over real servers', () => {
  it('finds the right tool among the first five far more often than by bare words', () => {
    const index = indexOf(real);
    const visible = new Set(toolsOf(real));
    const { recall5 } = quality(
      questions().filter(({ half }) => half === 'hold-out'),
      (text) =>
        searchTools(index, visible, text, 5).hits.map(({ entry }) => `${entry.service}/${entry.item.key}`),
    );
    // minisearch as it comes has .65 here (npm run bench:search).
    expect(recall5).toBeGreaterThan(0.81);
  });
});
