import { describe, expect, it } from 'vitest';
import type { CatalogItem, Tool } from '../../../src/model.ts';
import { fuseByMeaning } from '../../../src/shaping/fuse.ts';
import { searchTools } from '../../../src/shaping/search.ts';
import { allAtOnce } from '../../../src/shaping/slices.ts';
import { ToolIndex } from '../../../src/shaping/tool-index.ts';
import { VectorStore, type Embed } from '../../../src/shaping/vectors.ts';
import { catalogService } from '../../support/catalog.ts';
import { tool } from '../../support/model.ts';

const described = (name: string, description: string): Tool => tool(name, { description });
const shop = catalogService('shop', [
  described('refund', 'Gives money back'),
  described('ship', 'Sends a parcel'),
  described('greet', 'Says hello'),
]);
const tools = shop.tools;
const index = new ToolIndex();
allAtOnce(index.sync([shop]));

/** Vectors by what the text contains: a stand-in for a model, which no test can fetch. */
function axes(words: readonly string[], calls: (readonly string[])[] = []): Embed {
  return (texts) => {
    calls.push(texts);
    return Promise.resolve(
      texts.map((text) => Float32Array.from(words.map((word) => (text.includes(word) ? 2 : 0.1)))),
    );
  };
}
const words = (query: string) => searchTools(index, new Set(tools), query, 50);
const names = (hits: readonly { entry: CatalogItem<Tool> }[]): string[] =>
  hits.map(({ entry }) => entry.item.key);

describe('VectorStore', () => {
  it('embeds a definition once, however often it comes back, and forgets what went', async () => {
    const calls: (readonly string[])[] = [];
    const store = new VectorStore(axes(['money'], calls));
    await store.sync(tools);
    await store.sync(tools);
    await store.sync([...tools, ...catalogService('other', [described('refund', 'Gives money back')]).tools]);
    expect(calls.map((texts) => texts.length)).toEqual([3]);
    await store.sync(tools.slice(0, 1));
    expect(store.size).toBe(1);
  });

  it('asks for a hundred texts in batches, and goes on behind one that failed', async () => {
    const many = catalogService(
      'many',
      Array.from({ length: 100 }, (_, at) => described(`tool${at}`, 'x')),
    );
    const sizes: number[] = [];
    const store = new VectorStore((texts) => {
      sizes.push(texts.length);
      if (sizes.length === 1) return Promise.reject(new Error('503'));
      return Promise.resolve(texts.map(() => Float32Array.of(1)));
    });
    await store.sync(many.tools);
    expect(sizes).toEqual([64, 36]);
    expect(store.size).toBe(36);
    await store.sync(many.tools);
    expect(store.size).toBe(100);
  });

  it('keeps the last five hundred questions and no more', async () => {
    let asked = 0;
    const store = new VectorStore((texts) => {
      asked += texts.length;
      return Promise.resolve(texts.map(() => Float32Array.of(1, 0)));
    });
    for (let at = 0; at < 501; at++) await store.question(`question ${at}`);
    await store.question('question 500');
    expect(asked).toBe(501);
    await store.question('question 0');
    expect(asked).toBe(502);
  });

  it.each<[string, Embed]>([
    ['fails', () => Promise.reject(new Error('down'))],
    [
      'throws',
      () => {
        throw new Error('down');
      },
    ],
    ['gives too few', () => Promise.resolve([])],
    ['gives empty ones', (texts) => Promise.resolve(texts.map(() => new Float32Array()))],
    [
      'gives ones of different length',
      (texts) => Promise.resolve(texts.map((_, at) => new Float32Array(at + 1))),
    ],
  ])('has nothing, and throws nothing, where the model %s', async (_what, embed) => {
    const store = new VectorStore(embed);
    await store.sync(tools);
    expect(store.size).toBe(0);
    if (_what !== 'gives ones of different length') expect(await store.question('x')).toBeUndefined();
  });
});

describe('fuseByMeaning', () => {
  const fused = async (query: string, embed: Embed, visible = tools, limit = 5) => {
    const store = new VectorStore(embed);
    await store.sync(tools);
    const vector = await store.question(query);
    return vector ? fuseByMeaning(words(query), visible, vector, store, limit) : words(query);
  };

  it('finds what no word of the question stands in', async () => {
    expect(names(words('money please, reimbursement').hits)).toEqual(['refund']);
    expect(words('reimbursement').hits).toEqual([]);
    const { hits } = await fused('reimbursement of money', axes(['money', 'parcel', 'hello']));
    expect(names(hits)[0]).toBe('refund');
  });

  it('lets words win where they match and meaning is undecided', async () => {
    const flat: Embed = (texts) => Promise.resolve(texts.map(() => Float32Array.of(1, 1)));
    expect((await fused('ship a parcel', flat)).hits).toEqual(
      words('ship a parcel').hits.map((hit) => ({
        ...hit,
        score: hit.score / (words('ship a parcel').hits[0]?.score ?? 1),
      })),
    );
  });

  it('brings in nothing that the caller may not see', async () => {
    const seen = tools.filter(({ item }) => (item.key as string) !== 'refund');
    const store = new VectorStore(axes(['money', 'parcel', 'hello']));
    await store.sync(tools);
    const vector = await store.question('money');
    const byWords = searchTools(index, new Set(seen), 'money', 50);
    const { hits, total } = fuseByMeaning(byWords, seen, vector ?? new Float32Array(), store, 5);
    expect(names(hits)).not.toContain('refund');
    expect(total).toBeLessThanOrEqual(2);
  });

  it('gives no more than was asked for', async () => {
    expect((await fused('money', axes(['money', 'parcel', 'hello']), tools, 1)).hits).toHaveLength(1);
  });
});
