import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';

export type FoundBrowser =
  | { readonly kind: 'found'; readonly path: string }
  /** A sentence that says how to get one. */
  | { readonly kind: 'missing'; readonly why: string };

const names = ['chromium', 'chromium-browser', 'google-chrome'];

/**
 * A Chromium: from CHROMIUM_BIN or PATH, else Debian's package, which root may install.
 * @param say one line for people, where there is something to do
 */
export function findBrowser(say: (line: string) => void): FoundBrowser {
  const there = lookUp();
  if (there !== undefined) return { kind: 'found', path: there };
  const how = 'Install Debian’s package chromium, or name a Chromium in CHROMIUM_BIN.';
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).status !== 0) {
    return { kind: 'missing', why: `No Chromium was found. ${how}` };
  }
  say('installing Chromium from Debian (once)');
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    execFileSync('apt-get', ['update', '-qq'], { env: environment, stdio: 'ignore' });
    execFileSync(
      'apt-get',
      ['install', '-y', '-qq', '--no-install-recommends', 'chromium', 'fonts-dejavu-core'],
      {
        env: environment,
        stdio: 'ignore',
      },
    );
  } catch (error) {
    return { kind: 'missing', why: `Chromium could not be installed (${String(error)}). ${how}` };
  }
  const path = lookUp();
  return path === undefined
    ? { kind: 'missing', why: `The package was installed and has no Chromium in PATH. ${how}` }
    : { kind: 'found', path };
}

function lookUp(): string | undefined {
  const named = process.env['CHROMIUM_BIN'];
  if (named !== undefined) return named;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(executable);
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export function startBrowser(path: string): Promise<Browser> {
  // Root has no sandbox; what is opened is our own page.
  return chromium.launch({ executablePath: path, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}
