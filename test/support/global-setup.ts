import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { findConsul } from '../../src/cli/demo/consul-binary.ts';
import { buildDashboard } from '../../tools/build-dashboard.ts';
import { findRedis } from './redis-binary.ts';

/** Before all tests: the program and its dashboard are built, as test/e2e starts them, and Consul and Redis are there. */
export default async function setup(): Promise<void> {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  });
  await buildDashboard((line) => console.log(line));
  await findConsul({ environment: process.env, progress: (line) => console.log(line) });
  await findRedis((line) => console.log(line));
}
