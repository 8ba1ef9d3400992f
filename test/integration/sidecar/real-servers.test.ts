import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { startWrapped, stopWrapped } from '../../support/wrapped.ts';

const serverPath = (name: string): string =>
  fileURLToPath(import.meta.resolve(`@modelcontextprotocol/${name}/dist/index.js`));
const everything = [serverPath('server-everything'), 'stdio'];
const longOperation = (seconds: number, steps: number) => ({
  name: 'trigger-long-running-operation',
  arguments: { duration: seconds, steps },
});

const clients: Client[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await stopWrapped();
});

async function connect(url: string): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' });
  clients.push(client);
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return client;
}

const textOf = (result: unknown): string =>
  ((result as { content: { text: string }[] }).content[0] ?? { text: '' }).text;

describe('server-everything, shared by clients of the SDK', () => {
  it('every family of methods works', async () => {
    const { url } = await startWrapped(everything);
    const client = await connect(url);
    // Without capabilities of the client it hides the tools that need them (protocol facts, section 4).
    expect((await client.listTools()).tools).toHaveLength(13);
    expect((await client.listPrompts()).prompts).toHaveLength(4);
    const { resources } = await client.listResources();
    expect(resources.length).toBeGreaterThan(0);
    const { contents } = await client.readResource({ uri: resources[0]!.uri });
    expect(contents[0]?.uri).toBe(resources[0]!.uri);
    expect((await client.listResourceTemplates()).resourceTemplates).toHaveLength(2);
    const { completion } = await client.complete({
      ref: { type: 'ref/prompt', name: 'completable-prompt' },
      argument: { name: 'department', value: 'E' },
    });
    expect(completion.values).toEqual(['Engineering']);
    const structured = await client.callTool({
      name: 'get-structured-content',
      arguments: { location: 'New York' },
    });
    expect(structured.structuredContent).toHaveProperty('temperature');
    await client.ping();
  });

  it('progress reaches the client whose call it is, while others use the same ids', async () => {
    const { url } = await startWrapped(everything);
    const all = await Promise.all(Array.from({ length: 20 }, () => connect(url)));
    const heard = all.map(() => 0);
    const results = await Promise.all(
      all.map((client, at) =>
        client.callTool(longOperation(0.4, 1 + (at % 4)), undefined, {
          onprogress: () => {
            heard[at] = (heard[at] ?? 0) + 1;
          },
        }),
      ),
    );
    expect(heard).toEqual(all.map((_, at) => 1 + (at % 4)));
    results.forEach((result, at) => expect(textOf(result)).toContain(`Steps: ${1 + (at % 4)}`));
  });

  it('a cancelled call ends at the client, and the session goes on', async () => {
    const { url, healthUrl } = await startWrapped(everything);
    const client = await connect(url);
    const abort = new AbortController();
    const call = client.callTool(longOperation(30, 30), undefined, {
      signal: abort.signal,
      onprogress: () => abort.abort('enough'),
    });
    await expect(call).rejects.toThrow('enough');
    await eventually(
      async () => ((await (await fetch(healthUrl)).json()) as { running: number }).running === 0,
    );
    expect(textOf(await client.callTool({ name: 'echo', arguments: { message: 'on' } }))).toContain('on');
  });

  it('log messages and updates come to those who want them', async () => {
    const { url } = await startWrapped(everything);
    const [one, two] = await Promise.all([connect(url), connect(url)]);
    const logged = [0, 0];
    const updated: string[] = [];
    [one, two].forEach((client, at) => {
      client.setNotificationHandler(LoggingMessageNotificationSchema, () => {
        logged[at] = (logged[at] ?? 0) + 1;
      });
      client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
        updated.push(`${at} ${params.uri}`);
      });
    });
    await one.setLoggingLevel('debug');
    await two.setLoggingLevel('emergency');
    const uri = 'demo://resource/dynamic/text/1';
    await two.subscribeResource({ uri });
    await one.callTool({ name: 'toggle-simulated-logging', arguments: {} });
    await one.callTool({ name: 'toggle-subscriber-updates', arguments: {} });
    await eventually(() => logged[0]! > 0 && updated.length > 0);
    expect(updated.every((line) => line === `1 ${uri}`)).toBe(true);
  });

  it('kill -9 in the middle of a call: one clear error, then everything as before', async () => {
    const { url, healthUrl, logs } = await startWrapped(everything);
    const [caller, other] = await Promise.all([connect(url), connect(url)]);
    const pid = Number(logs.find((line) => line.message === 'server started')?.fields?.['pid']);
    const call = caller.callTool(longOperation(30, 30), undefined, {
      onprogress: () => process.kill(pid, 'SIGKILL'),
    });
    await expect(call).rejects.toMatchObject({
      code: 1002,
      message: expect.stringContaining('was ended by SIGKILL while it worked on this'),
      data: { code: 'BACKEND_FAILED' },
    });
    await eventually(async () => (await fetch(healthUrl)).status === 200);
    for (const client of [caller, other]) {
      expect(textOf(await client.callTool({ name: 'echo', arguments: { message: 'again' } }))).toContain(
        'again',
      );
    }
  });
});

it('server-filesystem reads files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-router-test-'));
  try {
    await writeFile(join(folder, 'a.txt'), 'written by the test');
    const { url } = await startWrapped([serverPath('server-filesystem'), folder]);
    const client = await connect(url);
    expect((await client.listTools()).tools).toHaveLength(14);
    const read = await client.callTool({
      name: 'read_text_file',
      arguments: { path: join(folder, 'a.txt') },
    });
    expect(textOf(read)).toBe('written by the test');
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('server-memory keeps what one client wrote for the next, with one child and with many', async () => {
  for (const perSession of [false, true]) {
    const folder = await mkdtemp(join(tmpdir(), 'mcp-router-test-'));
    const { url } = await startWrapped([serverPath('server-memory')], {
      perSession,
      env: { ...process.env, MEMORY_FILE_PATH: join(folder, 'memory.json') },
    });
    const [one, two] = await Promise.all([connect(url), connect(url)]);
    const entity = { name: 'Ada', entityType: 'person', observations: ['counts'] };
    await one.callTool({ name: 'create_entities', arguments: { entities: [entity] } });
    const found = await two.callTool({ name: 'search_nodes', arguments: { query: 'Ada' } });
    expect(textOf(found)).toContain('counts');
    await rm(folder, { recursive: true });
  }
});
