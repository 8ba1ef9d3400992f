import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
  access,
  chmod,
  constants,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { describeError } from '../../errors.ts';

const run = promisify(execFile);

export interface ConsulBinary {
  readonly path: string;
  /** As `consul version` says: `1.8.7`. */
  readonly version: string;
  readonly origin: 'CONSUL_BIN' | 'PATH' | 'cache' | 'official release' | 'Debian package';
}

export interface FindConsulOptions {
  /** CONSUL_BIN, PATH, XDG_CACHE_HOME are read. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** One line for people about what takes long. */
  readonly progress: (line: string) => void;
}

/** The release that is downloaded where none is installed. */
const RELEASE = '1.22.3';
const RELEASES = 'https://releases.hashicorp.com/consul';
const CONNECT_TIMEOUT_MS = 5000;
const DOWNLOAD_TIMEOUT_MS = 300_000;
const APT_TIMEOUT_MS = 120_000;

/**
 * Finds a Consul binary or fetches one into the user's cache folder: CONSUL_BIN, `consul` on PATH, the cache,
 * the official release with its checksum, Debian's own package.
 * @throws {Error} with what was tried and what to install.
 */
export async function findConsul({ environment, progress }: FindConsulOptions): Promise<ConsulBinary> {
  const given = environment['CONSUL_BIN'];
  if (given) {
    const version = await versionOf(given);
    if (version === undefined) throw new Error(`CONSUL_BIN is ${given}, which does not run as Consul.`);
    return { path: given, version, origin: 'CONSUL_BIN' };
  }
  for (const folder of (environment['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'consul');
    const version = folder === '' ? undefined : await versionOf(path);
    if (version !== undefined) return { path, version, origin: 'PATH' };
  }
  const cache = join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'mcp-consul-router');
  const cached = join(cache, 'consul');
  const cachedVersion = await versionOf(cached);
  if (cachedVersion !== undefined) return { path: cached, version: cachedVersion, origin: 'cache' };
  let fetching = underWay.get(cached);
  if (!fetching) {
    fetching = fetchConsul(cached, progress).finally(() => underWay.delete(cached));
    underWay.set(cached, fetching);
  }
  return fetching;
}

/** By where the binary goes. Other processes may fetch at the same time: each renames a whole file into place. */
const underWay = new Map<string, Promise<ConsulBinary>>();

async function fetchConsul(cached: string, progress: (line: string) => void): Promise<ConsulBinary> {
  await mkdir(dirname(cached), { recursive: true });
  const tried: string[] = [];
  for (const [origin, fetchInto] of [
    ['official release', downloadRelease],
    ['Debian package', unpackDebian],
  ] as const) {
    const folder = await mkdtemp(join(tmpdir(), 'mcp-consul-router-'));
    try {
      const binary = await fetchInto(folder, progress);
      await chmod(binary, 0o755);
      const version = await versionOf(binary);
      if (version === undefined) throw new Error('what was fetched does not run here');
      const draft = `${cached}.${randomUUID()}`;
      await cp(binary, draft);
      await rename(draft, cached);
      progress(`Consul ${version} is ready (${origin}, kept in ${cached})`);
      return { path: cached, version, origin };
    } catch (error) {
      tried.push(`${origin}: ${describeError(error)}`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  throw new Error(
    'Consul was not found and could not be fetched. Install it (https://developer.hashicorp.com/consul/install) ' +
      `or set CONSUL_BIN to its path.\n  ${tried.join('\n  ')}`,
  );
}

/** Undefined where there is no such program, or it is no Consul. */
async function versionOf(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
    const { stdout } = await run(path, ['version'], { timeout: 10_000 });
    return /Consul v?(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

async function downloadRelease(folder: string, progress: (line: string) => void): Promise<string> {
  const system = { linux: 'linux', darwin: 'darwin', win32: 'windows', freebsd: 'freebsd' }[
    process.platform as string
  ];
  const processor = { x64: 'amd64', arm64: 'arm64', arm: 'arm', ia32: '386' }[process.arch as string];
  if (system === undefined || processor === undefined) {
    throw new Error(`there is no release for ${process.platform} ${process.arch}`);
  }
  const file = `consul_${RELEASE}_${system}_${processor}.zip`;
  const sums = (
    await download(`${RELEASES}/${RELEASE}/consul_${RELEASE}_SHA256SUMS`, CONNECT_TIMEOUT_MS)
  ).toString();
  const expected = sums
    .split('\n')
    .find((line) => line.endsWith(`  ${file}`))
    ?.slice(0, 64);
  if (expected === undefined) throw new Error(`the checksum list has no ${file}`);
  progress(`downloading Consul ${RELEASE} (about 60 MB)`);
  const archive = await download(`${RELEASES}/${RELEASE}/${file}`, DOWNLOAD_TIMEOUT_MS);
  const actual = createHash('sha256').update(archive).digest('hex');
  if (actual !== expected) throw new Error(`${file} has SHA-256 ${actual} and should have ${expected}`);
  const name = system === 'windows' ? 'consul.exe' : 'consul';
  const unpacked = unzipSync(archive, { filter: (entry) => entry.name === name })[name];
  if (!unpacked) throw new Error(`${file} holds no ${name}`);
  const path = join(folder, name);
  await writeFile(path, unpacked);
  return path;
}

async function download(url: string, timeoutMs: number): Promise<Buffer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  if (!response.ok) throw new Error(`${url} answered HTTP ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

/**
 * Debian bullseye has Consul 1.8.7 in main, and it runs on later releases. Everything is private to `folder`:
 * sources, lists and cache; nothing is installed and no root is needed.
 */
async function unpackDebian(folder: string, progress: (line: string) => void): Promise<string> {
  const { stdout: targets } = await run('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI) $(RELEASE) $(COMPONENT)',
    'Created-By: Packages',
  ]);
  const mirror = targets
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, release, component]) => component === 'main' && /^[a-z]+$/.test(release ?? ''))?.[0];
  if (mirror === undefined) throw new Error('apt names no Debian mirror');
  progress('fetching Consul 1.8.7 from Debian bullseye (about 20 MB)');
  const sources = join(folder, 'sources.list');
  await writeFile(
    sources,
    `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror} bullseye main\n`,
  );
  const lists = join(folder, 'lists');
  const cache = join(folder, 'cache');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(cache, 'archives', 'partial'), { recursive: true });
  const options = [
    ['Dir::Etc::sourcelist', sources],
    ['Dir::Etc::sourceparts', '/dev/null'],
    ['Dir::State::lists', lists],
    ['Dir::Cache', cache],
    // apt drops its rights for downloads; the private folder is ours alone.
    ['APT::Sandbox::User', ''],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const limits = { cwd: folder, timeout: APT_TIMEOUT_MS };
  await run('apt-get', [...options, '-qq', 'update'], limits);
  await run('apt-get', [...options, '-qq', 'download', 'consul'], limits);
  const archive = (await readdir(folder)).find((name) => name.endsWith('.deb'));
  if (archive === undefined) throw new Error('apt-get download left no package');
  await run('dpkg-deb', ['-x', join(folder, archive), join(folder, 'root')]);
  return join(folder, 'root', 'usr', 'bin', 'consul');
}
