import { execFile } from 'node:child_process';
import { access, chmod, constants, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const APT_TIMEOUT_MS = 120_000;
const programs = ['redis-server', 'valkey-server'];

/**
 * A real Redis or Valkey: REDIS_BIN, `redis-server` or `valkey-server` on PATH, the user's cache folder, or Debian's
 * package, unpacked there without root.
 * @throws {Error} with what was tried and what to install.
 */
export async function findRedis(progress: (line: string) => void): Promise<string> {
  const given = process.env['REDIS_BIN'];
  if (given) {
    if (await runs(given)) return given;
    throw new Error(`REDIS_BIN is ${given}, which does not run as Redis or Valkey.`);
  }
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  for (const path of programs.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    if (await runs(path)) return path;
  }
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'mcp-consul-router');
  const cached = join(cache, 'redis', 'server');
  if (await runs(cached)) return cached;
  const tried: string[] = [];
  await mkdir(cache, { recursive: true });
  for (const name of programs) {
    const draft = await mkdtemp(join(cache, 'redis-'));
    try {
      await unpackDebian(name, draft, join(cache, 'redis'), progress);
      await rename(draft, join(cache, 'redis')).catch(() => undefined);
      if (await runs(cached)) return cached;
      throw new Error('what was unpacked does not run here');
    } catch (error) {
      tried.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }
  throw new Error(
    'Neither Redis nor Valkey was found, and Debian has no package for this machine. Install one of them, or set ' +
      `REDIS_BIN to its server program.\n  ${tried.join('\n  ')}`,
  );
}

async function runs(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    const { stdout } = await run(path, ['--version'], { timeout: 10_000 });
    return /(?:Redis|Valkey) server v=/.test(stdout);
  } catch {
    return false;
  }
}

/** The package and those libraries of it that this machine lacks; lists and archives are private to `folder`. */
async function unpackDebian(
  name: string,
  folder: string,
  home: string,
  progress: (line: string) => void,
): Promise<void> {
  const [lists, archives, root] = ['lists', 'archives', 'root'].map((part) => join(folder, part));
  if (!lists || !archives || !root) return;
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(archives, 'archives', 'partial'), { recursive: true });
  const options = [
    ['Dir::State::lists', lists],
    ['Dir::Cache', archives],
    ['APT::Sandbox::User', ''],
    ['Debug::NoLocking', '1'],
  ].flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  const limits = { cwd: folder, timeout: APT_TIMEOUT_MS };
  progress(`fetching ${name} from Debian (about 15 MB)`);
  await run('apt-get', [...options, '-qq', 'update'], limits);
  const plan = await run('apt-get', [...options, '-s', '--no-install-recommends', 'install', name], {
    ...limits,
    maxBuffer: 16 << 20,
  });
  const packages = [...plan.stdout.matchAll(/^Inst (\S+)/gm)].map(([, found]) => String(found));
  await run('apt-get', [...options, '-qq', 'download', ...packages], limits);
  const files = (await readdir(folder)).filter((file) => file.endsWith('.deb'));
  for (const file of files) await run('dpkg-deb', ['-x', join(folder, file), root]);
  await Promise.all(
    [...files, 'lists', 'archives'].map((part) => rm(join(folder, part), { recursive: true })),
  );
  const triplet = (await readdir(join(root, 'usr', 'lib'))).find((entry) => entry.includes('-linux-')) ?? '';
  const libraries = join(home, 'root', 'usr', 'lib', triplet);
  const script = `#!/bin/sh\nexec env LD_LIBRARY_PATH='${libraries}' '${join(home, 'root', 'usr', 'bin', name)}' "$@"\n`;
  await writeFile(join(folder, 'server'), script);
  await chmod(join(folder, 'server'), 0o755);
}
