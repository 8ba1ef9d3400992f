import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBackend, type Backend } from '../support/backend.ts';
import { startConsulRouter } from '../support/consul-router.ts';
import { registerService, startConsul, type ConsulAgent } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { RawSession } from '../support/mcp-client.ts';
import { runProgram, startProgram } from '../support/program.ts';

let consul: ConsulAgent;
let router: Awaited<ReturnType<typeof startConsulRouter>>;
let backend: Backend;
beforeAll(async () => {
  consul = await startConsul();
  router = await startConsulRouter(consul.httpAddr);
  backend = await startBackend();
  await registerService(consul, { name: 'files', id: 'files-1', port: backend.port });
  await eventually(async () =>
    (await runProgram(['list', '--admin', router.adminUrl])).output.includes('echo'),
  );
});
afterAll(async () => {
  await router.stop();
  await backend.stop();
  await consul.stop();
});

it('prints where a call would go, and ends with 0', async () => {
  const { status, output } = await runProgram(['explain', 'files__echo', '--admin', router.adminUrl]);
  expect(output).toContain('tool echo of service files: available');
  expect(output).toContain('listed as: files__echo, files.echo');
  expect(output).toMatch(/files-1 +dc1\/\S+ +100 % +0 +(—|\d+ ms) +It/);
  expect(status).toBe(0);
});

it('prints why there is nothing and what was meant, and ends with 1', async () => {
  const { status, output } = await runProgram(['explain', 'files__eko', '--admin', router.adminUrl]);
  expect(output).toContain('✗ No instance of files lists a tool, prompt or resource eko. It has echo.');
  expect(output).toContain('→ Look at what the service has');
  expect(output).toContain('files__eko can not be used.');
  expect(status).toBe(1);
  const json = await runProgram(['explain', 'fils', '--json', '--admin', router.adminUrl]);
  expect(json.status).toBe(1);
  expect(JSON.parse(json.output.slice(0, json.output.lastIndexOf('}') + 1))).toMatchObject({
    query: 'fils',
    subjects: [],
    similar: ['files'],
  });
});

it('says what to write where nothing was asked, and where no router answers', async () => {
  const nothing = await runProgram(['explain']);
  expect(nothing.status).toBe(2);
  expect(nothing.output).toContain('Say what is to be explained');
  const nobody = await runProgram(['explain', 'x', '--admin', 'http://127.0.0.1:1']);
  expect(nobody.status).toBe(1);
  expect(nobody.output).toContain('No router answers at http://127.0.0.1:1');
});

it('reads a session id from stdin', async () => {
  const session = await RawSession.open(`${router.url}/mcp`);
  const ask = async (id: string): Promise<{ status: number | string; output: string }> => {
    const program = startProgram(['explain', '--session', '--admin', router.adminUrl]);
    program.process.stdin?.end(id);
    return { status: await program.ended, output: program.output() };
  };
  const good = await ask(`${session.id}\n`);
  expect(good.output).toContain('"path": "/mcp"');
  expect(good.status).toBe(0);
  const bad = await ask('nonsense');
  expect(bad.output).toContain('[SESSION_UNSEALED]');
  expect(bad.status).toBe(1);
  expect((await ask('two words')).status).toBe(2);
});
