import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { registerService, startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { startProgram } from '../support/program.ts';
import { freePort } from '../support/servers.ts';
import { startFixture, type Fixture } from './fixture/start.ts';
import { differenceText, row, scoreText } from './report.ts';
import { differences, readResults, total, type SuiteResult } from './results.ts';
import { programOf, suites, versionOf, type Suite } from './suites.ts';

/**
 * The official conformance suite against the fixture alone and through the built router, side by side
 * (docs/conformance.md). Fails where the fixture misses its totals, and where the router's score is another.
 *
 *   npm run test:conformance        (-- --suite 2025-11-25 --direct-only --verbose)
 */
const { values: options } = parseArgs({
  options: {
    suite: { type: 'string', multiple: true },
    'direct-only': { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
const out = fileURLToPath(new URL('./out/', import.meta.url));
const known = suites.map((suite) => suite.name);
const unknown = options.suite?.filter((name) => !known.includes(name)) ?? [];
if (unknown.length > 0) {
  console.error(`no suite ${unknown.join(', ')}; there are: ${known.join(', ')}`);
  process.exit(2);
}

interface Routed {
  readonly url: string;
  stop(): Promise<void>;
}

/** A real Consul, the fixture registered in it, and the built router. */
async function startRouter(fixture: Fixture): Promise<Routed> {
  const consul = await startConsul();
  await registerService(consul, { name: 'fixture', port: fixture.port });
  const [port, adminPort] = [await freePort(), await freePort()];
  const program = startProgram(['serve', '--no-register'], {
    CONSUL_HTTP_ADDR: consul.httpAddr,
    MCP_ROUTER_LISTEN: `127.0.0.1:${port}`,
    MCP_ROUTER_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    MCP_ROUTER_STATE_DIR: mkdtempSync(join(tmpdir(), 'conformance-')),
  });
  const stop = async (): Promise<void> => {
    program.signal('SIGTERM');
    await program.ended;
    writeFileSync(`${out}router.log`, program.output());
    await consul.stop();
  };
  try {
    await eventually(async () => {
      const answer = await fetch(`http://127.0.0.1:${adminPort}/api/v1/services/fixture`);
      const { instances } = (await answer.json()) as { instances?: { receivesCalls: boolean }[] };
      return instances?.some((instance) => instance.receivesCalls);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}/services/fixture/mcp`, stop };
}

/** Runs one suite against `url`; what it prints is kept in `out`. */
async function run(suite: Suite, target: 'fixture' | 'router', url: string): Promise<SuiteResult> {
  const folder = `${out}${suite.name}/${target}`;
  mkdirSync(folder, { recursive: true });
  const args = [programOf(suite), 'server', '--url', url, ...suite.args, '--output-dir', folder];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(`${folder}/output.log`);
  for (const stream of [child.stdout, child.stderr]) {
    stream.pipe(log, { end: false });
    if (options.verbose) stream.pipe(process.stdout, { end: false });
  }
  const limit = setTimeout(() => child.kill('SIGKILL'), 600_000);
  await once(child, 'close');
  clearTimeout(limit);
  log.end();
  const result = readResults(folder);
  if (result.size === 0) throw new Error(`${suite.name} gave no results; see ${folder}/output.log`);
  return result;
}

const complaints: string[] = [];

function judgeFixture(suite: Suite, result: SuiteResult): void {
  const { passed, failed } = total(suite, result);
  if (passed !== suite.required || failed > 0) {
    complaints.push(
      `${suite.name}: the fixture has ${passed} passed, ${failed} failed, not ${suite.required}, 0`,
    );
  }
  for (const [scenario, { checks }] of result) {
    if (suite.uncounted.has(scenario)) continue;
    for (const check of checks.filter(({ status }) => status === 'FAILURE')) {
      complaints.push(`${suite.name}: fixture, ${scenario}: ${check.id}: ${check.errorMessage ?? ''}`);
    }
  }
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const fixture = await startFixture();
const router = options['direct-only'] ? undefined : await startRouter(fixture);
const report: unknown[] = [];
try {
  console.log(row('suite', 'fixture', router ? 'router' : ''));
  for (const suite of suites.filter(({ name }) => options.suite?.includes(name) ?? true)) {
    const alone = await run(suite, 'fixture', fixture.url);
    judgeFixture(suite, alone);
    const routed = router && (await run(suite, 'router', router.url));
    const title = `${suite.name} (${versionOf(suite.package)})`;
    const scores = [alone, routed].map((result) => (result ? scoreText(total(suite, result)) : ''));
    console.log(row(title, ...scores));
    const differing = routed ? differences(suite, alone, routed) : [];
    for (const difference of differing) console.log(differenceText(difference));
    const counted = differing.filter(({ counts }) => counts);
    if (counted.length > 0) {
      complaints.push(`${suite.name}: ${counted.length} scenario(s) score otherwise through the router`);
    }
    report.push({
      suite: suite.name,
      version: versionOf(suite.package),
      args: suite.args,
      required: suite.required,
      total: { fixture: total(suite, alone), ...(routed && { router: total(suite, routed) }) },
      differences: differing,
      scenarios: {
        fixture: Object.fromEntries(alone),
        ...(routed && { router: Object.fromEntries(routed) }),
      },
    });
  }
} finally {
  await router?.stop();
  await fixture.stop();
}
writeFileSync(`${out}results.json`, `${JSON.stringify(report, null, 2)}\n`);
console.log('written to test/conformance/out/results.json');
for (const complaint of complaints) console.error(complaint);
process.exitCode = complaints.length > 0 ? 1 : 0;
