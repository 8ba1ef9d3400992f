import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newApiKey } from '../../../src/policy/inbound/api-keys.ts';
import { startAuthorizationServer, type AuthorizationServer } from '../../support/authorization-server.ts';
import { startBackend, type Backend } from '../../support/backend.ts';
import {
  bearer,
  initialize,
  inSession,
  nobody,
  only,
  openSession,
  stateless,
  type Caller,
} from '../../support/caller.ts';
import { eventually } from '../../support/eventually.ts';
import { raw } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';
import { listenSse, listenStateless } from '../../support/sse-listener.ts';

const publicUrl = 'https://mcp.example.com';
const ann = newApiKey();
const bob = newApiKey();
const [asAnn, asBob] = [bearer(ann.key), bearer(bob.key)];
const ring = randomBytes(32);

let folder: string;
let issuing: AuthorizationServer;
let backend: Backend;
let router: HandRouter;

async function start(keyRing: readonly Uint8Array[] = [ring]): Promise<HandRouter> {
  const started = await startHandRouter(
    { issuers: issuing.issuer, keysFile: join(folder, 'keys.yaml'), publicUrl },
    keyRing,
  );
  started.register(registered('one', [['a', backend.port]]));
  await eventually(async () => {
    const listed = await stateless(asAnn, `${started.url}/mcp`, 'tools/list');
    return (only(listed).result?.['tools'] as unknown[] | undefined)?.length === 2;
  });
  return started;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'edge-'));
  writeFileSync(
    join(folder, 'keys.yaml'),
    `keys: [{ name: ann, sha256: ${ann.sha256} }, { name: bob, sha256: ${bob.sha256} }]`,
  );
  [issuing, backend] = await Promise.all([
    startAuthorizationServer(),
    startBackend({ capabilities: { tools: {}, logging: {} } }),
  ]);
  router = await start();
});
afterAll(async () => {
  await router.stop();
  await backend.stop();
  await issuing.stop();
  rmSync(folder, { recursive: true, force: true });
});

const instance = encodeURIComponent('dc1/node/a');
const paths = [
  '/mcp',
  '/services/one/mcp',
  `/services/one/instances/${instance}/mcp`,
  '/sse',
  // There are no such services: whoever is not let in can not tell.
  '/services/nothing/mcp',
];

describe('a request without proof', () => {
  it.each(paths.flatMap((path) => ['GET', 'POST', 'DELETE'].map((method) => [method, path] as const)))(
    '%s %s: 401, and the way to a token that is good there',
    async (method, path) => {
      if (path === '/sse' && method !== 'GET') return;
      const answer = await raw(router.url + path, {
        method: method as 'GET',
        ...(method === 'POST' && { body: '{' }),
      });
      expect(answer.status).toBe(401);
      const where = `${publicUrl}/.well-known/oauth-protected-resource${path}`;
      expect(answer.headers['www-authenticate']).toBe(`Bearer resource_metadata="${where}"`);
      const metadata = await fetch(router.url + new URL(where).pathname);
      expect(await metadata.json()).toMatchObject({
        resource: publicUrl + path,
        authorization_servers: [issuing.issuer],
      });
    },
  );

  it('to post to a stream: 401', async () => {
    const answer = await raw(`${router.url}/messages?sessionId=x`, { body: '{}' });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toContain('/oauth-protected-resource/sse"');
  });

  it('in the query string proves nothing', async () => {
    for (const name of ['access_token', 'token', 'api_key', 'key']) {
      const answer = await raw(`${router.url}/mcp?${name}=${ann.key}`, { body: '{}' });
      expect(answer.status).toBe(401);
    }
  });
});

describe('the metadata', () => {
  it('of the router as a whole, and of nothing that is no endpoint', async () => {
    const root = await fetch(`${router.url}/.well-known/oauth-protected-resource`);
    expect(await root.json()).toMatchObject({ resource: publicUrl });
    for (const path of ['/other', '/mcp/x', '/metrics']) {
      const other = await fetch(`${router.url}/.well-known/oauth-protected-resource${path}`);
      expect(other.status).toBe(404);
    }
    const posted = await fetch(`${router.url}/.well-known/oauth-protected-resource`, { method: 'POST' });
    expect(posted.status).toBe(405);
  });
});

describe('a token', () => {
  it('lets its owner in at the endpoint that it is for, and at no other', async () => {
    const caller = bearer(await issuing.token(`${publicUrl}/mcp`));
    const session = await openSession(caller, `${router.url}/mcp`);
    const called = await inSession(caller, `${router.url}/mcp`, session, 'tools/call', { name: 'one.echo' });
    expect(only(called).result).toBeDefined();
    for (const path of paths.slice(1, 3)) {
      const answer = await initialize(caller, router.url + path);
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
    }
  });

  it('never reaches a server', async () => {
    const seen: string[] = [];
    backend.on['tools/call'] = ({ request, text, result }) => {
      seen.push(JSON.stringify(request.rawHeaders), text);
      result({ content: [] });
    };
    const token = await issuing.token(`${publicUrl}/mcp`);
    for (const proof of [bearer(token).headers, asAnn.headers, { 'x-api-key': ann.key }]) {
      const caller = { headers: { ...proof, cookie: 'a=b', 'proxy-authorization': 'Basic x' } };
      const answer = await stateless(caller, `${router.url}/mcp`, 'tools/call', { name: 'one.echo' });
      expect(only(answer).result).toBeDefined();
      const session = await openSession(caller, `${router.url}/mcp`);
      await inSession(caller, `${router.url}/mcp`, session, 'tools/call', { name: 'one.echo' });
    }
    delete backend.on['tools/call'];
    expect(seen).toHaveLength(12);
    for (const text of seen) expect(text).not.toMatch(/eyJ|mcr_|[Cc]ookie|[Aa]uthorization|[Aa]pi-[Kk]ey/);
  });
});

describe('a session', () => {
  it('goes on with a new token of the same caller', async () => {
    const url = `${router.url}/mcp`;
    const session = await openSession(bearer(await issuing.token(`${publicUrl}/mcp`)), url);
    const renewed = bearer(await issuing.token(`${publicUrl}/mcp`, 'mcp:use mcp:write'));
    expect((await inSession(renewed, url, session, 'ping')).status).toBe(200);
  });

  it('works for nobody else, whatever is asked of it', async () => {
    const url = `${router.url}/mcp`;
    const session = await openSession(asAnn, url);
    for (const method of ['ping', 'tools/list', 'tools/call', 'logging/setLevel', 'made/up']) {
      const answer = await inSession(asBob, url, session, method, { name: 'one.echo', level: 'debug' });
      expect(answer.status).toBe(404);
      expect(only(answer).error?.data).toMatchObject({ code: 'SESSION_NOT_FOUND' });
    }
    const headers = { ...asBob.headers, 'mcp-session-id': session };
    for (const method of ['GET', 'DELETE'] as const) {
      expect((await raw(url, { method, headers })).status).toBe(404);
    }
    expect((await inSession(nobody, url, session, 'ping')).status).toBe(401);
    // Its owner still has it.
    expect((await inSession(asAnn, url, session, 'ping')).status).toBe(200);
  });

  it('works on no other endpoint', async () => {
    const session = await openSession(asAnn, `${router.url}/mcp`);
    const elsewhere = await inSession(asAnn, `${router.url}/services/one/mcp`, session, 'ping');
    expect(elsewhere.status).toBe(404);
  });

  it('on HTTP+SSE takes posts of its owner only', async () => {
    const opened = await fetch(`${router.url}/sse`, {
      headers: { ...asAnn.headers, accept: 'text/event-stream' },
    });
    const reader = opened.body!.getReader();
    const first = Buffer.from((await reader.read()).value).toString();
    const post = `${router.url}${/data: (\S+)/.exec(first)![1]!}`;
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
    expect((await raw(post, { headers: asBob.headers, body })).status).toBe(404);
    expect((await raw(post, { body })).status).toBe(401);
    expect((await raw(post, { headers: asAnn.headers, body })).status).toBe(202);
    await reader.cancel();
  });

  it('ids that were tampered with are unknown: each byte changed, cut, made long', async () => {
    const url = `${router.url}/mcp`;
    const session = await openSession(asAnn, url);
    const bytes = Buffer.from(session, 'base64url');
    const forged = Array.from(bytes.keys(), (at) => {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
      return copy.toString('base64url');
    });
    forged.push(session.slice(0, -2), `${session}AAAA`, `${session}=`, `${session}!`, 'x', 'A'.repeat(200));
    const answers = await Promise.all(forged.map((id) => inSession(asAnn, url, id, 'ping')));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404]));
  });

  it('ids of a rotated key ring are opened as long as the old key is in it, and not after', async () => {
    const session = await openSession(asAnn, `${router.url}/mcp`);
    const rotated = await start([randomBytes(32), ring]);
    const without = await start([randomBytes(32)]);
    try {
      expect((await inSession(asAnn, `${rotated.url}/mcp`, session, 'ping')).status).toBe(200);
      expect((await inSession(asBob, `${rotated.url}/mcp`, session, 'ping')).status).toBe(404);
      expect((await inSession(asAnn, `${without.url}/mcp`, session, 'ping')).status).toBe(404);
      // What the new key sealed is opened by a ring that has both, in any order.
      const next = await openSession(asAnn, `${rotated.url}/mcp`);
      expect((await inSession(asAnn, `${router.url}/mcp`, next, 'ping')).status).toBe(404);
    } finally {
      await rotated.stop();
      await without.stop();
    }
  });
});

describe('a stream', () => {
  it('ends when the proof of its caller does, and opens again with a new one', async () => {
    const url = `${router.url}/mcp`;
    const claims = { iss: issuing.issuer, sub: 'ann', client_id: 'cli', aud: `${publicUrl}/mcp` };
    const until = async (seconds: number): Promise<Caller> =>
      bearer(await issuing.forge({ ...claims, exp: Math.floor(Date.now() / 1000) + seconds }));
    const [short, long] = [await until(3), await until(600)];
    const session = await openSession(short, url);
    const filter = { toolsListChanged: true };
    const [stream, subscription, lasting] = [
      await listenSse(url, session, short.headers),
      await listenStateless(url, short, filter),
      await listenStateless(url, long, filter),
    ];
    await eventually(() => stream.ended() && subscription.ended(), { withinMs: 25_000 });
    expect(lasting.ended()).toBe(false);
    // The same session, with a token that was renewed.
    const again = await listenSse(url, session, long.headers);
    expect(again.ended()).toBe(false);
    again.close();
    lasting.close();
  });
});
