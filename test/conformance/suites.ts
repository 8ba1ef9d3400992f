import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

/** One run of the official suite (npm `@modelcontextprotocol/conformance`). */
export interface Suite {
  readonly name: string;
  /** Folder in node_modules. */
  readonly package: 'conformance-stable' | 'conformance-next';
  readonly args: readonly string[];
  /** How many checks the fixture passes, none failing, in the scenarios that count. */
  readonly required: number;
  /** Scenarios that are run and printed, and don't count: extensions, which a server need not have. */
  readonly uncounted: ReadonlySet<string>;
}

const modules = fileURLToPath(new URL('../../node_modules/', import.meta.url));

export const programOf = (suite: Suite): string => `${modules}${suite.package}/dist/index.js`;

export function versionOf(name: Suite['package'] | `@modelcontextprotocol/${string}`): string {
  const { version } = JSON.parse(readFileSync(`${modules}${name}/package.json`, 'utf8')) as {
    version: string;
  };
  return version;
}

/** Scenarios of a frozen list of requirements that belong to extensions. */
function extensionsIn(revision: string): ReadonlySet<string> {
  const file = readFileSync(`${modules}conformance-next/requirements/${revision}.yaml`, 'utf8');
  const { not_scored: entries } = parse(file) as { not_scored: { scenario: string; reason: string }[] };
  return new Set(entries.filter((entry) => entry.reason === 'extension').map((entry) => entry.scenario));
}

const none: ReadonlySet<string> = new Set();
/** Ends a scenario that hangs; the slowest one takes a second. */
const timeout = ['--timeout', '15000'];

export const suites: readonly Suite[] = [
  {
    name: 'stable',
    package: 'conformance-stable',
    args: ['--suite', 'all'],
    required: 44,
    uncounted: none,
  },
  {
    name: '2025-03-26',
    package: 'conformance-next',
    args: ['--suite', 'all', '--spec-version', '2025-03-26', ...timeout],
    required: 3,
    uncounted: none,
  },
  {
    name: '2025-06-18',
    package: 'conformance-next',
    args: ['--suite', 'all', '--spec-version', '2025-06-18', ...timeout],
    required: 56,
    uncounted: none,
  },
  {
    name: '2025-11-25',
    package: 'conformance-next',
    args: ['--requirements', '2025-11-25', ...timeout],
    required: 84,
    uncounted: extensionsIn('2025-11-25'),
  },
  {
    name: '2026-07-28',
    package: 'conformance-next',
    args: ['--requirements', '2026-07-28', ...timeout],
    required: 152,
    uncounted: extensionsIn('2026-07-28'),
  },
];
