import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernHttp,
} from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError, type OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js';
import { afterEach, describe, expect, it } from 'vitest';
import { startAuthorizationServer, type AuthorizationServer } from '../../support/authorization-server.ts';
import { startBackend, type Backend } from '../../support/backend.ts';
import { eventually } from '../../support/eventually.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';

/** A router whose callers have tokens of an authorization server, and whose tools need scopes. */
interface Resource {
  readonly router: HandRouter;
  readonly url: string;
}

const policy = `rules:
  - { name: reading, effect: allow, what: { tools: one.echo } }
  - { name: writing, effect: allow, what: { tools: one.write }, scopes: [mcp:write] }
`;

async function startResource(
  issuer: string,
  requiredScopes: readonly string[],
  backend: Backend,
): Promise<Resource> {
  const folder = mkdtempSync(join(tmpdir(), 'oauth-'));
  cleanUp.push(async () => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'policy.yaml'), policy);
  const router = await startHandRouter({
    issuers: issuer,
    requiredScopes: requiredScopes.join(),
    policyFile: join(folder, 'policy.yaml'),
  });
  router.register(registered('one', [['a', backend.port]]));
  await eventually(() =>
    router.logs.some(
      ({ message, fields }) => message === 'table changed' && JSON.stringify(fields).includes('one.echo'),
    ),
  );
  return { router, url: `${router.url}/mcp` };
}

/** What a desktop client does: registers itself, opens a browser, keeps its tokens. */
class Desktop implements OAuthClientProvider {
  readonly redirectUrl = 'http://127.0.0.1:9/callback';
  readonly scopesAsked: string[] = [];
  code: string | undefined;
  #information: { client_id: string } | undefined;
  #tokens: OAuthTokens | undefined;
  #verifier = '';

  /** @param registered id of a client that the server knows; without, the client registers itself */
  constructor(registered?: string) {
    if (registered !== undefined) this.#information = { client_id: registered };
  }

  get clientMetadata() {
    return {
      client_name: 'desktop',
      redirect_uris: [this.redirectUrl],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
    };
  }
  clientInformation() {
    return this.#information;
  }
  saveClientInformation(information: { client_id: string }): void {
    this.#information = information;
  }
  tokens() {
    return this.#tokens;
  }
  saveTokens(tokens: OAuthTokens): void {
    this.#tokens = tokens;
  }
  codeVerifier() {
    return this.#verifier;
  }
  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }
  async redirectToAuthorization(url: URL): Promise<void> {
    this.scopesAsked.push(url.searchParams.get('scope') ?? '');
    this.code = await browse(url);
  }
}

/** A browser that follows redirects with its cookies, until it is sent back to the client. */
async function browse(start: URL): Promise<string> {
  const cookies = new Map<string, string>();
  let url = start;
  for (let hops = 0; hops < 10; hops += 1) {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (location === null)
      throw new Error(`${url.href} answered ${response.status}: ${await response.text()}`);
    url = new URL(location, url);
    const code = url.searchParams.get('code');
    if (code !== null) return code;
    if (url.searchParams.has('error')) throw new Error(`sent back with ${url.search}`);
  }
  throw new Error('too many redirects');
}

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).toReversed()) await undo();
});

async function setUp(
  requiredScopes: readonly string[],
): Promise<{ server: AuthorizationServer; resource: Resource; backend: Backend }> {
  const [server, backend] = await Promise.all([startAuthorizationServer(), startBackend()]);
  cleanUp.push(
    () => server.stop(),
    () => backend.stop(),
  );
  const resource = await startResource(server.issuer, requiredScopes, backend);
  cleanUp.push(() => resource.router.stop());
  return { server, resource, backend };
}

async function connect(resource: Resource, provider: Desktop): Promise<Client> {
  const client = new Client({ name: 'desktop', version: '1' });
  const first = new StreamableHTTPClientTransport(new URL(resource.url), { authProvider: provider });
  await expect(client.connect(first)).rejects.toThrow(UnauthorizedError);
  await first.finishAuth(provider.code ?? '');
  await first.close();
  const second = new StreamableHTTPClientTransport(new URL(resource.url), { authProvider: provider });
  await client.connect(second);
  cleanUp.push(() => client.close());
  return client;
}

const text = (result: unknown): string => JSON.stringify(result);

describe('a client of the SDK', () => {
  it('finds the authorization server by the challenge alone, logs in, lists and calls', async () => {
    const { resource, backend } = await setUp(['mcp:use']);
    const provider = new Desktop();
    const client = await connect(resource, provider);
    expect(provider.scopesAsked).toEqual(['mcp:use']);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['one__echo', 'one__write']);
    expect(text(await client.callTool({ name: 'one__echo' }))).toContain(`echo by ${backend.port}`);
  });

  it('steps up by one challenge that names all scopes, and goes on in its session', async () => {
    const { resource, backend } = await setUp(['mcp:use']);
    // One that registers itself is registered for the scopes of its first challenge only.
    const provider = new Desktop('desktop');
    const client = await connect(resource, provider);
    const transport = client.transport as unknown as StreamableHTTPClientTransport;
    const session = transport.sessionId;
    await expect(client.callTool({ name: 'one__write' })).rejects.toThrow(UnauthorizedError);
    expect(backend.count('tools/call')).toBe(0);
    expect(provider.scopesAsked.at(-1)?.split(' ').toSorted()).toEqual(['mcp:use', 'mcp:write']);
    await transport.finishAuth(provider.code ?? '');
    expect(text(await client.callTool({ name: 'one__write' }))).toContain(`write by ${backend.port}`);
    expect(transport.sessionId).toBe(session);
  });

  it('of the stateless era logs in and calls as well', async () => {
    const { resource, backend } = await setUp(['mcp:use']);
    const provider = new Desktop('desktop');
    // The token is the same for both eras; this client brings it along.
    await connect(resource, provider);
    const client = new ModernClient(
      { name: 'modern', version: '1' },
      { versionNegotiation: { mode: { pin: '2026-07-28' } } },
    );
    const token = provider.tokens()?.access_token ?? '';
    await client.connect(
      new ModernHttp(new URL(resource.url), {
        requestInit: { headers: { authorization: `Bearer ${token}` } },
      }),
    );
    cleanUp.push(() => client.close());
    expect(text(await client.callTool({ name: 'one__echo' }))).toContain(`echo by ${backend.port}`);
  });
});
