import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endWithMe } from './end-with-me.ts';
import { findConsul, type ConsulBinary, type FindConsulOptions } from './consul-binary.ts';

export interface ConsulAgentOptions extends FindConsulOptions {
  /** Found or fetched where it is not given. */
  readonly binary?: ConsulBinary;
  /** Further agent configuration, as in a Consul config file. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Once ACLs are on, the token to ask for the leader with. */
  readonly token?: string;
}

/** A Consul agent in development mode: a server with its state in memory, on loopback alone. */
export interface ConsulAgent {
  /** `127.0.0.1:<port>`. */
  readonly httpAddr: string;
  readonly version: string;
  readonly binary: ConsulBinary;
  readonly pid: number | undefined;
  /** A clean end; the folder with its configuration goes, too. */
  stop(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** On the same ports; what was registered is gone. */
  restart(): Promise<void>;
}

const READY_WITHIN_MS = 30_000;
const CLASHES = 5;

/** Starts an agent on free ports and waits until it has a leader. Nothing is left running when this process ends. */
export async function startConsulAgent(options: ConsulAgentOptions): Promise<ConsulAgent> {
  const binary = options.binary ?? (await findConsul(options));
  const folder = await mkdtemp(join(tmpdir(), 'mcp-consul-router-agent-'));
  for (let clash = 1; ; clash++) {
    const agent = new Agent(binary, folder, await freePorts(), options);
    try {
      await agent.start();
      return agent;
    } catch (error) {
      // A port that was free a moment ago may be taken by now.
      if (clash === CLASHES || !/address already in use/.test(String(error))) {
        await rm(folder, { recursive: true, force: true });
        throw error;
      }
    }
  }
}

interface Ports {
  readonly http: number;
  readonly server: number;
  readonly serfLan: number;
  readonly serfWan: number;
}

class Agent implements ConsulAgent {
  readonly binary: ConsulBinary;
  readonly #folder: string;
  readonly #ports: Ports;
  readonly #options: ConsulAgentOptions;
  #child: ChildProcess | undefined;
  #output = '';

  constructor(binary: ConsulBinary, folder: string, ports: Ports, options: ConsulAgentOptions) {
    this.binary = binary;
    this.#folder = folder;
    this.#ports = ports;
    this.#options = options;
  }

  get httpAddr(): string {
    return `127.0.0.1:${this.#ports.http}`;
  }

  get version(): string {
    return this.binary.version;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    const file = join(this.#folder, 'agent.json');
    await writeFile(file, JSON.stringify(this.#options.config ?? {}));
    const { http, server, serfLan, serfWan } = this.#ports;
    const newer = !/^1\.(?:\d|1[0-3])\./.test(this.version);
    const child = spawn(
      this.binary.path,
      [
        'agent',
        '-dev',
        '-node=local',
        '-bind=127.0.0.1',
        '-client=127.0.0.1',
        '-log-level=warn',
        '-grpc-port=-1',
        // The second gRPC port came with 1.14; an older agent does not know the flag.
        ...(newer ? ['-grpc-tls-port=-1'] : []),
        '-dns-port=-1',
        `-http-port=${http}`,
        `-server-port=${server}`,
        `-serf-lan-port=${serfLan}`,
        `-serf-wan-port=${serfWan}`,
        `-config-file=${file}`,
      ],
      // Detached: Ctrl-C is for whoever started it, and he may still need it to deregister.
      { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    );
    this.#child = child;
    endWithMe(child, this.#folder);
    this.#output = '';
    const hear = (chunk: Buffer): void =>
      void (this.#output = (this.#output + chunk.toString()).slice(-10_000));
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    await this.#untilLed(child);
  }

  async stop(): Promise<void> {
    await this.kill('SIGINT');
    await rm(this.#folder, { recursive: true, force: true });
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (!child || ended(child)) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    const lazy = setTimeout(() => child.kill('SIGKILL'), 5000);
    await exited;
    clearTimeout(lazy);
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  async #untilLed(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + READY_WITHIN_MS;
    while (Date.now() < deadline) {
      if (ended(child)) throw new Error(`Consul ended at its start:\n${this.#output}`);
      if (await this.#hasLeader()) return;
      await delay(50);
    }
    await this.kill();
    throw new Error(`Consul had no leader within ${READY_WITHIN_MS / 1000} s:\n${this.#output}`);
  }

  async #hasLeader(): Promise<boolean> {
    const { token } = this.#options;
    try {
      // The node's own entry comes with the leader's first writes: then the catalog is served, too.
      const response = await fetch(`http://${this.httpAddr}/v1/catalog/node/local`, {
        headers: token === undefined ? {} : { 'x-consul-token': token },
        signal: AbortSignal.timeout(2000),
      });
      return response.ok && (await response.text()).includes('"Node"');
    } catch {
      return false;
    }
  }
}

function ended(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function freePorts(): Promise<Ports> {
  const servers = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const [http, server, serfLan, serfWan] = servers.map((each) => {
    const address = each.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((each) => once(each.close(), 'close')));
  return { http: http ?? 0, server: server ?? 0, serfLan: serfLan ?? 0, serfWan: serfWan ?? 0 };
}
