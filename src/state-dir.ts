import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { RouterError } from './errors.ts';

/** The user's folder for state (XDG base directory specification, 0.8), unless a setting says otherwise. */
export function stateDir(setting: string | undefined, xdgStateHome: string | undefined): string {
  return setting ?? join(xdgStateHome || join(homedir(), '.local', 'state'), 'mcp-consul-router');
}

/**
 * The router's own key ring: made on first use, then kept, so that sessions survive a restart.
 * @throws {RouterError} WRONG_SETTINGS where the folder can't be used or the file holds no key.
 */
export function ownKeyRing(folder: string): string {
  const file = join(folder, 'secret');
  const draft = join(folder, `secret.${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    // Fails where the file is there: of two processes that start together one makes the key, and both read it.
    linkSync(draft, file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
      throw new RouterError(
        'WRONG_SETTINGS',
        `Cannot keep a key ring in ${folder}. Set MCP_ROUTER_STATE_DIR to a folder that can be written, or MCP_ROUTER_SECRET to a key.`,
        {},
        error,
      );
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return readFileSync(file, 'utf8').trim();
}
