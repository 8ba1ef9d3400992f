import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Suite } from './suites.ts';

/** One check, as the suite writes it in `checks.json`. */
export interface Check {
  readonly id: string;
  readonly name: string;
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO';
  readonly errorMessage?: string;
}

export interface Score {
  readonly passed: number;
  readonly failed: number;
  readonly warnings: number;
}

export interface ScenarioResult extends Score {
  /** Without those that only inform. */
  readonly checks: readonly Check[];
}

export type SuiteResult = ReadonlyMap<string, ScenarioResult>;

const unfinished: Check = {
  id: 'unfinished',
  name: 'Unfinished',
  status: 'FAILURE',
  errorMessage: 'the scenario gave no result: it threw, or took too long',
};

/** Reads the folders that one run has left, `server-<scenario>-<time>` each. */
export function readResults(folder: string): SuiteResult {
  const results = new Map<string, ScenarioResult>();
  for (const entry of readdirSync(folder).toSorted()) {
    const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(entry)?.[1];
    if (scenario === undefined) continue;
    const file = join(folder, entry, 'checks.json');
    const all = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Check[]) : [unfinished];
    const checks = all
      .filter((check) => check.status !== 'INFO')
      .map(({ id, name, status, errorMessage }) => ({
        id,
        name,
        status,
        ...(errorMessage !== undefined && { errorMessage }),
      }));
    results.set(scenario, { ...scoreOf(checks), checks });
  }
  return results;
}

function scoreOf(checks: readonly Check[]): Score {
  const count = (status: Check['status']): number => checks.filter((check) => check.status === status).length;
  return { passed: count('SUCCESS'), failed: count('FAILURE'), warnings: count('WARNING') };
}

const nothing: Score = { passed: 0, failed: 0, warnings: 0 };

export function total(suite: Suite, result: SuiteResult): Score {
  let sum = nothing;
  for (const [scenario, { passed, failed, warnings }] of result) {
    if (suite.uncounted.has(scenario)) continue;
    sum = { passed: sum.passed + passed, failed: sum.failed + failed, warnings: sum.warnings + warnings };
  }
  return sum;
}

export const same = (one: Score, other: Score): boolean =>
  one.passed === other.passed && one.failed === other.failed && one.warnings === other.warnings;

export interface Difference {
  readonly scenario: string;
  readonly counts: boolean;
  readonly fixture: Score;
  readonly router: Score;
  /** Failures and warnings of the router. */
  readonly bad: readonly Check[];
  /** Checks that the fixture passed, and that the router gave no occasion for. */
  readonly absent: readonly Check[];
}

/** Scenarios in which the two scores are not the same. */
export function differences(suite: Suite, fixture: SuiteResult, router: SuiteResult): Difference[] {
  const found: Difference[] = [];
  for (const scenario of new Set([...fixture.keys(), ...router.keys()])) {
    const one = fixture.get(scenario) ?? { ...nothing, checks: [] };
    const other = router.get(scenario) ?? { ...nothing, checks: [] };
    if (same(one, other)) continue;
    found.push({
      scenario,
      counts: !suite.uncounted.has(scenario),
      fixture: one,
      router: other,
      bad: other.checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING'),
      absent: one.checks.filter(
        (check) => check.status === 'SUCCESS' && !other.checks.some((routed) => routed.name === check.name),
      ),
    });
  }
  return found;
}
