import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { expect, it } from 'vitest';
import { registerService, startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { startProgram } from '../support/program.ts';
import { freePort, startEverythingSse } from '../support/servers.ts';

it('servers registered in Consul with mcp-transport=sse are listed and called; one of two may die', async () => {
  const [consul, one, two] = await Promise.all([startConsul(), startEverythingSse(), startEverythingSse()]);
  const [port, adminPort] = [await freePort(), await freePort()];
  const program = startProgram(['serve'], {
    CONSUL_HTTP_ADDR: consul.httpAddr,
    MCP_ROUTER_LISTEN: `127.0.0.1:${port}`,
    MCP_ROUTER_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    MCP_ROUTER_STATE_DIR: mkdtempSync(join(tmpdir(), 'router-state-')),
  });
  const client = new Client({ name: 'e2e', version: '1' });
  try {
    for (const [id, server] of [
      ['o1', one],
      ['o2', two],
    ] as const) {
      const meta = { 'mcp-transport': 'sse' };
      await registerService(consul, { name: 'old', id, port: server.port, meta });
    }
    await eventually(
      async () => {
        const answer = await fetch(`http://127.0.0.1:${adminPort}/api/v1/services/old`);
        const { instances } = (await answer.json()) as { instances?: { receivesCalls: boolean }[] };
        return instances?.filter((instance) => instance.receivesCalls).length === 2;
      },
      { withinMs: 30_000 },
    );
    await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`)));
    const echo = async (message: string): Promise<unknown> =>
      (await client.callTool({ name: 'old__echo', arguments: { message } })).content;
    const steps: number[] = [];
    await client.callTool(
      { name: 'old__trigger-long-running-operation', arguments: { duration: 0.4, steps: 2 } },
      undefined,
      { onprogress: ({ progress }) => void steps.push(progress) },
    );
    expect(steps).toEqual([1, 2]);
    await one.stop('SIGKILL');
    expect(await echo('still')).toEqual([{ type: 'text', text: 'Echo: still' }]);
    program.signal('SIGTERM');
    expect(await program.ended).toBe(0);
  } finally {
    await client.close();
    program.signal('SIGKILL');
    await program.ended;
    await Promise.all([one.stop(), two.stop(), consul.stop()]);
  }
});
