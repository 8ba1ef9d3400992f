import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { startEverything, type RunningServer } from '../../support/servers.ts';

let router: HandRouter;
let everything: RunningServer;

beforeAll(async () => {
  [router, everything] = await Promise.all([startHandRouter(), startEverything()]);
});
afterAll(async () => {
  await router.stop();
  await everything.stop();
});

it('a registered server is listed and called', async () => {
  router.register(registered('everything', [['a', everything.port]]));
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(`${router.url}/mcp`)));
  const tools = await eventually(async () => {
    const listed = await client.listTools();
    return listed.tools.length > 0 && listed.tools;
  });
  expect(tools.map((entry) => entry.name)).toContain('everything__echo');
  const result = await client.callTool({ name: 'everything__echo', arguments: { message: 'hi' } });
  expect(result.content).toEqual([{ type: 'text', text: 'Echo: hi' }]);
  await client.close();
});
