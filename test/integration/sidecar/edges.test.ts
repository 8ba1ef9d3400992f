import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { raw, RawSession, type Message } from '../../support/mcp-client.ts';
import { listenSse } from '../../support/sse-listener.ts';
import { alive, startWrapped, stopWrapped, telling } from '../../support/wrapped.ts';

afterEach(stopWrapped);

const textOf = (message: Message): string =>
  ((message.result?.['content'] ?? []) as { text: string }[])[0]?.text ?? JSON.stringify(message);
const initialize = '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}';

describe('the process', () => {
  it('what a crashed child had started goes with it', async () => {
    const { url } = await startWrapped([telling]);
    const session = await RawSession.open(url);
    const offspring = Number(textOf(await session.call('offspring')));
    const pid = Number(textOf(await session.call('pid')));
    process.kill(pid, 'SIGKILL');
    await eventually(() => !alive(offspring));
  });

  it('a line over the limit is refused, and the call gets an error; the server lives on', async () => {
    const { url, logs } = await startWrapped([telling], { limits: { maxLineBytes: 100_000 } });
    const session = await RawSession.open(url);
    const pid = textOf(await session.call('pid'));
    const answer = await session.call('huge', { bytes: 200_000 });
    expect(answer.error?.data?.['code']).toBe('BACKEND_TOO_LARGE');
    expect(textOf(await session.call('huge', { bytes: 50_000 }))).toHaveLength(50_000);
    expect(textOf(await session.call('pid'))).toBe(pid);
    expect(logs.some((line) => line.message.includes('too long'))).toBe(true);
  });

  it('broken JSON is refused at the door and never reaches the child', async () => {
    const { url } = await startWrapped([telling]);
    const session = await RawSession.open(url);
    for (const body of [
      '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pid","arguments":{"a":[1,,2]}}}',
      '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pid","arguments":{"a":"\r\n"}}}',
    ]) {
      const answer = await session.post(body);
      expect([answer.status, answer.messages[0]?.error?.code]).toEqual([400, -32700]);
    }
    expect(textOf(await session.call('pid'))).toMatch(/^\d+$/);
  });

  it('line ends between tokens are one line for the child, a lone CR too', async () => {
    const { url } = await startWrapped([telling]);
    const session = await RawSession.open(url);
    for (const end of ['\r', '\n', '\r\n']) {
      const parts = ['{"jsonrpc":"2.0",', '"id":7,"method":"tools/call",', '"params":{"name":"pid"}}'];
      const answer = await session.post(parts.join(end));
      expect(textOf(answer.messages[0]!)).toMatch(/^\d+$/);
    }
  });

  it('a server that never gets ready is tried less and less often', async () => {
    // On a clock that runs fast, a start that times out takes longer than a crash that is forgotten.
    const now = (): number => performance.now() * 1000;
    const { logs } = await startWrapped([telling, 'mute'], {
      await: 'listening',
      initializeTimeoutMs: 100,
      now,
    });
    const pauses = (): unknown[] => logs.flatMap((line) => line.fields?.['inMs'] ?? []);
    await eventually(() => pauses().length >= 3);
    expect(pauses().slice(0, 3)).toEqual([500, 1000, 2000]);
  });
});

describe('health', () => {
  it('a child that hangs while nothing is asked of it is not healthy', async () => {
    const { url, healthUrl } = await startWrapped([telling], { limits: { pingTimeoutMs: 200, provenMs: 0 } });
    const pid = Number(textOf(await (await RawSession.open(url)).call('pid')));
    process.kill(pid, 'SIGSTOP');
    await eventually(async () => (await fetch(healthUrl)).status === 503);
    process.kill(pid, 'SIGCONT');
    await eventually(async () => (await fetch(healthUrl)).status === 200);
  });

  it('a child that is busy with a call stays healthy', async () => {
    const { url, healthUrl } = await startWrapped([telling], { limits: { pingTimeoutMs: 100, provenMs: 0 } });
    const session = await RawSession.open(url);
    const call = session.call('block', { ms: 1000 });
    await eventually(async () => (await (await fetch(healthUrl)).text()).includes('busy'));
    expect((await fetch(healthUrl)).status).toBe(200);
    expect(textOf(await call)).toBe('unblocked');
  });

  it('a command that does not exist is hopeless with a child for each session, too', async () => {
    const { logs } = await startWrapped([], {
      command: '/no/such/command',
      perSession: true,
      await: 'listening',
    });
    await eventually(() => logs.some((line) => line.message === 'hopeless'));
  });

  it('one session that fails to start does not make the wrapper unhealthy for ever', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mcp-router-test-'));
    const bad = join(folder, 'bad');
    const script = `if (require('fs').existsSync(process.env.BAD)) process.exit(3); import(${JSON.stringify(telling)})`;
    const { url, healthUrl } = await startWrapped(['-e', script], {
      perSession: true,
      env: { ...process.env, BAD: bad },
    });
    await writeFile(bad, '');
    expect((await raw(url, { body: initialize })).messages[0]?.error?.message).toContain('status 3');
    expect((await fetch(healthUrl)).status).toBe(503);
    await rm(folder, { recursive: true });
    await eventually(async () => (await fetch(healthUrl)).status === 200);
  });
});

describe('sessions', () => {
  it('a call that takes longer than the idle limit is not cut', async () => {
    const { url } = await startWrapped([telling], { sessionIdleMs: 200 });
    const session = await RawSession.open(url);
    expect(textOf(await session.call('later', { ms: 900 }))).toBe('late');
  });

  it('clients that never say goodbye do not lock others out', async () => {
    const { url } = await startWrapped([telling], { maxSessions: 3, limits: { evictAfterMs: 0 } });
    const sessions: RawSession[] = [];
    for (let at = 0; at < 10; at++) sessions.push(await RawSession.open(url));
    expect(textOf(await sessions[9]!.call('pid'))).toMatch(/^\d+$/);
    expect((await sessions[0]!.post('{"jsonrpc":"2.0","id":1,"method":"ping"}')).status).toBe(404);
  });

  it('the limit holds while children are still starting', async () => {
    const { url } = await startWrapped([telling, 'delay=300'], {
      perSession: true,
      maxSessions: 2,
    });
    const answers = await Promise.all(Array.from({ length: 6 }, () => raw(url, { body: initialize })));
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([
      200, 200, 503, 503, 503, 503,
    ]);
  });

  it('a session whose child crashed makes room at once', async () => {
    const { url } = await startWrapped([telling], { perSession: true, maxSessions: 1 });
    const session = await RawSession.open(url);
    process.kill(Number(textOf(await session.call('pid'))), 'SIGKILL');
    await eventually(
      async () => (await session.post('{"jsonrpc":"2.0","id":1,"method":"ping"}')).status === 404,
    );
    await RawSession.open(url);
  });

  it('DELETE answers what is still running, and tells the child', async () => {
    for (const perSession of [false, true]) {
      const { url } = await startWrapped([telling], { perSession });
      const session = await RawSession.open(url);
      const watcher = await RawSession.open(url);
      const hanging = session.call('hang');
      if (!perSession) await eventually(async () => textOf(await watcher.call('seen')).includes('"hang"'));
      await session.end();
      expect((await hanging).error?.data?.['code']).toBe('BACKEND_SESSION_LOST');
      if (!perSession) expect(textOf(await watcher.call('seen'))).toContain('notifications/cancelled');
    }
  });

  it('what still runs when the drain time is over gets an answer', async () => {
    for (const perSession of [false, true]) {
      const { url, server } = await startWrapped([telling], { perSession, drainTimeoutMs: 200 });
      const session = await RawSession.open(url);
      const hanging = session.call('hang');
      await eventually(
        async () =>
          ((await (await fetch(url.replace('/mcp', '/healthz'))).json()) as { running: number }).running ===
          1,
      );
      await server.stop();
      expect((await hanging).error?.data?.['code']).toBe('DRAINING');
    }
  });

  it('an answer that takes long is kept alive, for a client that reads streams', async () => {
    const { url } = await startWrapped([telling], { limits: { keepAliveMs: 50 } });
    const session = await RawSession.open(url);
    const later = {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'later', arguments: { ms: 400 } },
    };
    const streamed = await session.post(later);
    expect(streamed.headers['content-type']).toBe('text/event-stream');
    expect(streamed.text.split(': keep-alive').length).toBeGreaterThan(2);
    expect(textOf(streamed.messages[0]!)).toBe('late');
    const plain = await session.post(later, { accept: 'application/json' });
    expect([plain.headers['content-type'], textOf(plain.messages[0]!)]).toEqual(['application/json', 'late']);
  });

  it('what a server says while a client has no stream waits for it, in order and bounded', async () => {
    for (const perSession of [false, true]) {
      const { url } = await startWrapped([telling], { perSession });
      const session = await RawSession.open(url);
      for (let at = 0; at < 105; at++) {
        await session.call('say', {
          message: { method: 'notifications/prompts/list_changed', params: { at } },
        });
      }
      const stream = await listenSse(url, session.id);
      await eventually(() => stream.messages.length >= 100);
      expect(stream.messages.map((message) => message.params?.['at'])).toEqual(
        Array.from({ length: 100 }, (_, at) => at + 5),
      );
      stream.close();
    }
  });

  it('a child that does not read is not buried in requests', async () => {
    for (const perSession of [false, true]) {
      const { url } = await startWrapped([telling], { perSession, limits: { maxWaitingBytes: 500_000 } });
      const session = await RawSession.open(url);
      const pid = Number(textOf(await session.call('pid')));
      process.kill(pid, 'SIGSTOP');
      const calls = Array.from({ length: 10 }, () => session.call('pid', { filler: 'x'.repeat(200_000) }));
      const overloaded = await Promise.any(
        calls.map(async (call) => {
          const { error } = await call;
          if (error?.data?.['code'] !== 'OVERLOADED') throw new Error('answered');
          return true;
        }),
      );
      expect(overloaded).toBe(true);
      process.kill(pid, 'SIGCONT');
      await Promise.all(calls);
    }
  });

  it('an unknown revision in the header is refused', async () => {
    const { url } = await startWrapped([telling]);
    const session = await RawSession.open(url);
    const answer = await session.post(
      { jsonrpc: '2.0', id: 1, method: 'ping' },
      { 'mcp-protocol-version': '2026-07-28' },
    );
    expect([answer.status, answer.messages[0]?.error?.code]).toEqual([400, -32000]);
  });
});

describe('one child for all', () => {
  it('a client that wants less log does not silence one that wants more', async () => {
    const { url } = await startWrapped([telling]);
    const [loud, quiet] = await Promise.all([RawSession.open(url), RawSession.open(url)]);
    const [loudStream, quietStream] = await Promise.all([listenSse(url, loud.id), listenSse(url, quiet.id)]);
    await loud.ask('logging/setLevel', { level: 'debug' });
    await quiet.ask('logging/setLevel', { level: 'error' });
    expect(
      textOf(await loud.call('levels'))
        .split(',')
        .at(-1),
    ).toBe('debug');
    for (const level of ['info', 'error']) {
      await loud.call('say', {
        message: { method: 'notifications/message', params: { level, data: level } },
      });
    }
    const heard = (stream: { messages: Message[] }): unknown[] =>
      stream.messages.filter((m) => m.method === 'notifications/message').map((m) => m.params?.['level']);
    await eventually(() => heard(loudStream).length === 2 && heard(quietStream).length === 1);
    expect(heard(quietStream)).toEqual(['error']);
    await loud.end();
    await eventually(async () => textOf(await quiet.call('levels')).endsWith('error'));
    loudStream.close();
    quietStream.close();
  });

  it('a level that the server refused is not asked for again after a restart', async () => {
    const { url, healthUrl } = await startWrapped([telling]);
    const session = await RawSession.open(url);
    expect((await session.ask('logging/setLevel', { level: 'nonsense' })).error?.code).toBe(-32602);
    process.kill(Number(textOf(await session.call('pid'))), 'SIGKILL');
    await eventually(async () => (await fetch(healthUrl)).status === 503);
    await eventually(async () => (await fetch(healthUrl)).status === 200);
    expect(textOf(await session.call('seen'))).not.toContain('nonsense');
  });

  it('a subscription that the server refused is none', async () => {
    const { url } = await startWrapped([telling]);
    const [one, two] = await Promise.all([RawSession.open(url), RawSession.open(url)]);
    expect((await one.ask('resources/subscribe', { uri: 'test://missing' })).error?.code).toBe(-32002);
    expect((await two.ask('resources/subscribe', { uri: 'test://missing' })).error?.code).toBe(-32002);
  });

  it("another client's tasks are nobody's business", async () => {
    const { url } = await startWrapped([telling]);
    const [one, two] = await Promise.all([RawSession.open(url), RawSession.open(url)]);
    const stream = await listenSse(url, two.id);
    const message = { method: 'notifications/tasks/status', params: { taskId: 'secret', status: 'working' } };
    await one.call('say', { message });
    await one.call('say', { message: { method: 'notifications/tools/list_changed' } });
    await eventually(() => stream.messages.length > 0);
    expect(stream.text()).not.toContain('secret');
    stream.close();
  });
});

describe('a child for each session', () => {
  it('progress goes to the call that it belongs to', async () => {
    const { url } = await startWrapped([telling], { perSession: true });
    const session = await RawSession.open(url);
    const call = (id: number, name: string, args: object): ReturnType<RawSession['post']> =>
      session.post({
        jsonrpc: '2.0',
        id,
        method: 'tools/call',
        params: { name, arguments: args, _meta: { progressToken: `t${id}` } },
      });
    const first = call(1, 'later', { ms: 600 });
    await eventually(async () => textOf(await session.call('seen')).includes('later'));
    const second = call(2, 'later', { ms: 700 });
    await eventually(async () => textOf(await session.call('seen')).includes('"id":2'));
    await session.call('say', {
      message: { method: 'notifications/progress', params: { progressToken: 't1', progress: 1 } },
    });
    expect((await first).messages.map((m) => m.method ?? 'answer')).toEqual([
      'notifications/progress',
      'answer',
    ]);
    expect((await second).messages.map((m) => m.method ?? 'answer')).toEqual(['answer']);
  });

  it('an id that is still in use is refused, and the first call is answered', async () => {
    const { url } = await startWrapped([telling], { perSession: true });
    const session = await RawSession.open(url);
    const later = {
      jsonrpc: '2.0',
      id: 'same',
      method: 'tools/call',
      params: { name: 'later', arguments: { ms: 500 } },
    };
    const first = session.post(later);
    await eventually(async () => textOf(await session.call('seen')).includes('same'));
    const second = await session.post(later);
    expect(second.messages[0]?.error?.code).toBe(-32600);
    expect(textOf((await first).messages[0]!)).toBe('late');
  });

  it('list_changed goes to the stream of the client, not into a call', async () => {
    const { url } = await startWrapped([telling], { perSession: true });
    const session = await RawSession.open(url);
    const stream = await listenSse(url, session.id);
    await session.call('say', { message: { method: 'notifications/tools/list_changed' } });
    await eventually(() => stream.messages.length === 1);
    stream.close();
  });
});
