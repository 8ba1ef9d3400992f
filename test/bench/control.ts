import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { deregisterService, registerService, setCheck, startConsul } from '../support/consul.ts';
import { startBackend } from '../support/backend.ts';
import { eventually } from '../support/eventually.ts';
import { RawSession } from '../support/mcp-client.ts';
import { startProgram } from '../support/program.ts';
import { freePort } from '../support/servers.ts';

/**
 * How soon a change in Consul is in the table: distributions over single trials, through the built router and a
 * real agent.
 *
 * - registered → listed: from the agent's answer to the registration to the first tools/list with the new tools,
 *   the probe of a fast server included.
 * - critical → not routed: from the agent's answer to the failed check until no call reaches the instance.
 *
 *   npm run bench:control        (--trials 100)
 */
const at = process.argv.indexOf('--trials');
const trials = at < 0 ? 100 : Number(process.argv[at + 1]);

const consul = await startConsul();
const [port, adminPort] = [await freePort(), await freePort()];
const router = startProgram(['serve', '--no-register'], {
  CONSUL_HTTP_ADDR: consul.httpAddr,
  MCP_ROUTER_LISTEN: `127.0.0.1:${port}`,
  MCP_ROUTER_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
  MCP_ROUTER_STATE_DIR: mkdtempSync(join(tmpdir(), 'bench-')),
  MCP_ROUTER_LOG_LEVEL: 'warn',
});
await eventually(async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok);
const session = await RawSession.open(`http://127.0.0.1:${port}/mcp`);
const [one, two] = await Promise.all([startBackend(), startBackend()]);

const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN;

async function untilTrue(check: () => Promise<boolean>): Promise<number> {
  const startedAt = performance.now();
  while (!(await check())) await delay(1);
  return performance.now() - startedAt;
}

const listed: number[] = [];
for (let trial = 0; trial < trials; trial++) {
  const name = `fresh-${trial}`;
  await registerService(consul, { name, port: one.port });
  listed.push(await untilTrue(async () => (await session.toolNames()).includes(`${name}__echo`)));
  await deregisterService(consul, name);
  await untilTrue(async () => !(await session.toolNames()).includes(`${name}__echo`));
}

await registerService(consul, {
  name: 'pair',
  id: 'p1',
  port: one.port,
  meta: { 'mcp-session': 'stateless' },
});
await registerService(consul, {
  name: 'pair',
  id: 'p2',
  port: two.port,
  meta: { 'mcp-session': 'stateless' },
});
const reached = async (): Promise<number> => {
  const before = one.count('tools/call');
  await Promise.all(Array.from({ length: 8 }, () => session.call('pair__echo')));
  return one.count('tools/call') - before;
};
await untilTrue(async () => (await session.call('pair__echo')).result !== undefined && (await reached()) > 0);
const ejected: number[] = [];
for (let trial = 0; trial < trials; trial++) {
  await setCheck(consul, 'p1', 'fail');
  ejected.push(await untilTrue(async () => (await reached()) === 0 && (await reached()) === 0));
  await setCheck(consul, 'p1', 'pass');
  await untilTrue(async () => (await reached()) > 0);
}

const summary = (values: readonly number[]) => ({
  p50: quantile(values, 0.5),
  p95: quantile(values, 0.95),
  p99: quantile(values, 0.99),
  max: Math.max(...values),
});
const results = { 'registered → listed': summary(listed), 'check critical → not routed': summary(ejected) };
for (const [name, { p50, p95, p99, max }] of Object.entries(results)) {
  console.log(
    `${name.padEnd(30)} p50 ${p50.toFixed(0)} ms   p95 ${p95.toFixed(0)} ms   p99 ${p99.toFixed(0)} ms   max ${max.toFixed(0)} ms   (${trials} trials)`,
  );
}
const out = fileURLToPath(new URL('./out/', import.meta.url));
mkdirSync(out, { recursive: true });
const machine = {
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  consul: consul.version,
};
writeFileSync(
  `${out}control.json`,
  `${JSON.stringify({ machine, trials, results, listed, ejected }, null, 2)}\n`,
);
console.log('written to test/bench/out/control.json');
router.signal('SIGTERM');
await router.ended;
await Promise.all([one.stop(), two.stop(), consul.stop()]);
