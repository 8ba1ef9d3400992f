import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Instance } from '../../../src/model.ts';
import { startBackend, type Backend, type Exchange } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession, type Message } from '../../support/mcp-client.ts';
import { at, registered, startHandRouter, type HandRouter } from '../../support/router.ts';

/** Choosing and ejecting as a client and an operator meet it; the rules themselves are in test/unit/routing. */

let router: HandRouter;
const backends: Backend[] = [];

beforeEach(async () => {
  router = await startHandRouter({ connectTimeout: 500, slowStart: '0' }, undefined, { node: 'near' });
});
afterEach(async () => {
  await router.stop();
  await Promise.all(backends.splice(0).map((backend) => backend.stop().catch(() => undefined)));
});

async function fleet(count: number): Promise<Backend[]> {
  const started = await Promise.all(Array.from({ length: count }, () => startBackend()));
  backends.push(...started);
  return started;
}

interface Shown {
  readonly healthy: number;
  readonly problems: readonly { readonly code: string }[];
  readonly instances: readonly {
    readonly serviceId: string;
    readonly receivesCalls: boolean;
    readonly standing?: { readonly state: string; readonly why: string; readonly share: number };
  }[];
}

async function shown(): Promise<Shown> {
  const answer = await raw(`${router.adminUrl}/api/v1/services/s`, { method: 'GET' });
  return JSON.parse(answer.text) as Shown;
}

async function states(): Promise<readonly (string | undefined)[]> {
  return (await shown()).instances.map(({ standing }) => standing?.state);
}

/** Registers instances of the stateless service `s`, waits until all take calls, opens a session. */
async function serve(
  instances: readonly Instance[],
  more: Parameters<typeof registered>[2] = {},
): Promise<RawSession> {
  router.register(registered('s', instances, { session: 'stateless', ...more }));
  await eventually(async () => (await states()).every((state) => state === 'in'));
  return RawSession.open(`${router.url}/mcp`);
}

const text = (message: Message): string =>
  (message.result?.['content'] as { text: string }[] | undefined)?.[0]?.text ?? JSON.stringify(message.error);

/** How many of so many calls each backend got. */
async function spread(session: RawSession, calls: number, of: readonly Backend[]): Promise<number[]> {
  const before = of.map((backend) => backend.count('tools/call'));
  for (let n = 0; n < calls; n++) await session.call('s__echo');
  return of.map((backend, index) => backend.count('tools/call') - (before[index] ?? 0));
}

const hangUp = ({ request }: Exchange): void => void request.socket.destroy();

describe('an instance that fails although Consul says passing', () => {
  it('gets no more calls, the operator sees why, and it comes back when it is well', async () => {
    const [one, two, three] = await fleet(3);
    const all = [one!, two!, three!];
    const session = await serve(all.map(({ port }, index) => at('s', `i${index}`, port)));
    const breakOff = (): void => {
      one!.on['tools/call'] = hangUp;
      one!.on['tools/list'] = hangUp;
      one!.on['initialize'] = hangUp;
    };
    breakOff();
    await eventually(async () => {
      await session.call('s__echo');
      return (await states())[0] === 'ejected';
    });
    const [sick] = (await shown()).instances;
    expect(sick).toMatchObject({ receivesCalls: false, standing: { share: 0 } });
    expect(sick?.standing?.why).toMatch(/refused or cut/);
    expect((await spread(session, 20, all))[0]).toBe(0);
    const metrics = await raw(`${router.adminUrl}/metrics`, { method: 'GET' });
    expect(metrics.text).toContain('mcp_router_ejected_instances{service="s"} 1');
    expect(metrics.text).toMatch(/mcp_router_ejections_total\{service="s",reason="\w[\w-]*"\} 1/);
    for (const method of Object.keys(one!.on)) delete one!.on[method];
    // By a look of the router's own, long before the time is over.
    await eventually(async () => (await states())[0] === 'in');
    await eventually(async () => (await spread(session, 10, all))[0]! > 0);
    expect(router.logs.map(({ message }) => message)).toEqual(
      expect.arrayContaining([expect.stringContaining('ejected'), 'instance taken back']),
    );
  });

  it('stays in with errors of its tools: these say nothing about its health', async () => {
    const [one, two] = await fleet(2);
    const session = await serve([at('s', 'a', one!.port), at('s', 'b', two!.port)]);
    one!.on['tools/call'] = ({ result }) =>
      result({ isError: true, content: [{ type: 'text', text: 'no' }] });
    two!.on['tools/call'] = ({ message, json }) =>
      json(200, JSON.stringify({ jsonrpc: '2.0', id: message.id, error: { code: -32000, message: 'no' } }));
    for (let n = 0; n < 20; n++) await session.call('s__echo');
    expect(await states()).toEqual(['in', 'in']);
  });

  it('is used all the same where most of the service fail', async () => {
    const [one, two] = await fleet(2);
    const session = await serve([at('s', 'a', one!.port), at('s', 'b', two!.port)]);
    for (const each of [one!, two!]) each.on['tools/call'] = hangUp;
    await eventually(async () => {
      await session.call('s__write');
      return (await states()).every((state) => state === 'spared');
    });
    for (const each of [one!, two!]) delete each.on['tools/call'];
    expect(text(await session.call('s__write'))).toContain('write by');
  });
});

describe('calls go', () => {
  it("to the router's own node, and elsewhere when it fails", async () => {
    const [near, far] = await fleet(2);
    const session = await serve([
      at('s', 'a', near!.port, { node: 'near' }),
      at('s', 'b', far!.port, { node: 'far' }),
    ]);
    expect(await spread(session, 20, [near!, far!])).toEqual([20, 0]);
    await near!.stop();
    expect(text(await session.call('s__write'))).toBe(`write by ${far!.port}`);
  });

  it('by weights of versions, which change while the router runs, and a wrong one is reported', async () => {
    const [old, next] = await fleet(2);
    const both = [old!, next!];
    const session = await serve(
      [at('s', 'a', old!.port, { version: '1' }), at('s', 'b', next!.port, { version: '2' })],
      { balance: 'weighted' },
    );
    router.weigh('s', { '1': 1, '2': 0 });
    await eventually(async () => (await states())[1] === 'out');
    expect(await spread(session, 20, both)).toEqual([20, 0]);
    router.weigh('s', { '2': 1, '3': 1 });
    await eventually(async () => (await shown()).problems.some(({ code }) => code === 'VERSION_MISSING'));
    expect(await spread(session, 20, both)).toEqual([0, 20]);
    router.weigh('s', undefined);
    await eventually(async () => (await shown()).instances.every(({ standing }) => standing?.share === 0.5));
    expect((await spread(session, 40, both)).every((count) => count > 0)).toBe(true);
    router.weigh('s', { '1': 2, '2': 3 });
    await eventually(async () => (await shown()).instances[0]?.standing?.share === 0.4);
    // One session meets one version, also where its instance does not matter.
    for (let n = 0; n < 4; n++) {
      expect(await spread(await RawSession.open(`${router.url}/mcp`), 6, both)).toContain(6);
    }
  });

  it('by the policy that the service names', async () => {
    const two = await fleet(2);
    const instances = [
      at('s', 'a', two[0]!.port, { weights: { passing: 1, warning: 1 } }),
      at('s', 'b', two[1]!.port, { weights: { passing: 60, warning: 1 } }),
    ];
    const session = await serve(instances, { balance: 'weighted' });
    const [light, heavy] = await spread(session, 60, two);
    expect(heavy).toBeGreaterThan(light!);
    router.register(registered('s', instances, { session: 'stateful', balance: 'rendezvous' }));
    const counts = await eventually(async () => {
      const seen = await spread(await RawSession.open(`${router.url}/mcp`), 10, two);
      return seen.includes(10) && seen;
    });
    expect(counts).toContain(0);
  });
});
