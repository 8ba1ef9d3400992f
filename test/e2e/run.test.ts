import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { consulApi, startConsul, type ConsulAgent } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { RawSession } from '../support/mcp-client.ts';
import { runProgram, startProgram } from '../support/program.ts';

const noisy = fileURLToPath(new URL('../fixtures/noisy-server.mjs', import.meta.url));
let consul: ConsulAgent;
beforeAll(async () => {
  consul = await startConsul();
});
afterAll(() => consul.stop());

interface Entry {
  readonly Service: {
    readonly ID: string;
    readonly Port: number;
    readonly Tags: string[];
    readonly Meta: Record<string, string>;
    readonly Weights: unknown;
  };
}
const passing = async (name: string): Promise<Entry | undefined> =>
  ((await consulApi(consul, 'GET', `health/service/${name}?passing=1`)) as Entry[])[0];

it('run registers what the flags say with a check that passes, comes back after a lost agent, and deregisters', async () => {
  const program = startProgram(
    [
      'run',
      '--name',
      'wrapped',
      '--interval',
      '1s',
      '--namespace',
      'ns',
      '--service-version',
      '2',
      '--tools-deny',
      'x*',
      '--timeout-ms',
      '5000',
      '--tag',
      'blue',
      '--meta',
      'owner=team-a',
      '--weight',
      '7',
      '--',
      process.execPath,
      noisy,
    ],
    { CONSUL_HTTP_ADDR: consul.httpAddr, CONSUL_HTTP_TOKEN: '', SECRET_OF_THE_SERVER: 'x' },
  );
  const { Service } = await eventually(() => passing('wrapped'), { withinMs: 20_000 });
  expect(Service).toMatchObject({
    Tags: ['mcp', 'blue'],
    Meta: {
      'mcp-namespace': 'ns',
      'mcp-version': '2',
      'mcp-tools-deny': 'x*',
      'mcp-timeout-ms': '5000',
      owner: 'team-a',
    },
    Weights: { Passing: 7, Warning: 1 },
  });
  const session = await RawSession.open(`http://127.0.0.1:${Service.Port}/mcp`);
  expect((await session.call('say', { message: 'x' })).result).toBeDefined();
  await consul.restart();
  await eventually(() => passing('wrapped'), { withinMs: 30_000 });
  program.signal('SIGTERM');
  expect(await program.ended).toBe(0);
  expect(await passing('wrapped')).toBeUndefined();
}, 90_000);

it('a command that cannot be run ends with status 1 and says what to do', async () => {
  const { status, output } = await runProgram(['run', '--no-register', '--', '/no/such/server']);
  expect(status).toBe(1);
  expect(output).toMatch(/\/no\/such\/server could not be started.*Is it installed, and on PATH\?/);
});

it('wrong usage ends with status 2', async () => {
  expect((await runProgram(['run'])).status).toBe(2);
  expect((await runProgram(['run', '--port', 'x', '--', 'true'])).status).toBe(2);
  expect((await runProgram(['run', '--meta', 'novalue', '--', 'true'])).status).toBe(2);
  expect((await runProgram(['nonsense'])).status).toBe(2);
  expect((await runProgram(['serve', '--nonsense'])).status).toBe(2);
});

it('every command has help and a version', async () => {
  for (const command of ['serve', 'run', 'connect', 'list', 'config', 'demo']) {
    const help = await runProgram([command, '--help']);
    expect([command, help.status]).toEqual([command, 0]);
    expect(help.output).toContain('Usage: mcp-consul-router');
    const version = await runProgram([command, '--version']);
    expect([version.status, version.output.trim()]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+/)]);
  }
}, 60_000);
