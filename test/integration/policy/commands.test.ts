import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiKeys, readApiKeys } from '../../../src/policy/inbound/api-keys.ts';

const cli = fileURLToPath(new URL('../../../src/cli.ts', import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'commands-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

function run(...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [cli, ...args], (error, out, err) => {
      resolve({ status: error ? Number(error.code) : 0, out, err });
    });
  });
}

const rules = `
rules:
  - { name: support closes, effect: allow, who: { groups: support }, what: { tools: tickets.close }, when: 'args.team == "a"', scopes: [w] }
  - { name: reads, effect: allow, what: { annotations: { readOnlyHint: true } } }
`;

describe('policy test', () => {
  const close = ['--tool', 'tickets.close', '--group', 'support', '--args', '{"team":"a"}'];
  it.each([
    [[...close, '--scope', 'w'], 'allow', 'support closes'],
    [close, 'step-up', 'support closes'],
    [[...close.slice(0, 4), '--scope', 'w'], 'deny', null],
    [['--tool', 'tickets.close', '--anonymous'], 'deny', null],
    [['--tool', 'tickets.list', '--read-only', '--anonymous'], 'allow', 'reads'],
    [['--resource', 'file:///x', '--service', 'files', '--key', 'k'], 'deny', null],
  ])('%j: %s by %s', async (args, decision, rule) => {
    const file = join(folder, 'policy.yaml');
    writeFileSync(file, rules);
    const { status, out } = await run('policy', 'test', file, ...args, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ kind: decision, rule });
    const other = decision === 'allow' ? 'deny' : 'allow';
    expect(await run('policy', 'test', file, ...args, '--expect', other)).toMatchObject({
      status: 1,
      err: expect.stringContaining(`The decision is ${decision}, expected was ${other}`) as unknown,
    });
  });

  it('says what every rule before had to say', async () => {
    const file = join(folder, 'policy.yaml');
    writeFileSync(file, rules);
    const { out } = await run('policy', 'test', file, '--tool', 'tickets.list', '--read-only', '--anonymous');
    expect(out).toMatch(/^allow: by rule "reads"\n/);
    expect(out).toMatch(/support closes +allow +is not for this caller/);
  });

  it('with wrong rules or a wrong question ends with what to do', async () => {
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, 'rules: [{ name: a, effect: maybe }]');
    expect(await run('policy', 'check', file)).toMatchObject({
      status: 1,
      err: expect.stringContaining('wrong.yaml:1:28 rules[0].effect: must be allow or deny') as unknown,
    });
    writeFileSync(file, rules);
    expect(await run('policy', 'test', file)).toMatchObject({ status: 2 });
    expect(await run('policy', 'test', join(folder, 'nowhere'))).toMatchObject({ status: 2 });
    expect(await run('policy', 'test', file, '--tool', 'a.b', '--args', '[1]')).toMatchObject({ status: 2 });
  });
});

describe('keys new', () => {
  it('shows the key once, keeps its hash in the file, and leaves what stands there', async () => {
    const file = join(folder, 'keys.yaml');
    writeFileSync(file, '# Ours\nkeys: []\n');
    const made = await run('keys', 'new', 'ci', '--group', 'builders', '--file', file);
    const key = made.out.trim();
    expect(made.status).toBe(0);
    await run('keys', 'new', 'other', '--scope', 'r', '--expires', '2999-01-31', '--file', file);
    const text = readFileSync(file, 'utf8');
    expect(text).toContain('# Ours');
    expect(text).not.toContain(key);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const read = readApiKeys({ text, place: 'keys.yaml' });
    const keys = new ApiKeys(Date.now);
    if (read.kind === 'ok') keys.replace(read.value.keys);
    expect(keys.size).toBe(2);
    expect(keys.find(key)).toMatchObject({ subject: 'ci', groups: ['builders'] });
  });

  it('makes no second key of one name', async () => {
    const file = join(folder, 'twice.yaml');
    await run('keys', 'new', 'ci', '--file', file);
    const before = readFileSync(file, 'utf8');
    const again = await run('keys', 'new', 'ci', '--file', file);
    expect(again.status).toBe(1);
    expect(again.out).toBe('');
    expect(readFileSync(file, 'utf8')).toBe(before);
  });
});
