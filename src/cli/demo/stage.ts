import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { environment } from '../../config/environment.ts';
import { startConsulAgent, type ConsulAgent } from './consul-agent.ts';
import { freePort, packageScript, Programs, type Program } from './processes.ts';

/** Everything that the demo needs, running: Consul, the servers, the router. */
export interface Stage {
  readonly consul: ConsulAgent;
  readonly url: string;
  readonly adminUrl: string;
  readonly programs: Programs;
  /** Starts one more server-everything; it is registered by `registerEverything`. */
  startEverything(): Promise<{ program: Program; port: number }>;
  registerEverything(service: string, id: string, port: number): Promise<void>;
  maintenance(id: string, on: boolean): Promise<void>;
  /** From the router's admin API. */
  admin(path: string): Promise<unknown>;
  stop(): Promise<void>;
}

/** @param say one line for people */
export async function buildStage(say: (line: string) => void): Promise<Stage> {
  const programs = new Programs();
  const folder = await mkdtemp(join(tmpdir(), 'mcp-consul-router-demo-'));
  const consul = await startConsulAgent({ environment: environment(), progress: say });
  say(`Consul ${consul.version} (${consul.binary.origin}) at http://${consul.httpAddr}`);
  const env = { CONSUL_HTTP_ADDR: consul.httpAddr, MCP_ROUTER_LOG_FORMAT: 'json' };
  const docs = join(folder, 'notes.txt');
  await writeFile(docs, 'Registered in Consul, served by the router.\n');

  const everything = packageScript('@modelcontextprotocol/server-everything', 'dist/index.js');
  const startEverything = async (): Promise<{ program: Program; port: number }> => {
    const port = await freePort();
    const program = await programs.start(
      'server-everything',
      everything,
      ['streamableHttp'],
      { PORT: String(port) },
      /listening on port/,
    );
    return { program, port };
  };
  const filesystem = packageScript('@modelcontextprotocol/server-filesystem', 'dist/index.js');
  const memory = packageScript('@modelcontextprotocol/server-memory', 'dist/index.js');
  const run = (service: string, script: string, ...args: string[]): Promise<Program> =>
    programs.startCommand(
      service,
      ['run', '--name', service, '--interval', '1s', '--', process.execPath, script, ...args],
      { ...env, MEMORY_FILE_PATH: join(folder, 'memory.jsonl') },
      /registered in Consul/,
    );
  const [port, adminPort] = [await freePort(), await freePort()];
  await Promise.all([
    run('files', filesystem, folder).then(() =>
      say('files: server-filesystem through `run`, registered by itself'),
    ),
    run('memory', memory).then(() => say('memory: server-memory through `run`, registered by itself')),
    programs.startCommand(
      'router',
      [
        'serve',
        '--listen',
        `127.0.0.1:${port}`,
        '--admin-listen',
        `127.0.0.1:${adminPort}`,
        '--state-dir',
        join(folder, 'state'),
      ],
      env,
      /router started/,
    ),
  ]);
  say(`router at http://127.0.0.1:${port}/mcp, admin plane at http://127.0.0.1:${adminPort}`);

  const put = async (path: string, body?: unknown): Promise<void> => {
    const response = await fetch(`http://${consul.httpAddr}/v1/${path}`, {
      method: 'PUT',
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`Consul refused ${path}: ${await response.text()}`);
  };
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  return {
    consul,
    url: `http://127.0.0.1:${port}/mcp`,
    adminUrl,
    programs,
    startEverything,
    registerEverything: (service, id, at) =>
      put('agent/service/register', {
        ID: id,
        Name: service,
        Address: '127.0.0.1',
        Port: at,
        Tags: ['mcp'],
        Check: { TCP: `127.0.0.1:${at}`, Interval: '1s', Timeout: '1s', Status: 'passing' },
      }),
    maintenance: (id, on) => put(`agent/service/maintenance/${id}?enable=${on}&reason=demo`),
    async admin(path) {
      const response = await fetch(`${adminUrl}${path}`);
      return response.json();
    },
    async stop() {
      await programs.stop();
      await consul.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until `check` gives something other than undefined. */
export async function until<Result>(
  what: string,
  check: () => Promise<Result | undefined>,
  withinMs = 15_000,
): Promise<Result> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const result = await check();
    if (result !== undefined) return result;
    if (performance.now() > deadline) throw new Error(`Waited ${withinMs / 1000} s in vain until ${what}.`);
    await delay(5);
  }
}
