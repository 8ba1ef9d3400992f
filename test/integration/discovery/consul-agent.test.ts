import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findConsul } from '../../../src/cli/demo/consul-binary.ts';
import { consulApi, registerService, startConsul } from '../../support/consul.ts';
import { eventually } from '../../support/eventually.ts';

const answers = async (httpAddr: string): Promise<boolean> => {
  try {
    return (await fetch(`http://${httpAddr}/v1/status/leader`)).ok;
  } catch {
    return false;
  }
};

describe('startConsulAgent', () => {
  it('starts again on the same ports with nothing in it, and leaves nothing when it is stopped', async () => {
    const agent = await startConsul();
    const { httpAddr } = agent;
    try {
      await registerService(agent, { name: 's' });
      await agent.restart();
      expect(agent.httpAddr).toBe(httpAddr);
      expect(await consulApi(agent, 'GET', 'catalog/services')).toEqual({ consul: [] });
    } finally {
      await agent.stop();
    }
    expect(await answers(httpAddr)).toBe(false);
  });

  it('starts several at once', async () => {
    const agents = await Promise.all([startConsul(), startConsul(), startConsul()]);
    expect(new Set(agents.map((agent) => agent.httpAddr)).size).toBe(3);
    await Promise.all(agents.map((agent) => agent.stop()));
  });

  it('says what Consul said when it does not start', async () => {
    await expect(startConsul({ no_such_setting: true })).rejects.toThrow(/no_such_setting/);
  });

  it('ends with whoever started it, also after kill -9', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'owner-'));
    const script = join(folder, 'owner.ts');
    const support = new URL('../../support/consul.ts', import.meta.url).href;
    writeFileSync(
      script,
      `const { startConsul } = await import(${JSON.stringify(support)});
       console.log((await startConsul()).httpAddr);
       setInterval(() => undefined, 1000);`,
    );
    // Its temporary files go here, so that it can be seen that none is left.
    const owner = spawn(process.execPath, [script], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(owner.stdout, 'data')) as [Buffer];
    const httpAddr = line.toString().trim();
    expect(await answers(httpAddr)).toBe(true);
    owner.kill('SIGKILL');
    await eventually(async () => !(await answers(httpAddr)));
    await eventually(() => leftIn(folder).length === 0);
  });
});

function leftIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith('mcp-consul-router-agent-'));
}

describe('findConsul', () => {
  const fake = (folder: string, version: string): string => {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, 'consul');
    writeFileSync(path, `#!/bin/sh\necho "Consul v${version}"\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const find = (environment: Record<string, string>) =>
    findConsul({ environment, progress: () => undefined });

  it('takes CONSUL_BIN before PATH before the cache', async () => {
    const root = mkdtempSync(join(tmpdir(), 'find-'));
    const given = fake(join(root, 'given'), '1.20.1');
    const onPath = fake(join(root, 'path'), '1.19.2');
    const cached = fake(join(root, 'cache', 'mcp-consul-router'), '1.18.3');
    const environment = { PATH: join(root, 'path'), XDG_CACHE_HOME: join(root, 'cache') };
    expect(await find({ ...environment, CONSUL_BIN: given })).toEqual({
      path: given,
      version: '1.20.1',
      origin: 'CONSUL_BIN',
    });
    expect(await find(environment)).toEqual({ path: onPath, version: '1.19.2', origin: 'PATH' });
    expect(await find({ ...environment, PATH: '' })).toEqual({
      path: cached,
      version: '1.18.3',
      origin: 'cache',
    });
  });

  it('says so where CONSUL_BIN is no Consul, and does not take another in its place', async () => {
    const root = mkdtempSync(join(tmpdir(), 'find-'));
    fake(root, '1.19.2');
    await expect(find({ CONSUL_BIN: join(root, 'nothing'), PATH: root })).rejects.toThrow(/CONSUL_BIN is/);
  });
});
