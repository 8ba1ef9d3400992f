import { Command } from 'commander';
import type { Explained, Explanation } from '../explain/explain.ts';
import type { Finding } from '../explain/reasons.ts';
import type { ExplainedSession } from '../explain/session.ts';
import type { Going } from '../explain/where.ts';
import { addAdminOptions, askAdmin } from './admin-client.ts';
import { CommandFailed, UsageError } from './errors.ts';
import { table } from './table.ts';

export function explainCommand(): Command {
  const command = new Command('explain')
    .description(
      'Why a tool, prompt, resource, service, instance or client session is or is not there, and where a call would go.',
    )
    .argument('[name]', 'by any of its names: files__read_file, files.read_file, read_file, files, files-1')
    .option(
      '--session',
      'a client session: its id (Mcp-Session-Id) is read from stdin, since it is a credential',
    )
    .addHelpText(
      'after',
      '\nStatus 0: everything that bears the name can be used. Status 1: something can not, or nothing bears it.',
    );
  return addAdminOptions(command).action(async (name: string | undefined, options: { session?: true }) => {
    if ((name === undefined) === (options.session === undefined))
      throw new UsageError('Say what is to be explained: a name, or --session with the id on stdin.');
    if (name === undefined) await explainSession(command);
    else await explainName(command, name);
  });
}

async function explainName(command: Command, name: string): Promise<void> {
  const path = `/api/v1/explain?name=${encodeURIComponent(name)}`;
  const explanation = (await askAdmin(command, path)) as Explanation;
  console.log(
    command.getOptionValue('json') ? JSON.stringify(explanation, null, 2) : explanationText(explanation),
  );
  const { subjects } = explanation;
  if (subjects.length === 0) throw new CommandFailed(`${name} is not served.`);
  if (subjects.some(({ verdict }) => verdict === 'unavailable'))
    throw new CommandFailed(`${name} can not be used.`);
}

async function explainSession(command: Command): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const id = Buffer.concat(chunks).toString().trim();
  if (!/^[\x21-\x7e]{1,8192}$/.test(id)) throw new UsageError('Put the session id, one word, on stdin.');
  const explained = (await askAdmin(command, '/api/v1/explain', {
    'mcp-session-id': id,
  })) as ExplainedSession;
  if (command.getOptionValue('json')) console.log(JSON.stringify(explained, null, 2));
  else {
    for (const line of explained.findings.flatMap(findingLines)) console.log(line);
    if (explained.session) console.log(JSON.stringify(explained.session, null, 2));
  }
  if (explained.verdict === 'unavailable') throw new CommandFailed('The session can not be used.');
}

/** For a terminal. */
export function explanationText({ query, subjects, findings, similar }: Explanation): string {
  const parts = subjects.map(subjectText);
  if (subjects.length === 0) parts.push([query, '', ...findings.flatMap(findingLines)].join('\n'));
  if (similar.length > 0) parts.push(`Was one of these meant? ${similar.join(', ')}`);
  return parts.join('\n\n');
}

const verdicts: Readonly<Record<Explained['verdict'], string>> = {
  available: 'available',
  partly: 'available, with restrictions',
  unavailable: 'NOT AVAILABLE',
};

function subjectText(subject: Explained): string {
  const { kind, name, service, verdict, listedAs, versions, findings, call } = subject;
  const of = kind === 'service' ? '' : ` of service ${service}`;
  const lines = [`${kind} ${name}${of}: ${verdicts[verdict]}`];
  if (listedAs.length > 0) lines.push(`  listed as: ${listedAs.join(', ')}`);
  if (versions.length > 1) {
    lines.push('  definitions:');
    for (const { digest, advertised, instances } of versions)
      lines.push(`    ${digest}${advertised ? ' (shown)' : ''}: ${instances.join(', ')}`);
  }
  if (findings.length > 0) lines.push('', ...findings.flatMap(findingLines));
  if (call) lines.push('', ...callLines(call));
  return lines.join('\n');
}

const marks: Readonly<Record<Finding['effect'], string>> = { gone: '✗', partly: '!', note: '·' };

function findingLines({ code, effect, sentence, mend }: Finding): string[] {
  const line = `  ${marks[effect]} ${sentence} [${code}]`;
  return mend === undefined ? [line] : [line, `    → ${mend}`];
}

function callLines({ sentence, candidates }: Going): string[] {
  const rows = candidates.map(({ serviceId, datacenter, node, share, inFlight, latencyMs, why }) => [
    serviceId,
    `${datacenter}/${node}`,
    `${Math.round(share * 100)} %`,
    String(inFlight),
    latencyMs === undefined ? '—' : `${latencyMs} ms`,
    why,
  ]);
  const head = ['instance', 'at', 'share', 'running', 'answers in', 'why'];
  return [
    '  A call now:',
    `  ${sentence}`,
    ...table(head, rows)
      .split('\n')
      .map((line) => `    ${line}`),
  ];
}
