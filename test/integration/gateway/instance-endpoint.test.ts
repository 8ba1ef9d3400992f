import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { simpleTool, startBackend, type Backend } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';

let router: HandRouter;
let old: Backend;
let recent: Backend;

beforeAll(async () => {
  [router, old, recent] = await Promise.all([
    startHandRouter(),
    startBackend({ tools: [simpleTool('echo'), simpleTool('gone')] }),
    startBackend({ tools: [simpleTool('echo'), simpleTool('added')] }),
  ]);
  router.register(
    registered('one', [
      ['old-1', old.port],
      ['new-1', recent.port],
    ]),
  );
  const session = await RawSession.open(`${router.url}/mcp`);
  await eventually(async () => (await session.toolNames()).length > 0);
  for (const id of ['dc1/node/old-1', 'dc1/node/new-1']) {
    await eventually(async () => (await raw(at(id), { body: initialize })).status === 200);
  }
});
afterAll(async () => {
  await router.stop();
  await old.stop();
  await recent.stop();
});

const at = (id: string) => `${router.url}/services/one/instances/${id}/mcp`;
const modern = {
  'mcp-protocol-version': '2026-07-28',
  'mcp-method': 'tools/call',
  'mcp-name': 'added',
};

describe("an instance's own endpoint", () => {
  it('shows what this instance has, whatever the service as a whole shows', async () => {
    const first = await RawSession.open(at('dc1/node/old-1'));
    const second = await RawSession.open(at('dc1/node/new-1'));
    expect(await first.toolNames()).toEqual(['echo', 'gone']);
    expect(await second.toolNames()).toEqual(['added', 'echo']);
  });

  it('calls this instance and no other, in both eras', async () => {
    const first = await RawSession.open(at('dc1/node/old-1'));
    for (let call = 0; call < 10; call++) {
      const called = await first.call('echo');
      expect(called.result?.['content']).toEqual([{ type: 'text', text: `echo by ${old.port}` }]);
    }
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'x', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const answer = await raw(at('dc1/node/new-1'), {
      headers: modern,
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'added', arguments: {}, _meta: meta },
      }),
    });
    expect(answer.messages[0]?.result?.['content']).toEqual([
      { type: 'text', text: `added by ${recent.port}` },
    ]);
  });

  it('says so where this instance is not ready, though another could answer', async () => {
    const lost = await startBackend({ tools: [simpleTool('echo')] });
    router.register(
      registered('one', [
        ['old-1', old.port],
        ['new-1', recent.port],
        ['lost', lost.port],
      ]),
    );
    await eventually(async () => (await raw(at('dc1/node/lost'), { body: initialize })).status === 200);
    const session = await RawSession.open(at('dc1/node/lost'));
    await lost.stop();
    expect((await session.call('echo')).error?.message).toContain('one');
    expect((await (await RawSession.open(at('dc1/node/old-1'))).call('echo')).error).toBeUndefined();
  });

  it('is not there for an instance that is not', async () => {
    const answer = await raw(at('dc1/node/other'), { body: initialize });
    expect(answer.status).toBe(404);
    expect(answer.messages[0]?.error?.message).toContain('/services/<service>/instances/<id>/mcp');
  });
});

const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
});
