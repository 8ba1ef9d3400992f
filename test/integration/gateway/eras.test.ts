import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernHttp,
} from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startFixture, type Fixture } from '../../conformance/fixture/start.ts';
import { eventually } from '../../support/eventually.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startEverything, type RunningServer } from '../../support/servers.ts';

const answers = {
  roots: { roots: [{ uri: 'file:///home/ann', name: 'home' }] },
  sampling: {
    role: 'assistant' as const,
    content: { type: 'text' as const, text: 'forty-two' },
    model: 'test-model',
  },
  elicitation: { action: 'accept' as const, content: { username: 'ann', email: 'ann@example.com' } },
};
const capabilities = { sampling: {}, elicitation: { form: {} }, roots: {} };

const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((client) => client.close()));
});

/** The SDK's own client of the stateless era; it answers what it is asked in results by itself. */
async function modern(url: string, asked: string[] = []): Promise<ModernClient> {
  const client = new ModernClient(
    { name: 'modern', version: '1' },
    { capabilities, versionNegotiation: { mode: { pin: '2026-07-28' } } },
  );
  closing.push(client);
  client.setRequestHandler('roots/list', () => (asked.push('roots'), answers.roots));
  client.setRequestHandler('sampling/createMessage', () => (asked.push('sampling'), answers.sampling));
  client.setRequestHandler('elicitation/create', () => (asked.push('elicitation'), answers.elicitation));
  await client.connect(new ModernHttp(new URL(url)));
  return client;
}

async function legacy(url: string, asked: string[] = []): Promise<Client> {
  const client = new Client({ name: 'legacy', version: '1' }, { capabilities });
  closing.push(client);
  client.setRequestHandler(ListRootsRequestSchema, () => (asked.push('roots'), answers.roots));
  client.setRequestHandler(CreateMessageRequestSchema, () => (asked.push('sampling'), answers.sampling));
  client.setRequestHandler(ElicitRequestSchema, () => (asked.push('elicitation'), answers.elicitation));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return client;
}

describe('a client of the stateless era and a server of the session era (server-everything)', () => {
  let router: HandRouter;
  let server: RunningServer;
  beforeAll(async () => {
    router = await startHandRouter();
    server = await startEverything();
    router.register(registered('every', [['a', server.port]]));
    const probe = await legacy(`${router.url}/mcp`);
    await eventually(async () => (await probe.listTools()).tools.length > 0);
  });
  afterAll(async () => {
    await router.stop();
    await server.stop();
  });

  it('lists and calls', async () => {
    const client = await modern(`${router.url}/mcp`);
    const { tools } = await client.listTools();
    expect(tools.map((tool) => tool.name)).toContain('every__echo');
    const result = await client.callTool({ name: 'every__echo', arguments: { message: 'hi' } });
    expect(result.content).toEqual([{ type: 'text', text: 'Echo: hi' }]);
  });

  it('answers what the server asks in the middle of a call', async () => {
    const asked: string[] = [];
    const client = await modern(`${router.url}/mcp`, asked);
    const sampled = await client.callTool({
      name: 'every__trigger-sampling-request',
      arguments: { prompt: 'what?', maxTokens: 10 },
    });
    expect(JSON.stringify(sampled.content)).toContain('forty-two');
    const elicited = await client.callTool({ name: 'every__trigger-elicitation-request', arguments: {} });
    expect(JSON.stringify(elicited.content)).toContain('ann');
    const rooted = await client.callTool({ name: 'every__get-roots-list', arguments: {} });
    expect(JSON.stringify(rooted.content)).toContain('file:///home/ann');
    expect(asked).toEqual(expect.arrayContaining(['sampling', 'elicitation']));
  });

  it('is told of progress', async () => {
    const client = await modern(`${router.url}/mcp`);
    const progress: number[] = [];
    await client.callTool(
      { name: 'every__trigger-long-running-operation', arguments: { duration: 0.5, steps: 5 } },
      { onprogress: (event) => void progress.push(event.progress) },
    );
    expect(progress).toEqual([1, 2, 3, 4, 5]);
  });
});

describe('a client of the session era and a server of the stateless era (the conformance fixture)', () => {
  let router: HandRouter;
  let fixture: Fixture;
  beforeAll(async () => {
    router = await startHandRouter();
    fixture = await startFixture({ eras: 'modern' });
    router.register(registered('fix', [['a', fixture.port]]));
    const probe = await legacy(`${router.url}/mcp`);
    await eventually(async () => (await probe.listTools()).tools.length > 0);
  });
  afterAll(async () => {
    await router.stop();
    await fixture.stop();
  });

  it('lists and calls', async () => {
    const client = await legacy(`${router.url}/mcp`);
    const { tools } = await client.listTools();
    expect(tools.map((tool) => tool.name)).toContain('fix__test_simple_text');
    const result = await client.callTool({ name: 'fix__test_simple_text', arguments: {} });
    expect(JSON.stringify(result.content)).toContain('simple text');
  });

  it('is asked on its stream for what the server wants to know first', async () => {
    const asked: string[] = [];
    const client = await legacy(`${router.url}/mcp`, asked);
    const elicited = await client.callTool({
      name: 'fix__test_elicitation',
      arguments: { message: 'who are you?' },
    });
    expect(JSON.stringify(elicited.content)).toContain('ann');
    const sampled = await client.callTool({ name: 'fix__test_sampling', arguments: { prompt: 'what?' } });
    expect(JSON.stringify(sampled.content)).toContain('forty-two');
    expect(asked).toEqual(['elicitation', 'sampling']);
  });
});
