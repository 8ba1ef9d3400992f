import { afterEach, describe, expect, it } from 'vitest';
import { simpleTool, startBackend, type Backend, type Exchange } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession, type Answer, type Message } from '../../support/mcp-client.ts';
import { seeded } from '../../support/random.ts';
import { at, registered, startHandRouter, type HandRouter } from '../../support/router.ts';

/** What becomes of a call whose first attempt is none: deadlines, retries, hedging, queues. */

let router: HandRouter;
const backends: Backend[] = [];

afterEach(async () => {
  await router.stop();
  await Promise.all(backends.splice(0).map((backend) => backend.stop().catch(() => undefined)));
});

/** A router before so many instances of a service `s`, and a session with it. */
async function serve(
  count: number,
  flags: Record<string, unknown> = {},
  more: Parameters<typeof registered>[2] = { session: 'stateless' },
): Promise<{ session: RawSession; of: Backend[] }> {
  router = await startHandRouter({ connectTimeout: 500, slowStart: '0', ejectAfter: '0', ...flags });
  const of = await Promise.all(
    Array.from({ length: count }, () =>
      startBackend({
        tools: [
          simpleTool('read', { readOnlyHint: true }),
          simpleTool('again', { idempotentHint: true }),
          simpleTool('write'),
        ],
      }),
    ),
  );
  backends.push(...of);
  router.register(
    registered(
      's',
      of.map(({ port }, index) => at('s', `i${index}`, port)),
      more,
    ),
  );
  await eventually(async () => {
    const answer = await raw(`${router.adminUrl}/api/v1/services`, { method: 'GET' });
    const { services } = JSON.parse(answer.text) as { services: { healthy: number }[] };
    return services[0]?.healthy === count;
  });
  return { session: await RawSession.open(`${router.url}/mcp`), of };
}

const text = (message: Message): string =>
  (message.result?.['content'] as { text: string }[] | undefined)?.[0]?.text ?? JSON.stringify(message.error);
const code = (message: Message | undefined): unknown => message?.error?.data?.['code'];
const calls = (of: readonly Backend[]): number => of.reduce((sum, each) => sum + each.count('tools/call'), 0);
const hangUp = ({ request }: Exchange): void => void request.socket.destroy();
const silent = (): void => undefined;

function post(session: RawSession, name: string, id: number | string = 1): Promise<Answer> {
  return session.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {} } });
}

async function metric(series: string): Promise<number> {
  const { text: page } = await raw(`${router.adminUrl}/metrics`, { method: 'GET' });
  const line = page.split('\n').find((each) => each.startsWith(series));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

describe('a call that changes something', () => {
  it('is never executed twice, whatever happens on the way, and every call gets one answer', async () => {
    const { session, of } = await serve(3, { firstByteTimeout: 300, retryBudget: '100' });
    const random = seeded(42);
    const executed = new Map<unknown, number>();
    for (const each of of) {
      each.on['tools/call'] = ({ message, result, json, request, response, stream }) => {
        const order = (message.params?.['arguments'] as { order: number }).order;
        const execute = (): void => void executed.set(order, (executed.get(order) ?? 0) + 1);
        const dice = Math.floor(random() * 12);
        switch (dice) {
          case 0:
            return void request.socket.destroy();
          case 1:
            execute();
            return void request.socket.destroy();
          case 2:
            return json(503, 'busy', { 'retry-after': '0' });
          case 3:
            execute();
            return json(500, 'oops');
          case 4:
            each.sessions.clear();
            return json(404, 'Session not found');
          case 5:
            execute();
            return json(200, '<html>');
          case 6:
            execute();
            response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
            response.write('{"jsonrpc"', () => request.socket.destroy());
            return;
          case 7:
            execute();
            return void stream();
          case 8:
            execute();
            return;
          default:
            execute();
            return result({ content: [] });
        }
      };
    }
    const orders = Array.from({ length: 150 }, (_, order) => order);
    const answers: Message[] = [];
    for (let n = 0; n < orders.length; n += 10) {
      const some = orders.slice(n, n + 10);
      answers.push(
        ...(await Promise.all(
          some.map(async (order) => {
            const controller = await session.post({
              jsonrpc: '2.0',
              id: `o${order}`,
              method: 'tools/call',
              params: { name: 's__write', arguments: { order } },
            });
            return controller.messages.at(-1)!;
          }),
        )),
      );
    }
    expect([...executed.values()].filter((times) => times > 1)).toEqual([]);
    expect(answers.map(({ id }) => id)).toEqual(orders.map((order) => `o${order}`));
    for (const answer of answers.filter(({ error }) => error)) expect(code(answer)).toMatch(/^BACKEND_/);
    // And what was answered with a result was executed.
    for (const [index, answer] of answers.entries()) if (answer.result) expect(executed.get(index)).toBe(1);
  }, 60_000);
});

describe('deadlines', () => {
  it('no first byte: a call that may be repeated goes elsewhere, one that may not ends', async () => {
    const { session, of } = await serve(2, { firstByteTimeout: 300 });
    of[0]!.on['tools/call'] = silent;
    for (let n = 0; n < 4; n++) {
      expect(text(await session.call('s__again'))).toBe(`again by ${of[1]!.port}`);
    }
    of[1]!.on['tools/call'] = silent;
    const before = calls(of);
    const answer = await session.call('s__write');
    expect(answer.error?.data).toMatchObject({ code: 'BACKEND_TIMEOUT', timeoutMs: 300 });
    expect(calls(of)).toBe(before + 1);
    // The server is told, so that it stops working for nobody.
    await eventually(() => of.some((each) => each.count('notifications/cancelled') > 0));
  });

  it('in all: progress without end does not keep a call for ever', async () => {
    const { session, of } = await serve(1, { callTimeout: 800 });
    of[0]!.on['tools/call'] = ({ stream, response }) => {
      const events = stream();
      const timer = setInterval(() => {
        events.send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1 } });
      }, 50);
      response.once('close', () => clearInterval(timer));
    };
    const answer = await session.call('s__write', {}, { progressToken: 1 });
    expect(answer.error?.data).toMatchObject({ code: 'BACKEND_TIMEOUT', timeoutMs: 800 });
    await eventually(() => of[0]!.count('notifications/cancelled') === 1);
  });
});

describe('the retry budget', () => {
  it('keeps failures from making more load: when it is used up, calls fail at once', async () => {
    const { session, of } = await serve(2);
    for (const each of of) each.on['tools/call'] = hangUp;
    const made = 60;
    for (let n = 0; n < made; n++) expect(code(await session.call('s__read'))).toBe('BACKEND_FAILED');
    // Each once, a fifth of them again, and the reserve, which grows a little while this runs.
    expect(calls(of)).toBeGreaterThan(made + made / 5);
    expect(await metric('mcp_router_retries_denied_total{service="s"}')).toBeGreaterThan(0);
  });

  it('is not all for one call: it is sent three times at most', async () => {
    const { session, of } = await serve(5);
    for (const each of of) each.on['tools/call'] = hangUp;
    expect(code(await session.call('s__read'))).toBe('BACKEND_FAILED');
    expect(of.map((each) => each.count('tools/call')).toSorted((a, b) => a - b)).toEqual([0, 0, 1, 1, 1]);
  });

  it('is not needed to find the one of many instances that is there', async () => {
    const { session, of } = await serve(6);
    await Promise.all(of.slice(1).map((each) => each.stop()));
    for (let n = 0; n < 4; n++) expect(text(await session.call('s__write'))).toContain(`${of[0]!.port}`);
  });

  it('0: nothing that was sent is sent again', async () => {
    const { session, of } = await serve(2, { retryBudget: '0' });
    for (const each of of) each.on['tools/call'] = hangUp;
    const answer = await session.call('s__read');
    expect(answer.error?.message).toContain('may be repeated without harm');
    expect(calls(of)).toBe(1);
  });

  it('does not count what was never sent', async () => {
    const { session, of } = await serve(2, { retryBudget: '0' });
    await of[0]!.stop();
    for (let n = 0; n < 10; n++) expect(text(await session.call('s__write'))).toContain(`${of[1]!.port}`);
  });
});

describe('a second attempt beside a silent first one', () => {
  const slow =
    (ms: number) =>
    ({ message, result }: Exchange): void => {
      setTimeout(() => result({ content: [{ type: 'text', text: String(message.id) }] }), ms);
    };

  it('is not made unless wished for', async () => {
    const { session, of } = await serve(2);
    for (const each of of) each.on['tools/call'] = slow(300);
    await session.call('s__read');
    expect(calls(of)).toBe(1);
  });

  it('answers a call that only reads, and the slow one is cancelled', async () => {
    const { session, of } = await serve(2, { hedgeAfter: 50 });
    of[0]!.on['tools/call'] = silent;
    for (let n = 0; n < 6; n++) expect(text(await session.call('s__read'))).toBe(`read by ${of[1]!.port}`);
    const asked = of[0]!.count('tools/call');
    expect(asked).toBeGreaterThan(0);
    await eventually(() => of[0]!.count('notifications/cancelled') === asked);
    expect(await metric('mcp_router_hedges_total{service="s",result="won"}')).toBeGreaterThan(0);
    const shown = await raw(`${router.adminUrl}/api/v1/services/s`, { method: 'GET' });
    const { instances } = JSON.parse(shown.text) as { instances: { inFlight: number }[] };
    expect(instances.map(({ inFlight }) => inFlight)).toEqual([0, 0]);
  });

  it('gives way when the first answers after all, also in events', async () => {
    const { session, of } = await serve(2, { hedgeAfter: 50 });
    let first = true;
    for (const each of of) {
      each.on['tools/call'] = ({ message, stream }) => {
        if (!first) return;
        first = false;
        setTimeout(() => {
          const events = stream();
          events.send({
            jsonrpc: '2.0',
            id: message.id,
            result: { content: [{ type: 'text', text: '1st' }] },
          });
          events.end();
        }, 300);
      };
    }
    expect(text(await session.call('s__read'))).toBe('1st');
    expect(calls(of)).toBe(2);
    await eventually(() => of.reduce((sum, each) => sum + each.count('notifications/cancelled'), 0) === 1);
    expect(await metric('mcp_router_hedges_total{service="s",result="lost"}')).toBe(1);
  });

  it('takes the place of a first one that breaks off', async () => {
    const { session, of } = await serve(2, { hedgeAfter: 50 });
    let first = true;
    for (const each of of) {
      each.on['tools/call'] = (exchange) => {
        if (first) setTimeout(() => hangUp(exchange), 200);
        else slow(300)(exchange);
        first = false;
      };
    }
    expect(text(await session.call('s__read'))).not.toContain('BACKEND');
    expect(calls(of)).toBe(2);
  });

  it.each(['s__again', 's__write'])('is never made of %s, which may change something', async (name) => {
    const { session, of } = await serve(2, { hedgeAfter: 50 });
    for (const each of of) each.on['tools/call'] = slow(300);
    await session.call(name);
    expect(calls(of)).toBe(1);
  });

  it('is not made at a stateful service: another instance knows nothing of the session', async () => {
    const { session, of } = await serve(2, { hedgeAfter: 50 }, {});
    for (const each of of) each.on['tools/call'] = slow(300);
    await session.call('s__read');
    expect(calls(of)).toBe(1);
  });
});

describe('mcp-max-concurrency', () => {
  /** Answers when told to; counts how many are at work at a time. */
  function gate(of: readonly Backend[]) {
    const open: (() => void)[] = [];
    const most = of.map(() => 0);
    for (const [index, each] of of.entries()) {
      let atWork = 0;
      each.on['tools/call'] = ({ message, result }) => {
        most[index] = Math.max(most[index]!, ++atWork);
        open.push(() => {
          atWork--;
          result({ content: [{ type: 'text', text: String(message.id) }] });
        });
      };
    }
    return { most, open, next: () => eventually(() => open.shift()).then((answer) => answer()) };
  }

  it('holds: the others wait for their turn, first come, first served', async () => {
    const { session, of } = await serve(2, {}, { session: 'stateless', maxConcurrency: 1 });
    const { most, open, next } = gate(of);
    const done: number[] = [];
    const running: Promise<unknown>[] = [];
    for (let n = 0; n < 6; n++) {
      running.push(post(session, 's__write', n).then(() => done.push(n)));
      await eventually(async () => (await metric('mcp_router_calls_running')) === n + 1);
    }
    expect(await metric('mcp_router_calls_waiting')).toBe(4);
    expect(open.length).toBe(2);
    for (let n = 0; n < 6; n++) await next();
    await Promise.all(running);
    expect(most).toEqual([1, 1]);
    expect(await metric('mcp_router_calls_waiting')).toBe(0);
    // In order but for the two that ran at the same time.
    expect(done.slice(2).every((n, index) => Math.abs(n - (index + 2)) <= 1)).toBe(true);
  });

  it('a full queue and a long wait are refused with 503 and Retry-After, and nothing was executed', async () => {
    const { session, of } = await serve(
      1,
      { queueSize: '1', queueTimeout: 300 },
      { session: 'stateless', maxConcurrency: 1 },
    );
    const { next } = gate(of);
    const first = post(session, 's__write', 1);
    await eventually(() => of[0]!.count('tools/call') === 1);
    const second = post(session, 's__write', 2);
    await eventually(async () => (await metric('mcp_router_calls_waiting')) === 1);
    const third = await post(session, 's__write', 3);
    expect([third.status, third.headers['retry-after'], code(third.messages[0])]).toEqual([
      503,
      '1',
      'OVERLOADED',
    ]);
    const late = await second;
    expect([late.status, code(late.messages[0])]).toEqual([503, 'OVERLOADED']);
    expect(late.messages[0]?.error?.message).toMatch(/for \d+ ms by now/);
    await next();
    expect((await first).status).toBe(200);
    expect(calls(of)).toBe(1);
    expect(await metric('mcp_router_calls_waiting')).toBe(0);
  });

  it('a session waits for its own instance; cancelled, it makes room for the next', async () => {
    const { session, of } = await serve(2, {}, { session: 'stateful', maxConcurrency: 1 });
    const { next, most } = gate(of);
    const first = post(session, 's__write', 1);
    await eventually(() => calls(of) === 1);
    const second = post(session, 's__write', 2);
    await eventually(async () => (await metric('mcp_router_calls_waiting')) === 1);
    await session.post({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 2 },
    });
    expect((await second).messages).toEqual([]);
    const third = post(session, 's__write', 3);
    await next();
    await next();
    await Promise.all([first, third]);
    expect([calls(of), most.toSorted((a, b) => a - b)]).toEqual([2, [0, 1]]);
  });
});

describe('Retry-After of a backend', () => {
  it('is kept: calls go elsewhere meanwhile, or are told when to come back', async () => {
    const { session, of } = await serve(2);
    const busy = ({ json }: Exchange): void => json(503, '', { 'retry-after': '1' });
    of[0]!.on['tools/call'] = busy;
    await eventually(async () => {
      await session.call('s__read');
      return of[0]!.count('tools/call') > 0;
    });
    const before = of[0]!.count('tools/call');
    of[1]!.on['tools/call'] = busy;
    const answer = await post(session, 's__write');
    expect(answer.messages[0]?.error?.data).toMatchObject({ code: 'BACKEND_FAILED', retryAfterMs: 1000 });
    const total = calls(of);
    const refused = await post(session, 's__read');
    expect([refused.status, refused.headers['retry-after'], code(refused.messages[0])]).toEqual([
      503,
      '1',
      'OVERLOADED',
    ]);
    expect([calls(of), of[0]!.count('tools/call')]).toEqual([total, before]);
    for (const each of of) delete each.on['tools/call'];
    await eventually(async () => (await session.call('s__write')).result !== undefined);
  });
});
