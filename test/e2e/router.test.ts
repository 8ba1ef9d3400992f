import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { simpleTool, startBackend, type Backend } from '../support/backend.ts';
import {
  consulApi,
  deregisterService,
  registerService,
  setCheck,
  startConsul,
  type ConsulAgent,
} from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { RawSession } from '../support/mcp-client.ts';
import { startProgram, type Program } from '../support/program.ts';
import { freePort, startEverything, type RunningServer } from '../support/servers.ts';

/** The built router beside a real Consul, in front of real servers. */
interface Running {
  readonly program: Program;
  readonly url: string;
  readonly admin: string;
}

let consul: ConsulAgent;
const cleanUp: (() => Promise<unknown> | undefined)[] = [];
beforeAll(async () => {
  consul = await startConsul();
});
afterAll(() => consul.stop());
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

async function start(
  env: Record<string, string> = {},
  args: string[] = [],
  agent = consul,
): Promise<Running> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const state = mkdtempSync(join(tmpdir(), 'router-state-'));
  const program = startProgram(['serve', ...args], {
    CONSUL_HTTP_ADDR: agent.httpAddr,
    MCP_ROUTER_LISTEN: `127.0.0.1:${port}`,
    MCP_ROUTER_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    MCP_ROUTER_STATE_DIR: state,
    ...env,
  });
  cleanUp.push(() => {
    program.signal('SIGKILL');
    return program.ended;
  });
  const admin = `http://127.0.0.1:${adminPort}`;
  await eventually(async () => (await fetch(`${admin}/readyz`)).ok);
  return { program, url: `http://127.0.0.1:${port}/mcp`, admin };
}

async function everything(service: string, id: string, agent = consul): Promise<RunningServer> {
  const server = await startEverything();
  await registerService(agent, { name: service, id, port: server.port });
  cleanUp.push(async () => {
    await deregisterService(agent, id).catch(() => undefined);
    await server.stop();
  });
  return server;
}

async function small(service: string, id: string, agent = consul): Promise<Backend> {
  const backend = await startBackend();
  await registerService(agent, { name: service, id, port: backend.port });
  cleanUp.push(async () => {
    await deregisterService(agent, id).catch(() => undefined);
    await backend.stop().catch(() => undefined);
  });
  return backend;
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ name: 'e2e', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  cleanUp.push(() => client.close());
  return client;
}

const names = async (client: Client): Promise<string[]> =>
  (await client.listTools()).tools.map((tool) => tool.name);
const echo = async (client: Client, service: string, message: string): Promise<string> => {
  const result = await client.callTool({ name: `${service}__echo`, arguments: { message } });
  return (result.content as { text: string }[])[0]?.text ?? '';
};

async function healthy(admin: string, service: string): Promise<number> {
  const answer = await fetch(`${admin}/api/v1/services/${service}`);
  const body = (await answer.json()) as { instances?: { receivesCalls: boolean }[] };
  return body.instances?.filter((instance) => instance.receivesCalls).length ?? 0;
}

describe('the main job', () => {
  it('a server that is registered is listed and called; one that dies is replaced by the other', async () => {
    const { url, admin } = await start();
    const one = await everything('everything', 'e1');
    const client = await connect(url);
    await eventually(async () => (await names(client)).includes('everything__echo'));
    expect(await echo(client, 'everything', 'hi')).toBe('Echo: hi');
    await everything('everything', 'e2');
    await eventually(async () => (await healthy(admin, 'everything')) === 2);
    await one.stop('SIGKILL');
    for (let n = 0; n < 5; n++) expect(await echo(client, 'everything', `${n}`)).toBe(`Echo: ${n}`);
  });

  it('kill -9 of one of two under 16 parallel callers: no failed read-only call', async () => {
    const { url, admin } = await start();
    const fleet = await Promise.all(['k1', 'k2'].map((id) => everything('killed', id)));
    await eventually(async () => (await healthy(admin, 'killed')) === 2);
    const clients = await Promise.all(Array.from({ length: 16 }, () => connect(url)));
    const stop = new AbortController();
    let done = 0;
    const failures: unknown[] = [];
    const callers = clients.map(async (client) => {
      for (let n = 0; !stop.signal.aborted; n++) {
        try {
          // get-sum is marked read-only by the server; echo as well.
          expect(await echo(client, 'killed', `${n}`)).toBe(`Echo: ${n}`);
          done++;
        } catch (error) {
          failures.push(error);
        }
      }
    });
    await eventually(() => done > 100);
    await fleet[0]!.stop('SIGKILL');
    const atKill = done;
    await eventually(() => done > atKill + 300);
    stop.abort();
    await Promise.all(callers);
    expect(failures).toEqual([]);
  });

  it('a check that goes critical takes the instance away, a passing one brings it back', async () => {
    const { admin } = await start();
    await Promise.all(['c1', 'c2'].map((id) => small('checked', id)));
    await eventually(async () => (await healthy(admin, 'checked')) === 2);
    await setCheck(consul, 'c1', 'fail');
    await eventually(async () => (await healthy(admin, 'checked')) === 1);
    await setCheck(consul, 'c1', 'pass');
    await eventually(async () => (await healthy(admin, 'checked')) === 2);
  });
});

describe('Consul goes away', () => {
  it('every call goes on, /readyz says stale; back again and empty, nothing is lost that still answers', async () => {
    const own = await startConsul();
    cleanUp.push(() => own.stop());
    const { url, admin } = await start({}, [], own);
    const backends = await Promise.all(['a', 'b'].map((id) => small('lasting', id, own)));
    await eventually(async () => (await healthy(admin, 'lasting')) === 2);
    const sessions = await Promise.all(Array.from({ length: 4 }, () => RawSession.open(url)));
    const callAll = async (): Promise<void> => {
      for (const session of sessions) expect((await session.call('lasting__write')).result).toBeDefined();
    };
    await own.kill();
    const deadline = performance.now() + 8000;
    while (performance.now() < deadline) {
      await callAll();
      await delay(100);
    }
    const ready = await fetch(`${admin}/readyz`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ stale: { local: 'unreachable' } });
    // While Consul is away the router's own pings decide: a dead instance is found.
    await backends[0]!.stop();
    await eventually(async () => (await healthy(admin, 'lasting')) === 1, { withinMs: 25_000 });
    await callAll();
    await own.restart();
    await eventually(
      async () => (await (await fetch(`${admin}/readyz`)).text()).includes('mass-disappearance'),
      { withinMs: 40_000 },
    );
    await callAll();
    await registerService(own, { name: 'lasting', id: 'b', port: backends[1]!.port });
    await callAll();
    const listed = await RawSession.open(url);
    expect(await listed.toolNames()).toContain('lasting__write');
  }, 120_000);
});

describe('start and stop', () => {
  it('registers itself without the tag, and deregisters on SIGTERM with status 0', async () => {
    const { program } = await start();
    const found = await eventually(
      async () => {
        const entries = (await consulApi(consul, 'GET', 'health/service/mcp-router?passing=1')) as {
          Service: { Tags: string[]; ID: string };
        }[];
        return entries[0];
      },
      { withinMs: 20_000 },
    );
    expect(found.Service.Tags).toEqual([]);
    program.signal('SIGTERM');
    expect(await program.ended).toBe(0);
    const after = (await consulApi(consul, 'GET', 'health/service/mcp-router')) as {
      Service: { ID: string };
    }[];
    expect(after.map((entry) => entry.Service.ID)).not.toContain(found.Service.ID);
  });

  it('SIGTERM: not ready at once, running calls finish, no new sessions; then it ends', async () => {
    const { program, url, admin } = await start({}, ['--no-register']);
    const backend = await small('slow', 's1');
    let release = (): void => undefined;
    backend.on['tools/call'] = async ({ result }) => {
      await new Promise<void>((resolve) => (release = resolve));
      result({ content: [{ type: 'text', text: 'finished' }] });
    };
    await eventually(async () => (await healthy(admin, 'slow')) === 1);
    const session = await RawSession.open(url);
    const running = session.call('slow__write');
    await eventually(() => backend.count('tools/call') === 1);
    program.signal('SIGTERM');
    await eventually(async () => (await fetch(`${admin}/readyz`)).status === 503);
    expect(await (await fetch(`${admin}/readyz`)).json()).toMatchObject({ status: 'draining' });
    release();
    expect((await running).result).toBeDefined();
    expect(await program.ended).toBe(0);
    expect(backend.sessions.size).toBe(0);
  });

  it('a second signal ends it at once', async () => {
    const { program, url, admin } = await start({}, ['--no-register']);
    const backend = await small('hung', 'h1');
    backend.on['tools/call'] = () => undefined;
    await eventually(async () => (await healthy(admin, 'hung')) === 1);
    const session = await RawSession.open(url);
    session.call('hung__write').catch(() => undefined);
    await eventually(() => backend.count('tools/call') === 1);
    program.signal('SIGTERM');
    await eventually(() => program.output().includes('shutting down'));
    program.signal('SIGTERM');
    expect(await program.ended).toBe(1);
  });

  it('a session survives a restart of the router: its key ring is kept in the state folder, readable by its owner only', async () => {
    const state = mkdtempSync(join(tmpdir(), 'router-state-'));
    const backend = await small('kept', 'k1');
    const first = await start({ MCP_ROUTER_STATE_DIR: state }, ['--no-register']);
    await eventually(async () => (await healthy(first.admin, 'kept')) === 1);
    const session = await RawSession.open(first.url);
    await session.call('kept__write');
    const port = new URL(first.url).port;
    first.program.signal('SIGKILL');
    await first.program.ended;
    expect(statSync(join(state, 'secret')).mode & 0o777).toBe(0o600);
    expect(Buffer.from(readFileSync(join(state, 'secret'), 'utf8').trim(), 'base64')).toHaveLength(32);
    const second = await start({ MCP_ROUTER_STATE_DIR: state, MCP_ROUTER_LISTEN: `127.0.0.1:${port}` }, [
      '--no-register',
    ]);
    await eventually(async () => (await healthy(second.admin, 'kept')) === 1);
    expect((await session.call('kept__write')).result).toBeDefined();
    expect(backend.count('tools/call')).toBe(2);
  });

  it('wrong settings: all of them at once, status 2', async () => {
    const program = startProgram(['serve', '--page-size', '0'], {
      MCP_ROUTER_NAMES: 'x',
      MCP_ROUTER_LISTEN: 'y',
    });
    expect(await program.ended).toBe(2);
    for (const part of [
      '--page-size (flag)',
      'MCP_ROUTER_NAMES (environment)',
      'MCP_ROUTER_LISTEN (environment)',
    ]) {
      expect(program.output()).toContain(part);
    }
  });

  it('refuses to be reached by others unless somebody said so', async () => {
    const open = startProgram(['serve', '--listen', '0.0.0.0:0']);
    expect(await open.ended).toBe(2);
    expect(open.output()).toContain('MCP_ROUTER_AUTH=none');
    const admin = startProgram(['serve', '--admin-listen', ':0']);
    expect(await admin.ended).toBe(2);
    expect(admin.output()).toContain('MCP_ROUTER_ADMIN_TOKEN');
  });

  it('a port that is taken is a clear error', async () => {
    const { url } = await start();
    const second = startProgram(['serve', '--listen', new URL(url).port], {
      MCP_ROUTER_STATE_DIR: mkdtempSync(join(tmpdir(), 's-')),
    });
    expect(await second.ended).toBe(2);
    expect(second.output()).toMatch(/Cannot listen on 127\.0\.0\.1:\d+\. Free it or set MCP_ROUTER_LISTEN/);
  });
});

describe('the admin plane', () => {
  it('has health, readiness, metrics and the API; outside loopback a token', async () => {
    const { admin, url } = await start({ MCP_ROUTER_ADMIN_TOKEN: 'sesame' }, ['--no-register']);
    await small('seen', 'v1');
    expect((await fetch(`${admin}/healthz`)).status).toBe(200);
    expect((await fetch(`${admin}/metrics`)).status).toBe(401);
    const get = (path: string) => fetch(`${admin}${path}`, { headers: { authorization: 'Bearer sesame' } });
    const client = await connect(url);
    await eventually(async () => (await names(client)).includes('seen__echo'));
    await echo(client, 'seen', 'x');
    await client.callTool({ name: 'seen__nothing', arguments: {} }).catch(() => undefined);
    const metrics = await (await get('/metrics')).text();
    for (const line of [
      /^mcp_router_table_version [1-9]/m,
      /^mcp_router_services [1-9]/m,
      /^mcp_router_instances\{state="passing"\} [1-9]/m,
      /^mcp_router_tools [1-9]/m,
      /^mcp_router_calls_total\{service="seen",result="ok"\} 1$/m,
      /^mcp_router_call_duration_seconds_count\{service="seen"\} 1$/m,
      /^mcp_router_consul_up\{datacenter="local"\} 1$/m,
      /^mcp_router_consul_age_seconds\{datacenter="local"\} \d/m,
    ]) {
      expect(metrics).toMatch(line);
    }
    const service = (await (await get('/api/v1/services/seen')).json()) as {
      instances: { probe: unknown }[];
    };
    expect(service.instances[0]?.probe).toMatchObject({ result: 'learned', tools: 2 });
    expect((await get('/api/v1/services/none')).status).toBe(404);
    expect((await get('/nothing')).status).toBe(404);
  });

  it('one line a table change, with the difference', async () => {
    const { program, admin } = await start({}, ['--no-register']);
    const backend = await small('logged', 'l1');
    await eventually(async () => (await healthy(admin, 'logged')) === 1);
    await setCheck(consul, 'l1', 'fail');
    await eventually(() =>
      program.logs().some((line) => JSON.stringify(line).includes('l1 passing → critical')),
    );
    backend.tools = [simpleTool('other')];
    const changes = program.logs().filter((line) => line['message'] === 'table changed');
    expect(changes.map((line) => line['version'])).toEqual(changes.map((_, at) => at + 1));
    expect(changes.some((line) => JSON.stringify(line['toolsAdded'])?.includes('logged.echo'))).toBe(true);
  });
});
