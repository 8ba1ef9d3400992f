import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChangeEvent, StateEvent } from '../../../src/admin/shapes.ts';
import { startBackend, type Backend } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { raw } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';

interface Stream {
  readonly events: { readonly name: string; readonly data: StateEvent & ChangeEvent }[];
  close(): void;
}

async function listen(url: string, headers: Record<string, string> = {}): Promise<Stream> {
  const gone = new AbortController();
  const response = await fetch(`${url}/api/v1/events`, { headers, signal: gone.signal });
  if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  const events: Stream['events'] = [];
  const read = async (body: ReadableStream<Uint8Array>): Promise<void> => {
    let text = '';
    for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const parts = text.split('\n\n');
      text = parts.pop() ?? '';
      for (const part of parts) {
        const [, name = '', data = '{}'] = /^event: (.*)\ndata: (.*)$/.exec(part) ?? [];
        if (name !== '') events.push({ name, data: JSON.parse(data) as StateEvent & ChangeEvent });
      }
    }
  };
  void read(response.body).catch(() => undefined);
  return { events, close: () => gone.abort() };
}

describe('the event stream of the admin API', () => {
  let router: HandRouter;
  let backend: Backend;
  const streams: Stream[] = [];

  beforeEach(async () => {
    router = await startHandRouter();
    backend = await startBackend();
  });
  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.close();
    await router.stop();
    await backend.stop();
  });
  const open = async (): Promise<Stream> => {
    const stream = await listen(router.adminUrl);
    streams.push(stream);
    await eventually(() => stream.events.length > 0);
    return stream;
  };
  /** What a reader who takes every event knows of the services. */
  const known = (stream: Stream): ReadonlyMap<string, number> => {
    const map = new Map<string, number>();
    for (const { data } of stream.events) {
      for (const { name, healthy } of data.services ?? []) map.set(name, healthy);
      for (const name of data.removed ?? []) map.delete(name);
    }
    return map;
  };

  it('gives all there is first, to everybody alike, then only what changed', async () => {
    router.register(registered('one', [['a', backend.port]]));
    const early = await open();
    await eventually(() => known(early).get('one') === 1);
    router.register(registered('one', [['a', backend.port]]), registered('two', [['a', backend.port]]));
    await eventually(() => known(early).get('two') === 1);
    const late = await open();
    expect(late.events[0]?.name).toBe('state');
    expect(Object.fromEntries(known(late))).toEqual(Object.fromEntries(known(early)));
    const tellsOfOne = early.events.filter(({ data }) => data.services?.some(({ name }) => name === 'one'));
    expect(tellsOfOne.length).toBeLessThanOrEqual(3);
    router.register(registered('two', [['a', backend.port]]));
    await eventually(() => !known(early).has('one') && !known(late).has('one'));
  });

  it('loses no change, however fast they come', async () => {
    const stream = await open();
    for (let n = 1; n <= 40; n++) {
      router.register(...Array.from({ length: n }, (_, i) => registered(`s${i}`, [['a', backend.port]])));
      await new Promise((resolve) => setTimeout(resolve, n % 7));
    }
    await eventually(() => known(stream).size === 40 && [...known(stream).values()].every((n) => n === 1));
  });

  it('is cut where its reader has fallen far behind, who opens it again and has everything', async () => {
    const slow = request(`${router.adminUrl}/api/v1/events`).end();
    const [response] = (await once(slow, 'response')) as [IncomingMessage];
    response.pause();
    // Beyond the limit of eight megabytes and what sockets hold.
    const rounds = 30;
    for (let round = 0; round < rounds; round++) {
      const name = (n: number): string => `service-${round}-${n}-${'x'.repeat(2000)}`;
      router.register(...Array.from({ length: 400 }, (_, n) => registered(name(n), [])));
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const ended = new Promise<void>((resolve) => {
      response.once('close', resolve).once('error', () => resolve());
    });
    response.resume();
    await ended;
    expect(response.complete).toBe(false);
    router.register(registered('still-there', [['a', backend.port]]));
    const again = await open();
    await eventually(() => known(again).get('still-there') === 1 && known(again).size === 1);
  });

  it('is not for pages of other origins, nor for names that point to loopback', async () => {
    const foreign = await raw(`${router.adminUrl}/api/v1/services`, {
      method: 'GET',
      headers: { origin: 'https://evil.example' },
    });
    expect(foreign.status).toBe(403);
    const rebound = await raw(`${router.adminUrl}/api/v1/services`, {
      method: 'GET',
      headers: { host: 'evil.example:8081' },
    });
    expect(rebound.status).toBe(403);
    const posted = await raw(`${router.adminUrl}/api/v1/try`, {
      headers: { origin: 'https://evil.example' },
      body: JSON.stringify({ name: 'one__write' }),
    });
    expect(posted.status).toBe(403);
    const health = await raw(`${router.adminUrl}/healthz`, { method: 'GET', headers: { host: 'any.name' } });
    expect(health.status).toBe(200);
  });
});

describe('trying a tool out over the admin API', () => {
  let router: HandRouter;
  let backend: Backend;
  beforeEach(async () => {
    router = await startHandRouter();
    backend = await startBackend();
    router.register(registered('one', [['a', backend.port]]));
    await eventually(async () => {
      const item = await fetch(`${router.adminUrl}/api/v1/catalog/item?name=one.echo`);
      return item.ok;
    });
  });
  afterEach(async () => {
    await router.stop();
    await backend.stop();
  });
  const attempt = (body: unknown) =>
    raw(`${router.adminUrl}/api/v1/try`, { body: typeof body === 'string' ? body : JSON.stringify(body) });

  it('ends as a call of a client does: the answer, counted and logged', async () => {
    const answer = await attempt({ name: 'one__echo', arguments: { message: 'hi' } });
    expect(answer.messages.at(-1)?.result).toMatchObject({ content: [{ text: `echo by ${backend.port}` }] });
    const { calls } = (await (await fetch(`${router.adminUrl}/api/v1/calls`)).json()) as {
      calls: { label: string; result: string }[];
    };
    expect(calls).toMatchObject([{ label: 'one.echo', result: 'ok' }]);
    const metrics = await (await fetch(`${router.adminUrl}/metrics`)).text();
    expect(metrics).toContain('mcp_router_calls_total{service="one",result="ok"} 1');
  });

  it('answers an unknown tool as a client is answered', async () => {
    const answer = await attempt({ name: 'one__nothing' });
    expect(answer.messages.at(-1)?.error).toMatchObject({
      code: -32602,
      message: 'Unknown tool: one__nothing',
    });
  });

  it('is under the rules as anybody is: what they do not allow is unknown', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rules-'));
    const policyFile = join(folder, 'policy.yaml');
    await writeFile(policyFile, 'rules:\n  - { name: reads, effect: allow, what: { tools: one.echo } }\n');
    await router.stop();
    router = await startHandRouter({ policyFile });
    router.register(registered('one', [['a', backend.port]]));
    await eventually(async () => {
      const allowed = await attempt({ name: 'one__echo', arguments: {} });
      return allowed.messages.at(-1)?.result !== undefined;
    });
    const refused = await attempt({ name: 'one__write', arguments: {} });
    expect(refused.messages.at(-1)?.error).toMatchObject({ message: 'Unknown tool: one__write' });
    expect(backend.received.some(({ params }) => params?.['name'] === 'write')).toBe(false);
    await rm(folder, { recursive: true });
  });

  it.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['no name', {}],
    ['arguments that are no object', { name: 'one__echo', arguments: [1] }],
  ])('says what is wrong with %s', async (_what, body) => {
    const answer = await attempt(body);
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(/"code":"INVALID_(PARAMS|REQUEST)"/);
  });

  it('cancels the call where whoever asked hangs up', async () => {
    let hungUp = false;
    backend.on['tools/call'] = ({ request: call, stream }) => {
      stream().send({
        jsonrpc: '2.0',
        method: 'notifications/message',
        params: { level: 'info', data: 'wait' },
      });
      call.socket.once('close', () => (hungUp = true));
    };
    const gone = new AbortController();
    const going = fetch(`${router.adminUrl}/api/v1/try`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'one__write', arguments: {} }),
      signal: gone.signal,
    }).catch(() => undefined);
    await eventually(() => backend.count('tools/call') === 1);
    gone.abort();
    await going;
    await eventually(() => hungUp || backend.count('notifications/cancelled') > 0);
    const { calls } = await eventually(async () => {
      const body = (await (await fetch(`${router.adminUrl}/api/v1/calls`)).json()) as {
        calls: { result: string }[];
      };
      return body.calls.length > 0 ? body : undefined;
    });
    expect(calls).toMatchObject([{ result: 'cancelled' }]);
  });

  it('lets the one who tries answer what the server asks', async () => {
    let asked = 0;
    backend.on['tools/call'] = ({ message, stream }) => {
      const open = stream();
      const question = `ask-${++asked}`;
      open.send({
        jsonrpc: '2.0',
        id: question,
        method: 'elicitation/create',
        params: {
          message: 'Which city?',
          requestedSchema: { type: 'object', properties: { city: { type: 'string' } } },
        },
      });
      backend.on['response'] = ({ message: answer, response }) => {
        response.writeHead(202).end();
        const { content } = answer.result as { content: { city: string } };
        open.send({
          jsonrpc: '2.0',
          id: message.id,
          result: { content: [{ type: 'text', text: content.city }] },
        });
        open.end();
      };
    };
    const first = await attempt({ name: 'one__write', arguments: {} });
    const result = first.messages.at(-1)?.result as {
      resultType: string;
      requestState: string;
      inputRequests: Record<string, { params: { message: string } }>;
    };
    expect(result.resultType).toBe('input_required');
    const [key = ''] = Object.keys(result.inputRequests);
    expect(result.inputRequests[key]?.params.message).toBe('Which city?');
    const second = await attempt({
      name: 'one__write',
      arguments: {},
      requestState: result.requestState,
      inputResponses: { [key]: { action: 'accept', content: { city: 'Bergen' } } },
    });
    expect(second.messages.at(-1)?.result).toMatchObject({ content: [{ text: 'Bergen' }] });
    expect(asked).toBe(1);
  });
});
