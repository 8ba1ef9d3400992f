import { afterEach, describe, expect, it } from 'vitest';
import { startBackend, type Backend, type BackendOptions, type Exchange } from '../../support/backend.ts';
import { startConnect, stopConnects, type StartOptions, type StdioClient } from '../../support/connected.ts';
import { eventually } from '../../support/eventually.ts';

const backends: Backend[] = [];
afterEach(async () => {
  await stopConnects();
  await Promise.all(backends.splice(0).map((backend) => backend.stop().catch(() => undefined)));
});

async function backend(options: BackendOptions = {}): Promise<Backend> {
  const started = await startBackend(options);
  backends.push(started);
  return started;
}

const to = (port: number, options?: StartOptions): StdioClient =>
  startConnect(`http://127.0.0.1:${port}/mcp`, options);

const json = (message: unknown): string => JSON.stringify({ jsonrpc: '2.0', ...(message as object) });
const note = (text: string): unknown => ({
  method: 'notifications/message',
  params: { level: 'info', data: text },
});
const result = (id: unknown, text: string): unknown => ({
  id,
  result: { content: [{ type: 'text', text }] },
});
const heardNotes = (client: StdioClient): unknown[] =>
  client.heard('notifications/message').map((message) => message.params?.['data']);

/** Begins an event stream, byte by byte. */
function raw({ response }: Exchange): (text: string) => void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  return (text) => void response.write(text);
}

describe('the stream of a call', () => {
  it('carries notifications and requests in order, whatever the line ends', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open({ roots: {} });
    server.on['tools/call'] = (exchange) => {
      const write = raw(exchange);
      write(`: comment\r\n\r\nevent: message\r\ndata: ${json(note('one'))}\r\n\r\n`);
      write(`event: heartbeat\ndata: {"not":"for clients"}\n\n`);
      write(`data: {"jsonrpc":"2.0",\ndata: "id":5,"method":"roots/list"}\n\n`);
      write(`data:${json(note('two'))}\n\ndata: ${json(result(exchange.message.id, 'done'))}\n\n`);
      exchange.response.end();
    };
    await client.ask('tools/call', { name: 'x' });
    expect(client.messages().map((message) => message.method ?? message.id)).toEqual([
      1,
      'notifications/message',
      'roots/list',
      'notifications/message',
      2,
    ]);
  });

  it('that ends after an event with an id is resumed by GET with Last-Event-ID, when the server said', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    const gets: { readonly lastEventId: unknown; readonly afterMs: number; readonly session: unknown }[] = [];
    let closedAt = 0;
    let id: unknown;
    server.on['tools/call'] = (exchange) => {
      id = exchange.message.id;
      const write = raw(exchange);
      write('id: s1-0\nretry: 150\ndata:\n\n');
      write(`id: s1-1\ndata: ${json(note('one'))}\n\n`);
      exchange.response.end();
      closedAt = performance.now();
    };
    server.on['GET'] = (exchange) => {
      const { headers } = exchange.request;
      if (headers['last-event-id'] === undefined) {
        exchange.response.writeHead(405).end();
        return;
      }
      gets.push({
        lastEventId: headers['last-event-id'],
        afterMs: performance.now() - closedAt,
        session: headers['mcp-session-id'],
      });
      const write = raw(exchange);
      if (gets.length === 1) write(`id: s1-2\ndata: ${json(note('two'))}\n\n`);
      else write(`id: s1-3\ndata: ${json(result(id, 'done'))}\n\n`);
      exchange.response.end();
      closedAt = performance.now();
    };
    const answer = await client.ask('tools/call', { name: 'x' });
    expect(answer.result).toEqual({ content: [{ type: 'text', text: 'done' }] });
    expect(heardNotes(client)).toEqual(['one', 'two']);
    expect(gets.map((get) => get.lastEventId)).toEqual(['s1-1', 's1-2']);
    expect(gets[0]?.session).toBe([...server.sessions][0]);
    // `retry` is a promise not to come earlier; timers may be a millisecond early.
    expect(Math.min(...gets.map((get) => get.afterMs))).toBeGreaterThan(145);
    expect(server.count('tools/call')).toBe(1);
  });

  it('that breaks is resumed when the server is back, after failures', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    let id: unknown;
    let tries = 0;
    server.on['tools/call'] = (exchange) => {
      id = exchange.message.id;
      raw(exchange)('id: a\ndata:\n\n');
      setTimeout(() => exchange.request.socket.destroy(), 20);
    };
    server.on['GET'] = (exchange) => {
      if (exchange.request.headers['last-event-id'] === undefined) exchange.response.writeHead(405).end();
      else if (++tries === 1) exchange.request.socket.destroy();
      else if (tries === 2) exchange.json(503, 'not yet');
      else raw(exchange)(`data: ${json(result(id, 'done'))}\n\n`);
    };
    const answer = await client.ask('tools/call', { name: 'x' });
    expect(answer.result).toBeDefined();
    expect(tries).toBe(3);
  });

  it('without event ids that ends before the response is one clear error', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.on['tools/call'] = (exchange) => {
      raw(exchange)(`data: ${json(note('one'))}\n\n`);
      exchange.response.end();
    };
    const answer = await client.ask('tools/call', { name: 'x' });
    expect(answer.error?.data?.['code']).toBe('BACKEND_FAILED');
    expect(answer.error?.message).toContain('may have been executed');
  });

  it('whose session is gone when it is resumed is one clear error', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.on['tools/call'] = (exchange) => {
      raw(exchange)('id: a\ndata:\n\n');
      exchange.response.end();
    };
    server.on['GET'] = ({ request, response }) =>
      void response.writeHead(request.headers['last-event-id'] === undefined ? 405 : 404).end();
    const answer = await client.ask('tools/call', { name: 'x' });
    expect(answer.error?.data?.['code']).toBe('BACKEND_SESSION_LOST');
  });

  it('that stays open behind the response is closed, and its call is over', async () => {
    const server = await backend();
    const client = to(server.port, { limits: { afterwordMs: 50 } });
    await client.open();
    let closed = false;
    server.on['tools/call'] = (exchange) => {
      raw(exchange)(`data: ${json(result(exchange.message.id, 'done'))}\n\n`);
      exchange.response.on('close', () => (closed = true));
    };
    await client.ask('tools/call', { name: 'x' });
    await eventually(() => closed);
  });

  it('may carry the response to another call', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    let first: unknown;
    server.on['slow'] = (exchange) => {
      first = exchange.message.id;
      raw(exchange)(': waiting\n\n');
    };
    server.on['tools/call'] = (exchange) => {
      const write = raw(exchange);
      write(
        `data: ${json(result(first, 'first'))}\n\ndata: ${json(result(exchange.message.id, 'second'))}\n\n`,
      );
      exchange.response.end();
    };
    const slow = client.ask('slow');
    await eventually(() => server.count('slow') === 1);
    await client.ask('tools/call', { name: 'x' });
    expect((await slow).result).toEqual({ content: [{ type: 'text', text: 'first' }] });
  });
});

describe('the stream of the server', () => {
  it('is opened after initialized, and again with Last-Event-ID when it ends', async () => {
    const server = await backend();
    const gets: unknown[] = [];
    server.on['GET'] = (exchange) => {
      gets.push(exchange.request.headers['last-event-id']);
      const write = raw(exchange);
      if (gets.length > 2) return;
      write(`id: e${gets.length}\nretry: 10\ndata: ${json(note(`n${gets.length}`))}\n\n`);
      exchange.response.end();
    };
    const client = to(server.port);
    await client.ask('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} });
    expect(gets).toEqual([]);
    client.notify('notifications/initialized');
    await eventually(() => gets.length === 3);
    expect(gets).toEqual([undefined, 'e1', 'e2']);
    expect(heardNotes(client)).toEqual(['n1', 'n2']);
  });

  it('that comes again without having been resumed makes the client look again', async () => {
    const server = await backend({ capabilities: { tools: { listChanged: true } } });
    let gets = 0;
    server.on['GET'] = (exchange) => {
      raw(exchange)(': hello\n\n');
      if (++gets === 1) setTimeout(() => exchange.response.end(), 20);
    };
    const client = to(server.port);
    await client.open();
    await eventually(() => client.heard('notifications/tools/list_changed').length === 1);
    expect(gets).toBe(2);
  });

  it('that was away for a while makes the client look again', async () => {
    const server = await backend({ capabilities: { tools: { listChanged: true } } });
    let gets = 0;
    server.on['GET'] = (exchange) => {
      gets++;
      if (gets === 1) {
        raw(exchange)(': hello\n\n');
        setTimeout(() => exchange.request.socket.destroy(), 20);
      } else if (gets < 4) exchange.json(502, 'away');
      else raw(exchange)(': back\n\n');
    };
    const client = to(server.port);
    await client.open();
    await eventually(() => client.heard('notifications/tools/list_changed').length === 1);
    expect(gets).toBe(4);
  });

  it('that a server does not offer is not asked for again', async () => {
    const server = await backend();
    let gets = 0;
    server.on['GET'] = ({ response }) => {
      gets++;
      response.writeHead(405).end();
    };
    const client = to(server.port);
    await client.open();
    await eventually(() =>
      client.logs.some((line) => line.message === 'the server offers no stream of its own'),
    );
    await client.ask('tools/call', { name: 'x' });
    expect(gets).toBe(1);
  });

  it('is asked for again where another one is still open (409)', async () => {
    const server = await backend();
    let gets = 0;
    server.on['GET'] = (exchange) => {
      if (++gets < 3) exchange.json(409, '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Conflict"}}');
      else raw(exchange)(`data: ${json(note('here'))}\n\n`);
    };
    const client = to(server.port);
    await client.open();
    await eventually(() => heardNotes(client).length === 1);
  });
});

describe('nothing but JSON-RPC reaches the client', () => {
  it.each([
    ['no JSON', 'Starting up…'],
    ['JSON that is no message', '{"hello":1}'],
    ['broken inside', '{"jsonrpc":"2.0","method":"notifications/x","params":{"a":[}]}}'],
    ['two messages in one', '{"jsonrpc":"2.0","method":"a"}{"jsonrpc":"2.0","method":"b"}'],
    ['a number', '17'],
    ['an empty array', '[]'],
  ])('%s', async (_, garbage) => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.on['tools/call'] = (exchange) => {
      raw(exchange)(`data: ${garbage}\n\ndata: ${json(result(exchange.message.id, 'done'))}\n\n`);
      exchange.response.end();
    };
    await client.ask('tools/call', { name: 'x' });
    server.on['tools/call'] = (exchange) => exchange.json(200, garbage);
    const answer = await client.ask('tools/call', { name: 'x' });
    expect(answer.error?.data?.['code']).toBe('BACKEND_GARBAGE');
    expect(client.messages().map((message) => message.id)).toEqual([1, 2, 3]);
    expect(client.lines.join('\n')).not.toContain(garbage);
  });

  it('pretty-printed bodies and events become one line each', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    server.on['tools/call'] = (exchange) =>
      exchange.json(
        200,
        JSON.stringify(
          { jsonrpc: '2.0', id: exchange.message.id, result: { text: 'a\nb\rc\u2028' } },
          null,
          2,
        ).replaceAll('\n', '\r\n'),
      );
    const answer = await client.ask('tools/call', { name: 'x' });
    expect(answer.result).toEqual({ text: 'a\nb\rc\u2028' });
    expect(client.lines).toHaveLength(2);
  });
});

describe('a client that does not read', () => {
  it('holds the server back, and gets everything in order when it reads again', async () => {
    const server = await backend();
    const client = to(server.port);
    await client.open();
    let held = 0;
    let sent = 0;
    const total = 400;
    server.on['tools/call'] = async (exchange) => {
      const write = raw(exchange);
      const filler = 'x'.repeat(100_000);
      while (sent < total) {
        write(`data: ${json(note(`${sent++} ${filler}`))}\n\n`);
        if (exchange.response.writableNeedDrain) {
          held++;
          await new Promise((resolve) => exchange.response.once('drain', resolve));
        }
      }
      exchange.response.end(`data: ${json(result(exchange.message.id, 'done'))}\n\n`);
    };
    client.hold();
    client.send({ id: 'big', method: 'tools/call', params: { name: 'x' } });
    await eventually(() => held > 0);
    const stuck = await eventually(async () => {
      const before = sent;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return before === sent && sent;
    });
    expect(stuck).toBeLessThan(total);
    client.release();
    await eventually(() => client.messages().some((message) => message.id === 'big'), { withinMs: 20_000 });
    expect(heardNotes(client).map((data) => Number(String(data).split(' ')[0]))).toEqual(
      Array.from({ length: total }, (_, at) => at),
    );
  });
});
