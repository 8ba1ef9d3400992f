import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { environment } from '../config/environment.ts';
import { resolveSettings, type Resolved } from '../config/resolve.ts';
import { keyRing } from '../config/values.ts';
import type { Settings } from '../config/settings.ts';
import { RouterError } from '../errors.ts';
import { ownKeyRing, stateDir } from '../state-dir.ts';
import { UsageError } from './errors.ts';
import { settingFlags } from './settings-options.ts';

/**
 * Settings for a command, from its flags, the environment and `--config`.
 * @throws {UsageError} with every problem at once.
 */
export function loadSettings(command: Command): Extract<Resolved, { kind: 'ok' }> {
  const path = command.getOptionValue('config') as string | undefined;
  const resolved = resolveSettings({
    flags: settingFlags(command),
    environment: environment(),
    ...(path !== undefined && { file: { path, text: readText(path, '--config') } }),
  });
  if (resolved.kind === 'ok') return resolved;
  const lines = resolved.problems.map(({ origin, message }) => `  ${origin}: ${message}`);
  throw new UsageError(`These settings are wrong:\n${lines.join('\n')}`);
}

/**
 * The key ring that seals session ids: given, from a file, or the router's own in its state folder.
 * @throws {UsageError | RouterError}
 */
export function loadKeyRing(settings: Settings): readonly Uint8Array[] {
  if (settings.secret) return settings.secret;
  const text =
    settings.secretFile === undefined
      ? ownKeyRing(stateDir(settings.stateDir, environment()['XDG_STATE_HOME']))
      : readText(settings.secretFile, 'MCP_ROUTER_SECRET_FILE').trim();
  const parsed = keyRing().safeParse(text.replaceAll(/\s+/g, ','));
  if (parsed.success) return parsed.data;
  throw new RouterError(
    'WRONG_SETTINGS',
    `The key ring in ${settings.secretFile ?? 'the state folder'} is wrong: ${parsed.error.issues[0]?.message ?? ''}`,
  );
}

function readText(path: string, setting: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(
      `Cannot read ${path} (${setting}): ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
