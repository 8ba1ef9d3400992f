import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Program } from './processes.ts';
import { until, type Stage } from './stage.ts';

/** The demo's story, act by act. Each act throws where what it promises does not come true. */

export interface Narrator {
  title(text: string): void;
  say(text: string): void;
}

interface Everything {
  readonly id: string;
  readonly program: Program;
}

async function connect(stage: Stage): Promise<Client> {
  const client = new Client({ name: 'demo-client', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(stage.url)));
  return client;
}

const textOf = (result: Awaited<ReturnType<Client['callTool']>>): string =>
  (result.content as { text?: string }[]).map((part) => part.text ?? '').join(' ');

const names = async (client: Client): Promise<string[]> =>
  (await client.listTools()).tools.map((tool) => tool.name);

async function call(client: Client, name: string, args: Record<string, unknown> = {}): Promise<string> {
  const result = await client.callTool({ name, arguments: args });
  if (result.isError) throw new Error(`${name} failed: ${textOf(result)}`);
  return textOf(result);
}

/** The instance at which the client's session for `everything` is, as the router knows it. */
async function homeOf(stage: Stage, clientName: string): Promise<string | undefined> {
  const { sessions } = (await stage.admin('/api/v1/sessions')) as {
    sessions: { client: { name: string }; backends: Record<string, string> }[];
  };
  const own = sessions.find((session) => session.client.name === clientName);
  return own?.backends['everything']?.split('/').pop();
}

export async function play(stage: Stage, narrator: Narrator): Promise<void> {
  const client = await connect(stage);
  const fleet = await catalog(stage, client, narrator);
  await deploy(stage, client, narrator);
  await failover(stage, client, fleet, narrator);
  await drain(stage, client, fleet, narrator);
  await client.close();
}

async function catalog(stage: Stage, client: Client, narrator: Narrator): Promise<Everything[]> {
  narrator.title('One endpoint, everything that Consul knows');
  const fleet: Everything[] = [];
  for (const id of ['everything-1', 'everything-2']) {
    const { program, port } = await stage.startEverything();
    await stage.registerEverything('everything', id, port);
    fleet.push({ id, program });
  }
  const tools = await until('all three services are listed', async () => {
    const found = await names(client);
    return ['everything__', 'files__', 'memory__'].every((prefix) =>
      found.some((name) => name.startsWith(prefix)),
    )
      ? found
      : undefined;
  });
  for (const service of ['everything', 'files', 'memory']) {
    const own = tools.filter((name) => name.startsWith(`${service}__`));
    narrator.say(
      `${service.padEnd(11)} ${String(own.length).padStart(2)} tools: ${own.slice(0, 4).join(', ')}${own.length > 4 ? ', …' : ''}`,
    );
  }
  narrator.say(
    `everything__echo           → ${await call(client, 'everything__echo', { message: 'hello' })}`,
  );
  narrator.say(
    `files__list_allowed_dir…   → ${(await call(client, 'files__list_allowed_directories')).replaceAll('\n', ' ').slice(0, 60)}`,
  );
  narrator.say(
    `memory__read_graph         → ${(await call(client, 'memory__read_graph')).replaceAll(/\s+/g, ' ').slice(0, 60)}`,
  );
  return fleet;
}

async function deploy(stage: Stage, client: Client, narrator: Narrator): Promise<void> {
  narrator.title('Deploy a server: its tools appear');
  const { port } = await stage.startEverything();
  const registeredAt = performance.now();
  await stage.registerEverything('newcomer', 'newcomer-1', port);
  await until('the new tools are listed', async () =>
    (await names(client)).includes('newcomer__echo') ? true : undefined,
  );
  const listedMs = performance.now() - registeredAt;
  await call(client, 'newcomer__echo', { message: 'I am new' });
  const calledMs = performance.now() - registeredAt;
  narrator.say(
    `registered → listed ${listedMs.toFixed(0)} ms → first call answered ${calledMs.toFixed(0)} ms`,
  );
}

async function failover(
  stage: Stage,
  client: Client,
  fleet: Everything[],
  narrator: Narrator,
): Promise<void> {
  narrator.title('kill -9 an instance: calls go on');
  await call(client, 'everything__echo', { message: 'where am I' });
  const home = await homeOf(stage, 'demo-client');
  const victim = fleet.find((one) => one.id === home) ?? fleet[0];
  if (!victim) throw new Error('There is nobody to kill.');
  narrator.say(`this client's session is at ${victim.id}, process ${victim.program.pid ?? '?'}: kill -9`);
  await victim.program.kill('SIGKILL');
  const answers = await Promise.allSettled(
    Array.from({ length: 32 }, (_, n) => call(client, 'everything__echo', { message: `call ${n}` })),
  );
  const failed = answers.filter((answer) => answer.status === 'rejected').length;
  if (failed > 0) throw new Error(`${failed} of ${answers.length} calls failed after kill -9`);
  narrator.say(
    `${answers.length} calls at once, right after: all answered, now by ${(await homeOf(stage, 'demo-client')) ?? 'another'}`,
  );
  await until('Consul has noticed', async () => {
    const service = (await stage.admin('/api/v1/services/everything')) as {
      instances: { serviceId: string; state: string }[];
    };
    return service.instances.some((one) => one.serviceId === victim.id && one.state === 'critical')
      ? true
      : undefined;
  });
  narrator.say(`Consul says critical for ${victim.id} by now; the router did not need to wait for that`);
  const { program, port } = await stage.startEverything();
  await stage.registerEverything('everything', 'everything-3', port);
  fleet.splice(fleet.indexOf(victim), 1, { id: 'everything-3', program });
  await until('the replacement takes calls', async () => {
    const service = (await stage.admin('/api/v1/services/everything')) as {
      instances: { receivesCalls: boolean }[];
    };
    return service.instances.filter((one) => one.receivesCalls).length === 2 ? true : undefined;
  });
  narrator.say('a replacement was deployed: everything-3');
}

async function drain(stage: Stage, client: Client, fleet: Everything[], narrator: Narrator): Promise<void> {
  narrator.title('Maintenance: running calls finish, new ones go elsewhere');
  await call(client, 'everything__echo', { message: 'where am I' });
  const home = await homeOf(stage, 'demo-client');
  const other = fleet.find((one) => one.id !== home)?.id ?? '?';
  if (home === undefined) throw new Error('The session has no instance.');
  const running = client.callTool({
    name: 'everything__trigger-long-running-operation',
    arguments: { duration: 3, steps: 3 },
  });
  await delay(500);
  await stage.maintenance(home, true);
  await until('the instance is drained', async () => {
    const service = (await stage.admin('/api/v1/services/everything')) as {
      instances: { serviceId: string; receivesCalls: boolean }[];
    };
    return service.instances.some((one) => one.serviceId === home && !one.receivesCalls) ? true : undefined;
  });
  narrator.say(`${home} is in maintenance while it works on a call of 3 s`);
  await call(client, 'everything__echo', { message: 'meanwhile' });
  const now = await homeOf(stage, 'demo-client');
  narrator.say(`a new call went to ${now === home ? other : (now ?? other)}`);
  const finished = textOf(await running);
  if (!/completed/i.test(finished)) throw new Error(`The running call did not finish: ${finished}`);
  narrator.say(`the running call finished at ${home}: ${finished.slice(0, 60)}`);
  await stage.maintenance(home, false);
}
