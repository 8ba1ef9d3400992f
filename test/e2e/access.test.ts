import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { newApiKey } from '../../src/policy/inbound/api-keys.ts';
import { startBackend } from '../support/backend.ts';
import { bearer, nobody, only, stateless, type Caller } from '../support/caller.ts';
import { consulApi, registerService, startConsul, type ConsulAgent } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { startProgram, type Program } from '../support/program.ts';
import { freePort } from '../support/servers.ts';

/** The built router beside a real Consul that keeps keys, rules and workspaces. */
interface Running {
  readonly program: Program;
  readonly url: string;
  readonly admin: string;
}

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

const ann = newApiKey();
const keys = `keys: [{ name: ann, sha256: ${ann.sha256} }]`;

async function agent(acl?: string): Promise<ConsulAgent> {
  const config = acl === undefined ? {} : aclConfig(acl);
  const started = await startConsul(config, acl);
  cleanUp.push(() => started.stop());
  return started;
}

const aclConfig = (management: string): Record<string, unknown> => ({
  acl: {
    enabled: true,
    default_policy: 'deny',
    tokens: { master: management, agent: management },
  },
});

async function start(consul: ConsulAgent, env: Record<string, string>): Promise<Running> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const program = startProgram(['serve', '--no-register'], {
    CONSUL_HTTP_ADDR: consul.httpAddr,
    MCP_ROUTER_LISTEN: `127.0.0.1:${port}`,
    MCP_ROUTER_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    MCP_ROUTER_STATE_DIR: mkdtempSync(join(tmpdir(), 'router-state-')),
    ...env,
  });
  cleanUp.push(() => {
    program.signal('SIGKILL');
    return program.ended;
  });
  const admin = `http://127.0.0.1:${adminPort}`;
  await eventually(async () => (await fetch(`${admin}/readyz`)).ok);
  return { program, url: `http://127.0.0.1:${port}`, admin };
}

const put = (consul: ConsulAgent, key: string, text: string, token?: string): Promise<unknown> =>
  consulApi(consul, 'PUT', `kv/mcp-router/${key}`, text, token);

async function listed(running: Running, caller: Caller, path = '/mcp'): Promise<string[]> {
  const { result } = only(await stateless(caller, running.url + path, 'tools/list'));
  return ((result?.['tools'] ?? []) as { name: string }[]).map(({ name }) => name);
}

describe('rules and keys in Consul KV', () => {
  it('count from the first request on, and when they change; what is wrong or gone changes nothing', async () => {
    const consul = await agent();
    const backend = await startBackend();
    cleanUp.push(() => backend.stop());
    await registerService(consul, { name: 'one', port: backend.port });
    await put(consul, 'policy', 'rules: [{ name: ann, effect: allow, who: { keys: ann } }]');
    await put(consul, 'keys', keys);
    const running = await start(consul, { MCP_ROUTER_AUTH: 'none,key' });
    const asAnn = bearer(ann.key);
    await eventually(async () => (await listed(running, asAnn)).length === 2);
    expect(await listed(running, nobody)).toEqual([]);

    await put(consul, 'policy', 'rules: [{ name: reads, effect: allow, what: { tools: one.echo } }]');
    await eventually(async () => (await listed(running, nobody)).join() === 'one__echo');
    expect(await listed(running, asAnn)).toEqual(['one__echo']);

    await put(consul, 'policy', 'rules: [{ name: reads, effect: maybe }]');
    await eventually(() => running.program.output().includes('the policy is wrong and changes nothing'));
    expect(running.program.output()).toContain('Consul KV mcp-router/policy:1:');
    await consulApi(consul, 'DELETE', 'kv/mcp-router/policy');
    await eventually(() => running.program.output().includes('the policy is gone from its place'));
    expect(await listed(running, nobody)).toEqual(['one__echo']);
    await put(consul, 'policy', 'rules: []');
    await eventually(async () => (await listed(running, nobody)).length === 2);

    const other = newApiKey();
    await put(consul, 'keys', `keys: [{ name: other, sha256: ${other.sha256} }]`);
    await eventually(
      async () => (await stateless(bearer(other.key), `${running.url}/mcp`, 'tools/list')).status === 200,
    );
    expect((await stateless(asAnn, `${running.url}/mcp`, 'tools/list')).status).toBe(401);
  });

  it('have profiles, and workspaces that teams keep in keys of their own', async () => {
    const consul = await agent();
    const [one, two] = [await startBackend(), await startBackend()];
    cleanUp.push(
      () => one.stop(),
      () => two.stop(),
    );
    await registerService(consul, { name: 'one', port: one.port });
    await registerService(consul, { name: 'two', port: two.port });
    await put(
      consul,
      'policy',
      `profiles: { small: { include: { tools: one.echo } } }
workspaces: { a: { who: {}, include: { services: one } }, b: { who: {} } }`,
    );
    await put(consul, 'workspaces/a', 'profiles: { x: { names: bare } }');
    const running = await start(consul, {});
    await eventually(async () => (await listed(running, nobody)).length === 4);
    expect(await listed(running, nobody, '/profiles/small/mcp')).toEqual(['one__echo']);
    await eventually(
      async () => (await listed(running, nobody, '/profiles/a.x/mcp')).join() === 'echo,write',
    );
    expect((await stateless(nobody, `${running.url}/profiles/b.y/mcp`, 'tools/list')).status).toBe(404);
    await put(consul, 'workspaces/b', 'profiles: { y: { include: { tools: "*.write" } } }');
    await eventually(
      async () => (await stateless(nobody, `${running.url}/profiles/b.y/mcp`, 'tools/list')).status === 200,
    );
    expect(await listed(running, nobody, '/profiles/b.y/mcp')).toEqual(['one__write', 'two__write']);
    await consulApi(consul, 'DELETE', 'kv/mcp-router/workspaces/a');
    await eventually(
      async () => (await stateless(nobody, `${running.url}/profiles/a.x/mcp`, 'tools/list')).status === 404,
    );
    expect(await listed(running, nobody, '/profiles/b.y/mcp')).toEqual(['one__write', 'two__write']);
  });

  it('that the token may not read: nothing is allowed to those who prove who they are, and the log says why', async () => {
    const management = '11111111-2222-3333-4444-555555555555';
    const consul = await agent(management);
    const backend = await startBackend();
    cleanUp.push(() => backend.stop());
    await registerService(consul, { name: 'one', port: backend.port }, management);
    const policy = {
      Name: 'router',
      Rules: 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }',
    };
    await consulApi(consul, 'PUT', 'acl/policy', policy, management);
    const made = (await consulApi(
      consul,
      'PUT',
      'acl/token',
      { Policies: [{ Name: 'router' }] },
      management,
    )) as {
      SecretID: string;
    };
    const env = { CONSUL_HTTP_TOKEN: made.SecretID };
    const open = await start(consul, env);
    await eventually(async () => (await listed(open, nobody)).length === 2);
    expect(open.program.output()).toContain('the policy may not be read, and is taken for none');

    const folder = mkdtempSync(join(tmpdir(), 'keys-'));
    const file = join(folder, 'keys.yaml');
    writeFileSync(file, keys);
    const closed = await start(consul, { ...env, MCP_ROUTER_KEYS_FILE: file });
    await eventually(() => closed.program.output().includes('so nothing is allowed'));
    await eventually(() => closed.program.output().includes('table changed'));
    expect(await listed(closed, bearer(ann.key))).toEqual([]);
    // The token is given the right: the rules are read, without a restart.
    const more = { ...policy, Rules: `${policy.Rules} key_prefix "mcp-router/" { policy = "read" }` };
    const { ID } = (await consulApi(consul, 'GET', 'acl/policy/name/router', undefined, management)) as {
      ID: string;
    };
    await consulApi(consul, 'PUT', `acl/policy/${ID}`, more, management);
    await put(consul, 'policy', 'rules: [{ name: ann, effect: allow, who: { keys: ann } }]', management);
    await eventually(async () => (await listed(closed, bearer(ann.key))).length === 2, { withinMs: 60_000 });
  });
});
