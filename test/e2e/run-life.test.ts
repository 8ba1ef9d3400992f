import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consulApi, startConsul, type ConsulAgent } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { RawSession, type Message } from '../support/mcp-client.ts';
import { runProgram, startProgram, type Program } from '../support/program.ts';
import { alive, telling } from '../support/wrapped.ts';

let consul: ConsulAgent;
beforeAll(async () => {
  consul = await startConsul();
});
afterAll(() => consul.stop());

const textOf = (message: Message): string =>
  ((message.result?.['content'] ?? []) as { text: string }[])[0]?.text ?? JSON.stringify(message);

/** `run` with the telling server; `url` is known once it listens. */
async function start(
  flags: readonly string[],
  mode: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<{ program: Program; url: string }> {
  const program = startProgram(['run', ...flags, '--', process.execPath, telling, ...mode], {
    CONSUL_HTTP_ADDR: consul.httpAddr,
    CONSUL_HTTP_TOKEN: 'of-the-wrapper',
    ...env,
  });
  const url = await eventually(() => program.logs().find((line) => line['message'] === 'listening')?.['url']);
  return { program, url: String(url) };
}

const up = (url: string): Promise<RawSession> => eventually(() => RawSession.open(url));

describe('run in Consul', () => {
  it('is passing as soon as it is registered, under the name of what it runs', async () => {
    const { program } = await start(['--interval', '1h'], [], { CONSUL_HTTP_TOKEN: '' });
    const entries = await eventually(async () => {
      const found = await consulApi(consul, 'GET', 'health/service/telling-server?passing=1');
      return (found as { Service: { Meta: object } }[])[0];
    });
    expect(entries.Service.Meta).toEqual({});
    program.signal('SIGTERM');
    expect(await program.ended).toBe(0);
  });

  it('a server that is not ready is registered as critical, not hidden', async () => {
    const { program } = await start(['--name', 'mute', '--interval', '1h'], ['mute'], {
      CONSUL_HTTP_TOKEN: '',
    });
    const states = await eventually(
      async () => {
        const checks = (await consulApi(consul, 'GET', 'health/checks/mute')) as { Status: string }[];
        return checks.length > 0 && checks.map((check) => check.Status);
      },
      { withinMs: 20_000 },
    );
    expect(states).toEqual(['critical']);
    program.signal('SIGTERM');
    expect(await program.ended).toBe(0);
  }, 40_000);

  it('serves without Consul, says so, and is registered once Consul is there', async () => {
    const agent = await startConsul();
    await agent.kill();
    const { program, url } = await start(['--name', 'early'], [], {
      CONSUL_HTTP_ADDR: agent.httpAddr,
      CONSUL_HTTP_TOKEN: '',
    });
    expect(textOf(await (await up(url)).call('pid'))).toMatch(/^\d+$/);
    await eventually(() => program.output().includes('could not be registered in Consul; trying on'));
    await agent.restart();
    await eventually(
      async () =>
        ((await consulApi(agent, 'GET', 'health/service/early?passing=1')) as unknown[]).length === 1,
      { withinMs: 20_000 },
    );
    program.signal('SIGTERM');
    expect(await program.ended).toBe(0);
    expect(await consulApi(agent, 'GET', 'health/service/early')).toEqual([]);
    await agent.stop();
  }, 60_000);
});

describe('the end of run', () => {
  it('SIGTERM lets a running call finish', async () => {
    const { program, url } = await start(['--no-register']);
    const session = await up(url);
    const call = session.call('later', { ms: 1500 });
    await eventually(
      async () =>
        ((await (await fetch(url.replace('/mcp', '/healthz'))).json()) as { running: number }).running === 1,
    );
    program.signal('SIGTERM');
    expect(textOf(await call)).toBe('late');
    expect(await program.ended).toBe(0);
  });

  it('a second signal ends everything at once, a stubborn server too', async () => {
    const { program, url } = await start(['--no-register'], ['stubborn']);
    const session = await up(url);
    const pid = Number(textOf(await session.call('pid')));
    const offspring = Number(textOf(await session.call('offspring')));
    const hanging = session.call('hang').catch(() => undefined);
    await eventually(
      async () =>
        ((await (await fetch(url.replace('/mcp', '/healthz'))).json()) as { running: number }).running === 1,
    );
    program.signal('SIGTERM');
    await eventually(() => program.output().includes('shutting down'));
    program.signal('SIGINT');
    expect(await program.ended).toBe(1);
    await eventually(() => !alive(pid) && !alive(offspring));
    await hanging;
  });

  it('a server outlives neither its wrapper nor the loss of it', async () => {
    const { program, url } = await start(['--no-register', '--drain-timeout', '0'], ['stubborn']);
    const pid = Number(textOf(await (await up(url)).call('pid')));
    program.signal('SIGTERM');
    expect(await program.ended).toBe(0);
    expect(alive(pid)).toBe(false);
    const lost = await start(['--no-register']);
    const orphan = Number(textOf(await (await up(lost.url)).call('pid')));
    lost.program.signal('SIGKILL');
    await eventually(() => !alive(orphan));
  }, 40_000);

  it('nothing that can be run ends with status 1, with a child for each session, too', async () => {
    const { status, output } = await runProgram([
      'run',
      '--no-register',
      '--per-session',
      '--',
      '/no/such/server',
    ]);
    expect(status).toBe(1);
    expect(output).toMatch(/\/no\/such\/server could not be started.*Is it installed, and on PATH\?/);
  });

  it('wrong values of flags end with status 2 and say what is right', async () => {
    for (const [flags, sentence] of [
      [['--interval', 'soon'], 'must be a duration'],
      [['--timeout-ms', 'x'], 'must be a whole number'],
      [['--session', 'sticky'], 'must be stateful or stateless'],
      [['--session', 'stateless', '--per-session'], 'cannot be --session stateless'],
    ] as const) {
      const { status, output } = await runProgram(['run', ...flags, '--', 'true']);
      expect([flags, status]).toEqual([flags, 2]);
      expect(output).toContain(sentence);
    }
  });
});

it("the server inherits the environment, but not the wrapper's credentials", async () => {
  const { program, url } = await start(['--no-register'], [], { OF_THE_SERVER: 'x' });
  const session = await up(url);
  const environment = textOf(await session.call('environment'));
  expect(environment).toContain('OF_THE_SERVER');
  expect(environment).not.toMatch(/CONSUL_HTTP_TOKEN|MCP_ROUTER_/);
  program.signal('SIGTERM');
  expect(await program.ended).toBe(0);
});
