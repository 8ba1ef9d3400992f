import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError, type OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js';
import { afterEach, describe, expect, it } from 'vitest';
import type { RouterError } from '../../../src/errors.ts';
import type { Identity } from '../../../src/model.ts';
import { Authenticator } from '../../../src/policy/inbound/authenticator.ts';
import { Issuer } from '../../../src/policy/inbound/issuer.ts';
import { metadataPath } from '../../../src/policy/inbound/resource.ts';
import { TokenVerifier } from '../../../src/policy/inbound/token-verifier.ts';
import { scopeTest } from '../../../src/policy/rules/scopes.ts';
import { startAuthorizationServer, type AuthorizationServer } from '../../support/authorization-server.ts';

/** The part of the edge that this is about, before a server of the SDK. */
interface Resource {
  readonly url: string;
  readonly seen: Identity[];
  /** What calls of the tool need from now on. */
  needs: readonly string[];
  stop(): Promise<void>;
}

async function startResource(issuer: string, requiredScopes: readonly string[]): Promise<Resource> {
  const seen: Identity[] = [];
  const resource = { seen, needs: [] as readonly string[] };
  let authenticator: Authenticator | undefined;
  let publicUrl = '';
  const hasScopes = scopeTest();
  const server: Server = createServer((request, response) => {
    void (async () => {
      const path = (request.url ?? '').split('?')[0] ?? '';
      const described = metadataPath(publicUrl, path);
      if (described !== undefined) {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(authenticator?.resourceMetadata(described)));
        return;
      }
      try {
        const identity = await authenticator?.authenticate(request, path);
        if (!identity || !authenticator) throw new Error('not ready');
        let text = '';
        for await (const chunk of request) text += String(chunk);
        const message = JSON.parse(text === '' ? 'null' : text) as { method?: string } | null;
        if (message?.method === 'tools/call' && !hasScopes(identity.scopes, resource.needs)) {
          throw authenticator.stepUp(path, resource.needs);
        }
        seen.push(identity);
        const mcp = new McpServer({ name: 'behind', version: '1' });
        mcp.registerTool('hello', {}, () => ({ content: [{ type: 'text', text: identity.subject }] }));
        const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
        await mcp.connect(transport);
        await transport.handleRequest(request, response, message ?? undefined);
      } catch (error) {
        const refused = error as RouterError;
        response.writeHead(refused.httpStatus(), { ...refused.headers, 'content-type': 'application/json' });
        response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: refused.toRpc() }));
      }
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  publicUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tokens = new TokenVerifier({
    issuers: [new Issuer({ issuer, audiences: [], groupsClaim: 'groups' }, 0, Date.now)],
    keepTokens: false,
    wallClock: Date.now,
  });
  authenticator = new Authenticator({
    anonymous: false,
    tokens,
    keys: undefined,
    certificates: false,
    publicUrl,
    authorizationServers: [issuer],
    requiredScopes,
    hasScopes,
  });
  return Object.assign(resource, {
    url: `${publicUrl}/mcp`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
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
): Promise<{ server: AuthorizationServer; resource: Resource }> {
  const server = await startAuthorizationServer();
  cleanUp.push(() => server.stop());
  const resource = await startResource(server.issuer, requiredScopes);
  cleanUp.push(() => resource.stop());
  return { server, resource };
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

describe('a client of the SDK', () => {
  it('finds the authorization server by the challenge alone, logs in, and is who it logged in as', async () => {
    const { resource, server } = await setUp(['mcp:use']);
    const provider = new Desktop();
    const client = await connect(resource, provider);
    expect(provider.scopesAsked).toEqual(['mcp:use']);
    const result = await client.callTool({ name: 'hello' });
    expect(result.content).toEqual([{ type: 'text', text: 'ann' }]);
    expect(resource.seen.at(-1)).toMatchObject({
      subject: 'ann',
      issuer: server.issuer,
      scopes: ['mcp:use'],
      groups: ['dev'],
      client: provider.clientInformation()?.client_id,
    });
    expect(new Set(resource.seen.map(({ digest }) => digest)).size).toBe(1);
  });

  it('steps up by one challenge that names all scopes', async () => {
    const { resource } = await setUp(['mcp:use']);
    // One that registers itself is registered for the scopes of its first challenge only.
    const provider = new Desktop('desktop');
    const client = await connect(resource, provider);
    resource.needs = ['mcp:write'];
    await expect(client.callTool({ name: 'hello' })).rejects.toThrow(UnauthorizedError);
    expect(provider.scopesAsked.at(-1)?.split(' ').toSorted()).toEqual(['mcp:use', 'mcp:write']);
    const transport = client.transport as unknown as StreamableHTTPClientTransport;
    await transport.finishAuth(provider.code ?? '');
    const result = await client.callTool({ name: 'hello' });
    expect(result.content).toEqual([{ type: 'text', text: 'ann' }]);
    expect(resource.seen.at(-1)?.scopes.toSorted()).toEqual(['mcp:use', 'mcp:write']);
  });
});
