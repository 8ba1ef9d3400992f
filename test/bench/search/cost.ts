import { setImmediate as turn } from 'node:timers/promises';
import type { CatalogService } from '../../../src/model.ts';
import { searchTools } from '../../../src/shaping/search.ts';
import { inSlices } from '../../../src/shaping/slices.ts';
import { ToolIndex } from '../../../src/shaping/tool-index.ts';
import { catalogOf, questions, realServers } from './corpus.ts';

/**
 * What the index costs at 10 000 tools (the real ones, several times under other service names): time to build and
 * the longest hold of the event loop meanwhile, memory, one service replaced, and a search.
 *
 *   npm run bench:search-cost
 */
const wanted = 10_000;

function manyServices(): CatalogService[] {
  const real = realServers();
  const services: CatalogService[] = [];
  let count = 0;
  for (let copy = 1; count < wanted; copy++) {
    for (const service of catalogOf(
      real.map((server) => ({ ...server, service: `${server.service}-${copy}` })),
    )) {
      if (count >= wanted) break;
      services.push(service);
      count += service.tools.length;
    }
  }
  return services;
}

async function held(work: () => Promise<void>): Promise<{ tookMs: number; longestMs: number }> {
  const began = performance.now();
  let longest = 0;
  let last = began;
  const state = { running: true };
  const beat = (async () => {
    while (state.running) {
      await turn();
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }
  })();
  await work();
  state.running = false;
  await beat;
  return { tookMs: performance.now() - began, longestMs: longest };
}

const memory = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
};
const ports = { clock: () => performance.now(), pause: () => turn(), sliceMs: 10 };
const services = manyServices();
const tools = services.flatMap((service) => service.tools);
const before = memory();
const index = new ToolIndex();
const built = await held(() => inSlices(index.sync(services), ports));
const after = memory();
console.log(`${index.size} tools of ${services.length} services, ${index.termCount} terms`);
console.log(
  `built in ${built.tookMs.toFixed(0)} ms, event loop held at most ${built.longestMs.toFixed(1)} ms, ${(after - before).toFixed(1)} MB`,
);

const [first] = services;
if (first) {
  const replaced = [{ ...first }, ...services.slice(1)];
  const again = await held(() => inSlices(index.sync(replaced), ports));
  console.log(`one service of ${first.tools.length} tools replaced in ${again.tookMs.toFixed(1)} ms`);
}

const visible = new Set(tools);
const texts = questions().map(({ text }) => text);
for (const text of texts) searchTools(index, visible, text, 15);
const times = Array.from({ length: 5 }, () => texts)
  .flat()
  .map((text) => {
    const began = performance.now();
    searchTools(index, visible, text, 15);
    return performance.now() - began;
  })
  .sort((a, b) => a - b);
const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(2);
console.log(
  `a search: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(0.9999)} ms (${times.length} searches)`,
);
