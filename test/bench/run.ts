import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { LoadDone, LoadOrder } from './load.ts';
import type { Report } from './targets/report.ts';

/**
 * What a call costs: CPU microseconds and latency of each way to the same backend, in one run. Rounds take
 * turns, so a slow moment of the machine falls on all; what is printed are medians, and ratios to the bare hop.
 *
 *   npm run bench            (--rounds 7 --calls 4000)
 */
const option = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const rounds = option('rounds', 7);
const calls = option('calls', 4000);

interface Target {
  readonly name: string;
  readonly child: ChildProcess;
  readonly port: number;
  readonly prefix: string;
  readonly authorization: string | undefined;
}

const profile = process.argv.includes('--profile');
const out = fileURLToPath(new URL('./out/', import.meta.url));
mkdirSync(out, { recursive: true });

function start(file: string, ...args: string[]): ChildProcess {
  // --profile leaves a .cpuprofile of this router in test/bench/out, for Chrome's or VS Code's viewer.
  const profiled = profile && file.includes('this-router');
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    execArgv: profiled ? ['--cpu-prof', `--cpu-prof-dir=${out}`] : [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

async function next<Message>(child: ChildProcess): Promise<Message> {
  const [message] = (await once(child, 'message')) as [Message];
  return message;
}

async function target(name: string, file: string, prefix: string, ...args: string[]): Promise<Target> {
  const child = start(file, ...args);
  const { port, authorization } = await next<{ port: number; authorization?: string }>(child);
  return { name, child, port, prefix, authorization };
}

async function cpu(of: Target): Promise<Extract<Report, { cpuMicros: number }>> {
  const answer = next<Extract<Report, { cpuMicros: number }>>(of.child);
  of.child.send('cpu');
  return answer;
}

type Order = Omit<LoadOrder, 'port' | 'path' | 'authorization'>;

interface Sample {
  readonly cpuPerCall: number;
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
}

const sorted = (numbers: readonly number[]): number[] => numbers.toSorted((a, b) => a - b);
const quantile = (numbers: readonly number[], q: number): number =>
  sorted(numbers)[Math.min(numbers.length - 1, Math.floor(numbers.length * q))] ?? Number.NaN;
const median = (numbers: readonly number[]): number => quantile(numbers, 0.5);

async function measure(load: ChildProcess, of: Target, order: Order): Promise<Sample> {
  const before = await cpu(of);
  const done = next<LoadDone>(load);
  load.send({
    ...order,
    tool: of.prefix + order.tool,
    port: of.port,
    path: '/mcp',
    authorization: of.authorization,
  } satisfies LoadOrder);
  const { calls: made, failed, seconds, latencies } = await done;
  const after = await cpu(of);
  if (failed > 0) throw new Error(`${of.name}: ${failed} of ${made} calls failed`);
  return {
    cpuPerCall: (after.cpuMicros - before.cpuMicros) / made,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    perSecond: made / seconds,
  };
}

const backend = await target('direct', './targets/backend.ts', '');
const port = String(backend.port);
const targets = [
  backend,
  await target('bare hop', './targets/hop.ts', '', port),
  await target('this router', './targets/this-router.ts', 'bench__', port),
  await target('token, rules', './targets/guarded-router.ts', 'bench__', port),
  await target('SDK router', './targets/sdk-router.ts', 'bench__', port),
];
const load = start('./load.ts');
await next(load);

const cases: { name: string; order: Order; slow: number }[] = [
  {
    name: 'small answer, 16 callers',
    order: { tool: 'small', callers: 16, calls, progress: false },
    slow: 8,
  },
  {
    name: 'small answer, 64 callers',
    order: { tool: 'small', callers: 64, calls, progress: false },
    slow: 8,
  },
  {
    name: '100 KB answer, 16 callers',
    order: { tool: 'large', callers: 16, calls: calls / 2, progress: false },
    slow: 8,
  },
  {
    name: 'SSE with 10 progress notifications, 16 callers',
    order: { tool: 'stream', callers: 16, calls: calls / 2, progress: true },
    slow: 8,
  },
];
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : undefined;
const without = process.argv.includes('--no-sdk');

const results: Record<string, Record<string, Sample & { ratio: number }>> = {};
for (const { name, order, slow } of cases) {
  if (only !== undefined && !name.includes(only)) continue;
  const samples = new Map<string, Sample[]>();
  for (let round = -1; round < rounds; round++) {
    for (const of of targets) {
      if (without && of.name === 'SDK router') continue;
      const share = of.name === 'SDK router' ? Math.ceil(order.calls / slow) : order.calls;
      const sample = await measure(load, of, { ...order, calls: share });
      // The first round warms up.
      if (round >= 0) samples.set(of.name, [...(samples.get(of.name) ?? []), sample]);
    }
  }
  const hop = samples.get('bare hop') ?? [];
  console.log(`\n${name}`);
  console.log('  way           CPU µs/call   × hop (min…max)       p50 ms   p99 ms   calls/s');
  results[name] = {};
  for (const [way, all] of samples) {
    const ratios = all.map((sample, at) => sample.cpuPerCall / (hop[at]?.cpuPerCall ?? Number.NaN));
    const summary = {
      cpuPerCall: median(all.map((sample) => sample.cpuPerCall)),
      p50: median(all.map((sample) => sample.p50)),
      p99: median(all.map((sample) => sample.p99)),
      perSecond: median(all.map((sample) => sample.perSecond)),
      ratio: median(ratios),
    };
    results[name][way] = summary;
    console.log(
      `  ${way.padEnd(12)} ${summary.cpuPerCall.toFixed(0).padStart(12)}   ${summary.ratio.toFixed(2).padStart(5)} (${Math.min(...ratios).toFixed(2)}…${Math.max(...ratios).toFixed(2)})`.padEnd(
        56,
      ) +
        `${summary.p50.toFixed(2).padStart(7)}  ${summary.p99.toFixed(2).padStart(7)}  ${summary.perSecond.toFixed(0).padStart(8)}`,
    );
  }
}
const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length };
writeFileSync(`${out}calls.json`, `${JSON.stringify({ machine, rounds, calls, results }, null, 2)}\n`);
console.log(`\nwritten to test/bench/out/calls.json`);
for (const child of [load, ...targets.map((of) => of.child)]) child.disconnect();
