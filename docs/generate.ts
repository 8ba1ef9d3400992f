import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { settings, type Setting } from '../src/config/settings.ts';
import { errorTable } from '../src/errors.ts';
import { doubtSentences, reasonTable } from '../src/explain/reasons.ts';
import { metricTable } from '../src/observability/metrics.ts';

/**
 * The reference pages, made from the code: `npm run docs` writes them, `npm run docs -- --check` fails where one
 * differs from the code.
 */
const folder = fileURLToPath(new URL('./reference/', import.meta.url));
const note = '<!-- Made by `npm run docs` from the code. Change it there. -->\n\n';
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function settingsPage(): string {
  const titles: Record<Setting['group'], string> = {
    consul: 'Consul',
    listen: 'Where it listens',
    access: 'Who may call, and what',
    catalog: 'Catalog and probes',
    tools: 'What models read',
    calls: 'Calls and sessions',
    limits: 'Limits',
    operation: 'Operation',
  };
  const sections = Object.entries(titles).map(([group, title]) => {
    const rows = Object.entries(settings as Record<string, Setting>)
      .filter(([, setting]) => setting.group === group)
      .map(([name, setting]) => {
        const flag =
          setting.flag === undefined
            ? '—'
            : `\`--${setting.default === 'true' ? 'no-' : ''}${setting.flag}\``;
        const preset =
          setting.default === undefined || setting.default === '' ? '—' : `\`${setting.default}\``;
        return `| \`${setting.env}\` | ${flag} | \`${name}\` | ${preset} | ${cell(setting.doc)}${setting.live ? ' Can change while running.' : ''} |`;
      });
    return `## ${title}\n\n| variable | flag | in a file | default | |\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  return (
    `# Settings\n\n${note}flag > environment > file (\`--config\`, YAML or JSON) > Consul KV (\`mcp-router/config\`, live settings only) > default. ` +
    'All wrong values are reported at once, each with where it came from. `mcp-consul-router config` shows the effective ' +
    'settings with their origin, `config schema` prints the JSON Schema of the file.\n\n' +
    'Durations: `250ms`, `10s`, `5m`, `1h`, or milliseconds. Sizes: `512k`, `4M`, or bytes. Lists: separated by commas.\n\n' +
    sections.join('\n')
  );
}

function errorsPage(): string {
  const rows = Object.entries(errorTable).map(
    ([code, { rpc, http, doc }]) => `| \`${code}\` | ${rpc} | ${http} | ${cell(doc)} |`,
  );
  return (
    `# Errors\n\n${note}Errors that the router itself makes carry a stable string code in \`error.data.code\`, a sentence for people in ` +
    "`error.message`, and where it helps `service` and `retryAfterMs`. A backend's own error passes through unchanged.\n\n" +
    `| code | JSON-RPC | HTTP | when |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`
  );
}

function metricsPage(): string {
  const rows = metricTable.map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ') || '—'} | ${cell(help)} |`,
  );
  return `# Metrics\n\n${note}\`/metrics\` on the admin plane, in Prometheus' format. Node's own series (\`process_…\`, \`nodejs_…\`) stand beside these.\n\n| name | type | labels | |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

function reasonsPage(): string {
  const effects = { gone: 'not there', partly: 'for some', note: 'a note' } as const;
  const rows = Object.entries(reasonTable).map(
    ([code, reason]) =>
      `| \`${code}\` | ${effects[reason.effect]} | ${cell(reason.doc)} | ${cell('mend' in reason ? reason.mend : '')} |`,
  );
  const doubts = Object.entries(doubtSentences).map(
    ([doubt, { sentence, mend }]) => `| \`${doubt}\` | ${cell(sentence)} | ${cell(mend)} |`,
  );
  return (
    `# Why something is not there\n\n${note}What \`mcp-consul-router explain NAME\` and \`/api/v1/explain?name=\` say, by code. ` +
    'The sentence that you get names the thing, and carries the words of the server or the check.\n\n' +
    `| code | takes away | when | what to do |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n\n` +
    `\`STALE\` says why Consul is not believed:\n\n| reason | | what to do |\n| --- | --- | --- |\n${doubts.join('\n')}\n`
  );
}

const check = process.argv.includes('--check');
const options = (await resolveConfig(fileURLToPath(import.meta.url))) ?? {};
mkdirSync(folder, { recursive: true });
for (const [file, page] of Object.entries({
  'settings.md': settingsPage(),
  'errors.md': errorsPage(),
  'metrics.md': metricsPage(),
  'reasons.md': reasonsPage(),
})) {
  const text = await format(page, { ...options, parser: 'markdown' });
  if (!check) writeFileSync(folder + file, text);
  else if (readFileSync(folder + file, 'utf8') !== text) {
    console.error(`docs/reference/${file} differs from the code. Run: npm run docs`);
    process.exitCode = 1;
  }
}
