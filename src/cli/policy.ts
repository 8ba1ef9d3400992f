import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import type { Identity, ItemKind } from '../model.ts';
import { describeMisfit } from '../policy/document.ts';
import { readPolicy, type PolicyDocument } from '../policy/policy-document.ts';
import { explain, type Explanation } from '../policy/rules/explain.ts';
import { Policy, type Access } from '../policy/rules/policy.ts';
import { compileRules } from '../policy/rules/rule-set.ts';
import { CommandFailed, UsageError } from './errors.ts';
import { table } from './table.ts';

export function policyCommand(): Command {
  return new Command('policy')
    .description('Check rules, and ask what they decide.')
    .addCommand(checkCommand())
    .addCommand(testCommand());
}

function checkCommand(): Command {
  return new Command('check')
    .description('Read a policy as the router would; every error with its place.')
    .argument('<file>', 'the policy in YAML or JSON')
    .option('--json', 'as JSON')
    .action((file: string, options: { json?: true }) => {
      const read = readPolicy({ text: readText(file), place: file });
      if (options.json) {
        const misfits = read.kind === 'wrong' ? read.misfits : [];
        console.log(JSON.stringify({ ok: read.kind === 'ok', errors: misfits }, null, 2));
      }
      if (read.kind === 'wrong') {
        throw new CommandFailed(`The policy is wrong:\n  ${read.misfits.map(describeMisfit).join('\n  ')}`);
      }
      if (!options.json) console.log(`${file}: ok, ${count(read.value)}`);
    });
}

function count(document: PolicyDocument): string {
  const rules = `${document.rules.length} ${document.rules.length === 1 ? 'rule' : 'rules'}`;
  return document.mode === 'dry-run' ? `${rules}, nothing is refused (dry-run)` : rules;
}

interface TestOptions {
  readonly tool?: string;
  readonly prompt?: string;
  readonly resource?: string;
  readonly service?: string;
  readonly profile?: string;
  readonly readOnly?: true;
  readonly args?: string;
  readonly meta: readonly string[];
  readonly anonymous?: true;
  readonly identity?: string;
  readonly subject?: string;
  readonly key?: string;
  readonly group: readonly string[];
  readonly scope: readonly string[];
  readonly claim: readonly string[];
  readonly expect?: string;
  readonly json?: true;
}

const several = (value: string, before: readonly string[]): string[] => [...before, value];
const several0: string[] = [];

function testCommand(): Command {
  return new Command('test')
    .description('What the rules decide about one call, and which rule it was.')
    .argument('<file>', 'the policy in YAML or JSON')
    .option('--tool <name>', 'canonical name of a tool, such as github.search_code')
    .option('--prompt <name>', 'canonical name of a prompt')
    .option('--resource <uri>', 'URI of a resource')
    .option('--service <name>', 'its service; default: what stands before the dot')
    .option('--profile <name>', 'the profile through which it is called')
    .option('--read-only', 'the tool says readOnlyHint; without, it has the defaults of the specification')
    .option('--args <json>', 'arguments of the call')
    .option('--meta <key=value>', 'Consul meta of the service; may be repeated', several, several0)
    .option('--anonymous', 'the caller proved nothing')
    .option('--identity <json>', 'the caller: subject, issuer, client, key, groups, scopes, claims')
    .option('--subject <subject>', "the caller's subject")
    .option('--key <name>', 'the caller has this API key')
    .option('--group <group>', 'a group of the caller; may be repeated', several, several0)
    .option('--scope <scope>', "a scope of the caller's token; may be repeated", several, several0)
    .option('--claim <name=value>', 'a claim; the value as JSON or text; may be repeated', several, several0)
    .addOption(
      new Option('--expect <decision>', 'exit status 1 where the decision is another one').choices([
        'allow',
        'deny',
        'step-up',
      ]),
    )
    .option('--json', 'as JSON')
    .action((file: string, options: TestOptions) => {
      const read = readPolicy({ text: readText(file), place: file });
      if (read.kind === 'wrong') {
        throw new CommandFailed(`The policy is wrong:\n  ${read.misfits.map(describeMisfit).join('\n  ')}`);
      }
      const policy = new Policy(compileRules(read.value.rules, read.value.scopes));
      const explanation = explain(policy, callerOf(options), accessOf(options));
      print(explanation, read.value, options);
      const { kind } = explanation.decision;
      if (options.expect !== undefined && options.expect !== kind) {
        throw new CommandFailed(`The decision is ${kind}, expected was ${options.expect}.`);
      }
    });
}

function print({ decision, steps }: Explanation, { mode }: PolicyDocument, options: TestOptions): void {
  const enforced = mode === 'enforce';
  if (options.json) {
    console.log(JSON.stringify({ ...decision, rule: decision.rule?.name ?? null, enforced, steps }, null, 2));
    return;
  }
  const by = decision.rule ? `by rule "${decision.rule.name}"` : 'no rule matches';
  const scopes = decision.kind === 'step-up' ? `; the token needs: ${decision.scopes.join(' ')}` : '';
  console.log(`${decision.kind}: ${by}${scopes}${enforced ? '' : ' (dry-run: it would be logged only)'}`);
  if (steps.length > 0) {
    console.log(
      `\n${table(
        ['rule', 'effect', 'it'],
        steps.map((step) => [step.rule, step.effect, step.outcome]),
      )}`,
    );
  }
}

function accessOf(options: TestOptions): Access {
  const { kind, name } = wanted(options);
  const service = options.service ?? (kind === 'resources' ? undefined : name.split('.')[0]);
  if (service === undefined)
    throw new UsageError('A resource needs --service: its URI does not say whose it is.');
  const args = jsonObject(options.args ?? '{}', '--args');
  const readOnly = options.readOnly === true;
  return {
    kind,
    name,
    service,
    hints:
      kind === 'tools'
        ? { readOnly, destructive: !readOnly, idempotent: readOnly, openWorld: true }
        : undefined,
    profile: options.profile,
    meta: Object.fromEntries(options.meta.map((pair) => keyValue(pair, '--meta'))),
    args: () => args,
  };
}

function wanted({ tool, prompt, resource }: TestOptions): { kind: ItemKind; name: string } {
  const given = [
    { kind: 'tools' as const, name: tool },
    { kind: 'prompts' as const, name: prompt },
    { kind: 'resources' as const, name: resource },
  ].flatMap(({ kind, name }) => (name === undefined ? [] : [{ kind, name }]));
  const [one] = given;
  if (!one || given.length > 1) throw new UsageError('Name one of --tool, --prompt and --resource.');
  return one;
}

function callerOf(options: TestOptions): Identity {
  const given = jsonObject(options.identity ?? '{}', '--identity') as Partial<Identity>;
  const claims = Object.fromEntries(
    options.claim.map((pair) => {
      const [name, value] = keyValue(pair, '--claim');
      return [name, jsonOrText(value)];
    }),
  );
  const key = options.key ?? given.key;
  const subject = options.subject ?? given.subject ?? key ?? (options.anonymous ? 'anonymous' : 'somebody');
  return {
    method: options.anonymous ? 'none' : key === undefined ? 'token' : 'api-key',
    ...given,
    subject,
    digest: subject,
    ...(key !== undefined && { key }),
    groups: [...(given.groups ?? []), ...options.group],
    scopes: [...(given.scopes ?? []), ...options.scope],
    claims: { ...given.claims, ...claims },
  };
}

function keyValue(pair: string, option: string): [string, string] {
  const at = pair.indexOf('=');
  if (at <= 0) throw new UsageError(`${option} takes name=value, not ${pair}.`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}

function jsonObject(text: string, option: string): Record<string, unknown> {
  const value = jsonOrText(text);
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new UsageError(`${option} takes a JSON object.`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
