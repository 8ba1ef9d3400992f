import { once } from 'node:events';
import http, { type ServerResponse } from 'node:http';
import https from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { guarded, type GuardLimits } from '../../../src/discovery/transport-guard.ts';

const servers: (Server | http.Server)[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function port(server: Server | http.Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
const answering = (answer: (response: ServerResponse) => void): Promise<number> =>
  port(http.createServer((_, response) => answer(response)));

const generous: GuardLimits = { connectMs: 20_000, silenceMs: 20_000, maxBodyBytes: 1e6 };

/** What a request ends with: its body, or the message of its error. */
function ending(at: number, limits: Partial<GuardLimits>, transport: typeof http | typeof https = http) {
  return new Promise<string>((resolve) => {
    const request = guarded(transport, { ...generous, ...limits }).request({ port: at, host: '127.0.0.1' });
    request.on('error', (error) => resolve(error.message));
    request.on('response', (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve(body));
    });
    request.end();
  });
}

describe('a guarded request', () => {
  it('leaves a good answer alone, also one whose connection is closed after it', async () => {
    expect(await ending(await answering((response) => void response.end('fine')), {})).toBe('fine');
    const closing = await answering((response) => void response.setHeader('connection', 'close').end('fine'));
    expect(await ending(closing, {})).toBe('fine');
  });

  it('ends at once when the body is cut', async () => {
    const cutting = await answering((response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('some', () => response.socket?.destroy());
    });
    expect(await ending(cutting, {})).toBe('its body was cut');
  });

  it('ends soon when the body stops, and not while it comes slowly', async () => {
    const stopping = await answering((response) => void response.writeHead(200).write('some'));
    expect(await ending(stopping, { silenceMs: 100 })).toBe('its body stopped for 100 ms');
    const slow = await answering((response) => {
      let left = 5;
      const timer = setInterval(() => {
        if (left-- > 0) response.write('x');
        else {
          response.end();
          clearInterval(timer);
        }
      }, 60);
    });
    expect(await ending(slow, { silenceMs: 200 })).toBe('xxxxx');
  });

  it('ends when the body has no end', async () => {
    const endless = await answering((response) => {
      const more = (): void => void (response.destroyed || response.write('x'.repeat(50_000), more));
      more();
    });
    expect(await ending(endless, { maxBodyBytes: 200_000 })).toBe('its body is longer than 200000 bytes');
  });

  it('ends soon when whoever listens never does the TLS handshake', async () => {
    const silent = await port(createTcpServer(() => undefined));
    expect(await ending(silent, { connectMs: 100 }, https)).toBe('no connection within 100 ms');
  });

  it('waits for the head of an answer as long as the caller does: a blocking query is silent for minutes', async () => {
    const late = await answering((response) => void setTimeout(() => response.end('late'), 300));
    expect(await ending(late, { connectMs: 50, silenceMs: 50 })).toBe('late');
  });
});
