import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { isSeq, parseDocument, stringify } from 'yaml';
import { describeMisfit } from '../policy/document.ts';
import { newApiKey, readApiKeys } from '../policy/inbound/api-keys.ts';
import { CommandFailed } from './errors.ts';

export function keysCommand(): Command {
  return new Command('keys').description('API keys for callers.').addCommand(newCommand());
}

interface NewOptions {
  readonly group: readonly string[];
  readonly scope: readonly string[];
  readonly expires?: string;
  readonly file?: string;
  readonly json?: true;
}

function newCommand(): Command {
  const several = (value: string, before: readonly string[]): string[] => [...before, value];
  const none: string[] = [];
  return new Command('new')
    .description('Make an API key. It is shown once; the router keeps only its hash.')
    .argument('<name>', 'whose it is: rules, limits and the audit log call the caller so')
    .option('--group <group>', 'a group of the caller; may be repeated', several, none)
    .option('--scope <scope>', 'a scope of the caller; may be repeated', several, none)
    .option('--expires <date>', 'no longer taken from then on')
    .option('--file <file>', 'add the entry to this file of keys (MCP_ROUTER_KEYS_FILE)')
    .option('--json', 'as JSON')
    .action((name: string, options: NewOptions) => {
      const { key, sha256 } = newApiKey();
      const { group: groups, scope: scopes, expires } = options;
      const entry = {
        name,
        sha256,
        ...(groups.length > 0 && { groups }),
        ...(scopes.length > 0 && { scopes }),
        ...(expires !== undefined && { expires }),
      };
      const text = withEntry(options.file, entry);
      if (options.file !== undefined) write(options.file, text);
      if (options.json) {
        console.log(JSON.stringify({ key, entry }, null, 2));
        return;
      }
      console.log(key);
      console.error(
        options.file === undefined
          ? `\nPut this into the file of keys, or into mcp-router/keys in Consul:\n\n${text}`
          : `Added to ${options.file}. The key above is not shown again.`,
      );
    });
}

/** The file with one more key, its comments kept. @throws {CommandFailed} where it is, or would be, wrong. */
function withEntry(file: string | undefined, entry: { readonly name: string }): string {
  const before = file !== undefined && existsSync(file) ? readFileSync(file, 'utf8') : '';
  const place = file ?? entry.name;
  const document = parseDocument(before);
  const keys = document.get('keys');
  if (isSeq(keys)) keys.add(document.createNode(entry));
  const text = isSeq(keys) ? document.toString() : before + stringify({ keys: [entry] });
  const read = readApiKeys({ text, place });
  if (read.kind === 'ok') return text;
  throw new CommandFailed(`No key was made:\n  ${read.misfits.map(describeMisfit).join('\n  ')}`);
}

/** Whole or not at all: a router that reads it meanwhile must not see half. */
function write(file: string, text: string): void {
  const draft = `${file}.${process.pid}.draft`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, file);
}
