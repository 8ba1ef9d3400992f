import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('../', import.meta.url));
const sources = join(root, 'src/admin/ui');
const outDir = join(root, 'dist/admin/ui');
const stamp = join(outDir, '.built-from');

/**
 * Builds the dashboard into dist/admin/ui, unless that was done from the same sources before.
 * @param say one line for people, where there is something to do
 */
export async function buildDashboard(say: (line: string) => void): Promise<void> {
  const from = digestOfSources();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === from) return;
  say('building the dashboard (once, some seconds)');
  await build({
    root: sources,
    configFile: false,
    logLevel: 'warn',
    base: './',
    publicDir: false,
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2023',
      // Everything is a file of its own: the page's policy allows nothing inline.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
  });
  writeFileSync(stamp, from);
}

function digestOfSources(): string {
  const digest = createHash('sha256');
  for (const file of ['package-lock.json', 'tools/build-dashboard.ts'])
    digest.update(readFileSync(join(root, file)));
  const files = readdirSync(sources, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  for (const path of files.map((file) => join(file.parentPath, file.name)).sort()) {
    digest.update(path.slice(root.length)).update(readFileSync(path));
  }
  return digest.digest('hex');
}

if (import.meta.main) await buildDashboard((line) => process.stderr.write(`${line}\n`));
