import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import { settings, type Setting, type SettingName, type Settings } from './settings.ts';

export type Origin = 'flag' | 'environment' | 'file' | 'consul-kv' | 'default' | 'not set';

export interface Sources {
  /** By setting name, as the command line gave them. */
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** The text of `--config`; YAML, of which JSON is a part. */
  readonly file?: { readonly path: string; readonly text: string };
  /** The value of `mcp-router/config` in Consul KV; only live settings count. */
  readonly kv?: { readonly path: string; readonly text: string };
}

export interface SettingProblem {
  readonly setting: string;
  /** `MCP_ROUTER_LISTEN (environment)`, `--listen (flag)`, `listen in router.yaml`. */
  readonly origin: string;
  readonly message: string;
}

export type Resolved =
  | {
      readonly kind: 'ok';
      readonly settings: Settings;
      readonly origins: Readonly<Record<SettingName, Origin>>;
    }
  | { readonly kind: 'wrong'; readonly problems: readonly SettingProblem[] };

interface Found {
  readonly value: unknown;
  readonly origin: Origin;
  readonly where: string;
}

const names = Object.keys(settings) as SettingName[];

/**
 * Settings from all sources: flag > environment > file > KV > default. All problems are reported at once, each
 * with where the value came from. An empty environment variable counts as not set (Consul's tools do the same).
 */
export function resolveSettings(sources: Sources): Resolved {
  const problems: SettingProblem[] = [];
  const file = document(sources.file, problems);
  const kv = document(sources.kv, problems);
  unknownKeys(file, sources.file?.path, problems);
  unknownKeys(kv, sources.kv?.path, problems);
  for (const name of Object.keys(kv)) {
    const known: Setting | undefined = settings[name as SettingName];
    if (known && !known.live) {
      problems.push({
        setting: name,
        origin: `${name} in ${sources.kv?.path ?? ''}`,
        message: 'cannot be changed while running; set it by flag, environment or file and restart',
      });
    }
  }

  const values: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const name of names) {
    const setting: Setting = settings[name];
    const found = find(name, setting, sources, file, kv);
    origins[name] = found?.origin ?? 'not set';
    if (!found) continue;
    const parsed = setting.schema.safeParse(found.value);
    if (parsed.success) values[name] = parsed.data;
    else
      problems.push({ setting: name, origin: found.where, message: sentence(parsed.error, setting, found) });
  }
  if (problems.length > 0) return { kind: 'wrong', problems };
  return {
    kind: 'ok',
    settings: Object.freeze(values) as Settings,
    origins: origins as Record<SettingName, Origin>,
  };
}

function find(
  name: SettingName,
  setting: Setting,
  sources: Sources,
  file: Readonly<Record<string, unknown>>,
  kv: Readonly<Record<string, unknown>>,
): Found | undefined {
  const flag = sources.flags?.[name];
  if (flag !== undefined) return { value: flag, origin: 'flag', where: `--${setting.flag ?? name} (flag)` };
  const variable = sources.environment?.[setting.env];
  if (variable !== undefined && variable !== '') {
    return { value: variable, origin: 'environment', where: `${setting.env} (environment)` };
  }
  if (file[name] !== undefined) {
    return { value: file[name], origin: 'file', where: `${name} in ${sources.file?.path ?? ''}` };
  }
  if (setting.live && kv[name] !== undefined) {
    return { value: kv[name], origin: 'consul-kv', where: `${name} in ${sources.kv?.path ?? ''}` };
  }
  if (setting.default !== undefined) return { value: setting.default, origin: 'default', where: 'default' };
  return undefined;
}

function sentence(error: z.ZodError, setting: Setting, found: Found): string {
  const wanted = error.issues.map((issue) => issue.message).join('; ');
  return setting.secret ? wanted : `${wanted} (is ${JSON.stringify(found.value)})`;
}

function document(source: Sources['file'], problems: SettingProblem[]): Readonly<Record<string, unknown>> {
  if (!source) return {};
  let parsed: unknown;
  try {
    parsed = parseYaml(source.text);
  } catch (error) {
    const message = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    problems.push({ setting: '', origin: source.path, message: `is not YAML or JSON: ${message}` });
    return {};
  }
  if (parsed === null || parsed === undefined) return {};
  if (typeof parsed === 'object' && !Array.isArray(parsed)) return parsed as Record<string, unknown>;
  problems.push({ setting: '', origin: source.path, message: 'must hold settings as `name: value`' });
  return {};
}

function unknownKeys(
  found: Readonly<Record<string, unknown>>,
  path: string | undefined,
  problems: SettingProblem[],
): void {
  for (const key of Object.keys(found)) {
    if (Object.hasOwn(settings, key)) continue;
    const near = names.find((name) => name.toLowerCase() === key.replaceAll(/[-_]/g, '').toLowerCase());
    const hint = near ? `did you mean ${near}?` : 'run `mcp-consul-router config schema` for the list';
    problems.push({ setting: key, origin: `${key} in ${path ?? ''}`, message: `is not a setting; ${hint}` });
  }
}

/** For people and the admin API: every setting with its origin, secrets masked. */
export function describeSettings(
  resolved: Extract<Resolved, { kind: 'ok' }>,
): { name: SettingName; value: unknown; origin: Origin; env: string }[] {
  return names.map((name) => {
    const setting: Setting = settings[name];
    const value = resolved.settings[name];
    return {
      name,
      value: value === undefined ? null : setting.secret ? (setting.shown?.(value) ?? '***') : value,
      origin: resolved.origins[name],
      env: setting.env,
    };
  });
}
