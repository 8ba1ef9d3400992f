import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { deregisterService, registerService, startConsul, type ConsulAgent } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { startProgram } from '../support/program.ts';
import { freePort, startEverything } from '../support/servers.ts';

let consul: ConsulAgent;
const cleanUp: (() => Promise<unknown> | undefined)[] = [];
beforeAll(async () => {
  consul = await startConsul();
});
afterAll(() => consul.stop());
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

function start(args: readonly string[], env: Record<string, string> = {}): void {
  const program = startProgram(args, { CONSUL_HTTP_ADDR: consul.httpAddr, ...env });
  cleanUp.push(() => {
    program.signal('SIGTERM');
    return program.ended;
  });
}

const script = (of: string): string =>
  fileURLToPath(import.meta.resolve(`@modelcontextprotocol/server-${of}/dist/index.js`));

interface Found {
  readonly tools: readonly { readonly name: string }[];
}

/** What a model sees: it searches, and calls what it found. */
async function search(client: Client, query: string): Promise<string[]> {
  const { structuredContent } = await client.callTool({ name: 'find_tools', arguments: { query } });
  return (structuredContent as Found).tools.map(({ name }) => name);
}

async function call(client: Client, name: string, args: Record<string, unknown>): Promise<string> {
  const result = await client.callTool({ name: 'call_tool', arguments: { name, arguments: args } });
  return (result.content as { text: string }[])[0]?.text ?? '';
}

it('a model with two tools in its list reaches the tools of all servers in Consul, as they come and go', async () => {
  const files = mkdtempSync(join(tmpdir(), 'tools-files-'));
  const [port, adminPort] = [await freePort(), await freePort()];
  const everything = await startEverything();
  cleanUp.push(() => everything.stop());
  await registerService(consul, { name: 'everything', id: 'everything-1', port: everything.port });
  start(['run', '--name', 'files', '--interval', '1s', '--', process.execPath, script('filesystem'), files]);
  start(['serve', '--tools', 'search'], {
    MCP_ROUTER_LISTEN: `127.0.0.1:${port}`,
    MCP_ROUTER_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    MCP_ROUTER_STATE_DIR: mkdtempSync(join(tmpdir(), 'router-state-')),
  });
  await eventually(async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok);

  const client = new Client({ name: 'e2e', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`)));
  cleanUp.push(() => client.close());
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toEqual(['find_tools', 'call_tool']);

  await eventually(async () => (await search(client, 'write a file')).includes('files__write_file'));
  await call(client, 'files__write_file', { path: join(files, 'note.txt'), content: 'remember the milk' });
  expect(await call(client, 'files__read_text_file', { path: join(files, 'note.txt') })).toBe(
    'remember the milk',
  );
  expect(await search(client, 'sum of two numbers')).toContain('everything__get-sum');
  expect(await call(client, 'everything__get-sum', { a: 20, b: 22 })).toContain('42');

  // A server that nobody knew of when the conversation began.
  start(['run', '--name', 'notes', '--interval', '1s', '--', process.execPath, script('memory')], {
    MEMORY_FILE_PATH: join(files, 'memory.json'),
  });
  await eventually(async () =>
    (await search(client, 'add to knowledge graph')).includes('notes__create_entities'),
  );
  const ann = { name: 'Ann', entityType: 'person', observations: ['likes tea'] };
  expect(await call(client, 'notes__create_entities', { entities: [ann] })).toContain('likes tea');

  await everything.stop();
  await deregisterService(consul, 'everything-1');
  await eventually(async () => !(await search(client, 'sum of two numbers')).includes('everything__get-sum'));
});
