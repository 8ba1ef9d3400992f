import { Command } from 'commander';
import { z } from 'zod';
import { describeSettings } from '../config/resolve.ts';
import { settings, type Setting } from '../config/settings.ts';
import { loadSettings } from './load-settings.ts';
import { addSettingOptions } from './settings-options.ts';
import { table } from './table.ts';

export function configCommand(): Command {
  const command = new Command('config')
    .description('Show the effective settings with their origin; secrets are masked.')
    .option('--json', 'as JSON');
  addSettingOptions(command).action(() => {
    const shown = describeSettings(loadSettings(command));
    if (command.getOptionValue('json')) {
      console.log(JSON.stringify(shown, null, 2));
      return;
    }
    const rows = shown.map(({ name, value, origin, env }) => [name, show(value), origin, env]);
    console.log(table(['setting', 'value', 'origin', 'variable'], rows));
  });
  command.addCommand(
    new Command('schema').description('Print the JSON Schema of a settings file.').action(() => {
      console.log(JSON.stringify(settingsSchema(), null, 2));
    }),
  );
  return command;
}

/** For editors and checks in CI. */
export function settingsSchema(): Record<string, unknown> {
  const properties = Object.fromEntries(
    Object.entries(settings as Record<string, Setting>).map(([name, setting]) => {
      const { $schema: _, ...schema } = z.toJSONSchema(setting.schema, {
        io: 'input',
        unrepresentable: 'any',
      });
      const doc = `${setting.doc} Environment: ${setting.env}.`;
      return [
        name,
        { ...schema, description: doc, ...(setting.default !== undefined && { default: setting.default }) },
      ];
    }),
  );
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'mcp-consul-router settings',
    type: 'object',
    properties,
    additionalProperties: false,
  };
}

function show(value: unknown): string {
  if (value === null) return '—';
  if (typeof value === 'object' && 'host' in value && 'port' in value)
    return `${String(value.host)}:${String(value.port)}`;
  if (Array.isArray(value)) return value.join(', ') || '—';
  return String(value);
}
