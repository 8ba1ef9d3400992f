import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Instance } from '../../../src/model.ts';
import { simpleTool, startBackend, type Backend, type Exchange } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { RawSession, type Message } from '../../support/mcp-client.ts';
import { at, registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { listenSse, type Listening } from '../../support/sse-listener.ts';

/** A client's session at a stateful service, when the instance that has it is lost or taken out of service. */

const URI = 'mem://s/fixed';
let router: HandRouter;
let all: Backend[];
const streams: Listening[] = [];

async function start(): Promise<Backend> {
  const started = await startBackend({
    tools: [simpleTool('read', { readOnlyHint: true }), simpleTool('write')],
    capabilities: { tools: {}, resources: { subscribe: true } },
  });
  started.on['resources/list'] = ({ result }) => result({ resources: [{ uri: URI, name: 'fixed' }] });
  return started;
}

beforeEach(async () => {
  router = await startHandRouter({ connectTimeout: 500, drainTimeout: 700, slowStart: '0' });
  all = await Promise.all([start(), start()]);
});
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.close();
  await router.stop();
  await Promise.all(all.map((backend) => backend.stop().catch(() => undefined)));
});

const instances = (change: (index: number) => Partial<Instance> = () => ({})): Instance[] =>
  all.map(({ port }, index) => at('s', `i${index}`, port, change(index)));

const text = (message: Message): string =>
  (message.result?.['content'] as { text: string }[] | undefined)?.[0]?.text ?? JSON.stringify(message.error);
const code = (message: Message): unknown => message.error?.data?.['code'];

interface Scene {
  readonly session: RawSession;
  /** Has the client's session. */
  readonly home: Backend;
  readonly away: Backend;
  /** Sets the state of home. */
  readonly put: (state: Instance['state'] | 'gone') => void;
}

/** A client that has called the service once, so that its session is at one of the two. */
async function settled(): Promise<Scene> {
  router.register(registered('s', instances()));
  const session = await eventually(async () => {
    const opened = await RawSession.open(`${router.url}/mcp`);
    const names = await opened.toolNames();
    return names.includes('s__write') && opened;
  });
  await eventually(() => all.every((backend) => backend.count('tools/list') > 0));
  const answer = text(await session.call('s__write'));
  const index = all.findIndex(({ port }) => answer.endsWith(String(port)));
  const put = (state: Instance['state'] | 'gone'): void => {
    const left = instances((at) => (at === index && state !== 'gone' ? { state } : {}));
    router.register(registered('s', state === 'gone' ? left.filter((_, at) => at !== index) : left));
  };
  return { session, home: all[index]!, away: all[1 - index]!, put };
}

/** The client listens, and has subscribed to the resource. */
async function listening({ session, home }: Scene): Promise<Listening> {
  const stream = await listenSse(session.url, session.id);
  streams.push(stream);
  await session.ask('resources/subscribe', { uri: URI });
  await eventually(() => home.count('resources/subscribe') === 1);
  return stream;
}

const methods = (stream: Listening): (string | undefined)[] => stream.messages.map(({ method }) => method);

/** The client was told that nothing is as it was. */
async function toldOfMove(stream: Listening): Promise<void> {
  await eventually(
    () =>
      methods(stream).includes('notifications/tools/list_changed') &&
      methods(stream).includes('notifications/resources/list_changed') &&
      stream.messages.some(
        ({ method, params }) => method === 'notifications/resources/updated' && params?.['uri'] === URI,
      ),
  );
}

describe('an instance in maintenance, or deregistered', () => {
  it.each(['maintenance', 'gone'] as const)(
    '%s: a session that is listened to moves by itself, with its subscriptions, and the client is told',
    async (state) => {
      const scene = await settled();
      const { home, away, session, put } = scene;
      const stream = await listening(scene);
      const before = [home.sessions.size, away.sessions.size];
      put(state);
      await toldOfMove(stream);
      expect(away.count('resources/subscribe')).toBe(1);
      // The old one was told goodbye: its probe session remains, or none where it is gone.
      await eventually(() => home.sessions.size < before[0]!);
      expect(away.sessions.size).toBe(before[1]! + 1);
      away.notify({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: URI } });
      await eventually(
        () =>
          stream.messages.filter(({ method }) => method === 'notifications/resources/updated').length >= 2,
      );
      expect(text(await session.call('s__write'))).toBe(`write by ${away.port}`);
    },
  );

  it('a session that nobody listens to is ended there, and opened by the next call', async () => {
    const { home, away, session, put } = await settled();
    const before = [home.sessions.size, away.sessions.size];
    put('maintenance');
    await eventually(() => home.sessions.size < before[0]!);
    expect(away.sessions.size).toBe(before[1]);
    expect(text(await session.call('s__write'))).toBe(`write by ${away.port}`);
    // Back from maintenance: the session stays where it is by now.
    put('passing');
    await eventually(() => home.count('tools/list') > 0);
    expect(text(await session.call('s__write'))).toBe(`write by ${away.port}`);
  });

  it('a running call comes to its end first, while new ones go elsewhere', async () => {
    const { home, away, session, put } = await settled();
    const before = home.sessions.size;
    let release = (): void => undefined;
    home.on['tools/call'] = async ({ result }) => {
      await new Promise<void>((resolve) => (release = resolve));
      result({ content: [{ type: 'text', text: 'finished' }] });
    };
    const running = session.call('s__write');
    await eventually(() => home.count('tools/call') === 2);
    put('maintenance');
    await eventually(async () => text(await session.call('s__read')) === `read by ${away.port}`);
    expect(home.sessions.size).toBe(before);
    release();
    expect(text(await running)).toBe('finished');
    await eventually(() => home.sessions.size < before);
  });

  it('a call that does not end within the drain time is cancelled: one that changes something says so', async () => {
    const { home, away, session, put } = await settled();
    home.on['tools/call'] = () => undefined;
    const write = session.call('s__write');
    const read = session.call('s__read');
    await eventually(() => home.count('tools/call') === 3);
    put('maintenance');
    const answer = await write;
    expect(code(answer)).toBe('BACKEND_FAILED');
    expect(answer.error?.message).toMatch(/taken out of service.*check before you repeat it/);
    expect(text(await read)).toBe(`read by ${away.port}`);
    expect(away.count('tools/call')).toBe(1);
    await eventually(() => home.count('notifications/cancelled') === 2);
  });
});

describe('an instance that is lost', () => {
  it('critical: what is listened to moves, and the session stays there when it is back', async () => {
    const scene = await settled();
    const { away, session, put } = scene;
    const stream = await listening(scene);
    put('critical');
    await toldOfMove(stream);
    put('passing');
    expect(text(await session.call('s__write'))).toBe(`write by ${away.port}`);
    expect(away.count('resources/subscribe')).toBe(1);
  });

  it('restarted: the session is opened again without a call, and the client is told', async () => {
    const scene = await settled();
    const { home } = scene;
    const stream = await listening(scene);
    home.sessions.clear();
    // It ends its streams as a process that goes down does; the next one knows no session.
    home.on['GET'] = ({ json, request, response }: Exchange) => {
      if (!home.sessions.has(String(request.headers['mcp-session-id']))) return json(404, '{}');
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    };
    home.endStreams();
    await toldOfMove(stream);
    expect(home.count('resources/subscribe')).toBe(2);
  });

  it('killed in a call that changes something: one clear error, and the next call goes elsewhere', async () => {
    const scene = await settled();
    const { home, away, session } = scene;
    const stream = await listening(scene);
    home.on['tools/call'] = () => void home.stop();
    const answer = await session.call('s__write');
    expect(code(answer)).toBe('BACKEND_FAILED');
    expect(answer.error?.message).toMatch(/what it kept for this session may be lost/);
    expect(text(await session.call('s__write'))).toBe(`write by ${away.port}`);
    await toldOfMove(stream);
  });

  it('killed in a call that only reads: the client gets its answer from another', async () => {
    const { home, away, session } = await settled();
    home.on['tools/call'] = () => void home.stop();
    expect(text(await session.call('s__read'))).toBe(`read by ${away.port}`);
  });
});
