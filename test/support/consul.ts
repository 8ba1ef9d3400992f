import { startConsulAgent, type ConsulAgent } from '../../src/cli/demo/consul-agent.ts';

export type { ConsulAgent } from '../../src/cli/demo/consul-agent.ts';

/** A real agent for a test; the first one of all fetches the binary, which may take a minute. */
export function startConsul(config: Record<string, unknown> = {}, token?: string): Promise<ConsulAgent> {
  return startConsulAgent({
    environment: process.env,
    progress: (line) => void process.stderr.write(`${line}\n`),
    config,
    ...(token !== undefined && { token }),
  });
}

/** A request to the agent's HTTP API; throws where it is refused. */
export async function consulApi(
  agent: Pick<ConsulAgent, 'httpAddr'>,
  method: 'GET' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
  token?: string,
): Promise<unknown> {
  const response = await fetch(`http://${agent.httpAddr}/v1/${path}`, {
    method,
    headers: token === undefined ? {} : { 'x-consul-token': token },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === '' ? undefined : (JSON.parse(text) as unknown);
}

export interface TestService {
  readonly name: string;
  readonly id?: string;
  readonly port?: number;
  readonly address?: string;
  readonly tags?: readonly string[];
  readonly meta?: Record<string, string>;
  readonly weights?: { readonly Passing: number; readonly Warning: number };
  /** Of a TTL check that comes with it; `none` for no check at all. */
  readonly check?: 'passing' | 'warning' | 'critical' | 'none';
}

export async function registerService(
  agent: Pick<ConsulAgent, 'httpAddr'>,
  service: TestService,
  token?: string,
): Promise<void> {
  const id = service.id ?? service.name;
  await consulApi(
    agent,
    'PUT',
    'agent/service/register',
    {
      ID: id,
      Name: service.name,
      Port: service.port ?? 9,
      Address: service.address ?? '127.0.0.1',
      Tags: service.tags ?? ['mcp'],
      Meta: service.meta ?? {},
      ...(service.weights && { Weights: service.weights }),
      ...(service.check !== 'none' && {
        Check: { CheckID: `check:${id}`, TTL: '1h', Status: service.check ?? 'passing' },
      }),
    },
    token,
  );
}

export async function deregisterService(agent: Pick<ConsulAgent, 'httpAddr'>, id: string): Promise<void> {
  await consulApi(agent, 'PUT', `agent/service/deregister/${encodeURIComponent(id)}`);
}

export async function setCheck(
  agent: Pick<ConsulAgent, 'httpAddr'>,
  id: string,
  status: 'pass' | 'warn' | 'fail',
): Promise<void> {
  await consulApi(agent, 'PUT', `agent/check/${status}/${encodeURIComponent(`check:${id}`)}`);
}

export async function setMaintenance(
  agent: Pick<ConsulAgent, 'httpAddr'>,
  id: string,
  enable: boolean,
): Promise<void> {
  await consulApi(
    agent,
    'PUT',
    `agent/service/maintenance/${encodeURIComponent(id)}?enable=${enable}&reason=test`,
  );
}
