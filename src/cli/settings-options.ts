import { Option, type Command } from 'commander';
import { settings, type Setting, type SettingName } from '../config/settings.ts';

/** Which settings a command takes as flags; its other options may bear the same names. */
const taken = new WeakMap<Command, SettingName[]>();

/** One flag for each setting that has one, made from the table of settings; help is grouped as the table is. */
export function addSettingOptions(command: Command, wanted?: (name: SettingName) => boolean): Command {
  const names: SettingName[] = [];
  taken.set(command, names);
  command.option('--config <file>', 'settings in YAML or JSON; flags and environment go before it');
  for (const [name, setting] of Object.entries(settings) as [SettingName, Setting][]) {
    if (setting.flag === undefined || (wanted && !wanted(name))) continue;
    names.push(name);
    const isSwitch = setting.default === 'true' || setting.default === 'false';
    const value = isSwitch ? '' : ` <${valueName(name)}>`;
    // A switch that is on by default is shown as the flag that turns it off.
    const flag = setting.default === 'true' ? `--no-${setting.flag}` : `--${setting.flag}${value}`;
    const preset = setting.default ? ` (default: ${setting.default})` : '';
    command.addOption(
      new Option(flag, `${setting.doc}${preset} [${setting.env}]`).helpGroup(title(setting.group)),
    );
  }
  return command;
}

/** What the command line said, by setting name; nothing for what it did not say. */
export function settingFlags(command: Command): Record<string, unknown> {
  const flags: Record<string, unknown> = {};
  for (const name of taken.get(command) ?? []) {
    const setting: Setting = settings[name];
    if (setting.flag === undefined) continue;
    const attribute = setting.flag.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (command.getOptionValueSource(attribute) === 'cli') flags[name] = command.getOptionValue(attribute);
  }
  return flags;
}

function valueName(name: SettingName): string {
  if (name.endsWith('isten')) return 'host:port';
  if (name.endsWith('File') || name.endsWith('Cert') || name.endsWith('Key')) return 'file';
  return 'value';
}

function title(group: Setting['group']): string {
  return `${group[0]?.toUpperCase() ?? ''}${group.slice(1)}:`;
}
