import MiniSearch, { type Options } from 'minisearch';
import { fieldNames, fieldTerms } from '../../../src/shaping/searchable-tool.ts';
import { fuseByMeaning } from '../../../src/shaping/fuse.ts';
import { searchTools, type SearchResult } from '../../../src/shaping/search.ts';
import { allAtOnce } from '../../../src/shaping/slices.ts';
import { fieldRules, ToolIndex } from '../../../src/shaping/tool-index.ts';
import { VectorStore, type Embed } from '../../../src/shaping/vectors.ts';
import { indexTerms } from '../../../src/shaping/words.ts';
import { catalogOf, questions, realServers } from './corpus.ts';
import { quality } from './score.ts';

/**
 * How often the right tool is found, beside minisearch as it comes and minisearch with our words and weights, over
 * the tools of real servers:
 *
 *   npm run bench:search            (-- --missed lists the tuning questions whose tool was not in the first five)
 *   npm run bench:search -- --embeddings http://127.0.0.1:8000/v1/embeddings
 *                                   (with meaning as well, and by service of the right tool: did any get worse?)
 */
const services = catalogOf(realServers());
const entries = services.flatMap((service) => service.tools.map((entry) => ({ service, entry })));
const label = (service: string, key: string): string => `${service}/${key}`;
type Ranking = (text: string) => string[];

const index = new ToolIndex();
allAtOnce(index.sync(services));
const visible = entries.map(({ entry }) => entry);
const visibleSet = new Set(visible);
const labels = ({ hits }: SearchResult): string[] =>
  hits.map(({ entry }) => label(entry.service, entry.item.key));
const ours: Ranking = (text) => labels(searchTools(index, visibleSet, text, 20));

function minisearch(
  options: Partial<Options<Record<string, string>>>,
  fields: (at: (typeof entries)[number]) => Record<string, string>,
): Ranking {
  const engine = new MiniSearch<Record<string, string>>({ fields: [...fieldNames], ...options });
  for (const at of entries) engine.add({ id: label(at.service.name, at.entry.item.key), ...fields(at) });
  return (text) => engine.search(text).map(({ id }) => String(id));
}

async function withMeaning(url: string): Promise<Ranking> {
  const embed: Embed = async (input) => {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input, model: process.env['EMBEDDINGS_MODEL'] ?? 'default' }),
    });
    const { data } = (await answer.json()) as { data: { embedding: number[] }[] };
    return data.map(({ embedding }) => Float32Array.from(embedding));
  };
  const vectors = new VectorStore(embed);
  await vectors.sync(visible);
  const known = new Map<string, Float32Array | undefined>();
  for (const { text } of questions()) known.set(text, await vectors.question(text));
  return (text) => {
    const byWords = searchTools(index, visibleSet, text, 50);
    const vector = known.get(text);
    return labels(vector ? fuseByMeaning(byWords, visible, vector, vectors, 20) : byWords);
  };
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

const rankings: Record<string, Ranking> = {
  ours,
  'minisearch, our words and weights': minisearch(
    {
      tokenize: indexTerms,
      processTerm: (term) => term,
      searchOptions: { boost: Object.fromEntries(fieldNames.map((name) => [name, fieldRules[name].weight])) },
    },
    ({ entry, service }) =>
      Object.fromEntries(
        Object.entries(fieldTerms(entry, service.namespace)).map(([name, terms]) => [name, terms.join(' ')]),
      ),
  ),
  'minisearch as it comes': minisearch({}, ({ entry, service }) => {
    const { title, description, inputSchema } = JSON.parse(entry.item.json) as Record<string, unknown>;
    return {
      name: entry.item.key,
      service: service.namespace,
      title: text(title),
      description: text(description),
      arguments: JSON.stringify(inputSchema),
    };
  }),
};

const urlAt = process.argv.indexOf('--embeddings');
const url = urlAt < 0 ? undefined : process.argv[urlAt + 1];
if (url !== undefined) rankings['ours, with embeddings'] = await withMeaning(url);

const digits = (value: number): string => value.toFixed(3);
console.log(`${entries.length} tools of ${services.length} servers`);
for (const half of ['tuning', 'hold-out'] as const) {
  const asked = questions().filter((question) => question.half === half);
  console.log(`\n${half}, ${asked.length} questions`);
  for (const [name, rank] of Object.entries(rankings)) {
    const { recall1, recall5, mrr, missed } = quality(asked, rank);
    console.log(
      `  ${name.padEnd(34)} recall@1 ${digits(recall1)}  recall@5 ${digits(recall5)}  MRR ${digits(mrr)}`,
    );
    if (!process.argv.includes('--missed') || half !== 'tuning' || name !== 'ours') continue;
    for (const question of missed) console.log(`      ${question}`);
  }
}

const meant = rankings['ours, with embeddings'];
if (meant) {
  console.log('\nrecall@5 by service of the right tool (six questions and more): words → with embeddings');
  const serviceOf = (right: ReadonlySet<string>): string => [...right][0]?.split('/')[0] ?? '';
  for (const [service, asked] of Map.groupBy(questions(), ({ right }) => serviceOf(right))) {
    if (asked.length < 6) continue;
    const [before, after] = [quality(asked, ours), quality(asked, meant)];
    const mark = after.recall5 < before.recall5 ? '  worse' : '';
    console.log(
      `  ${service.padEnd(20)} ${String(asked.length).padStart(3)}  ${digits(before.recall5)} → ${digits(after.recall5)}${mark}`,
    );
  }
}
