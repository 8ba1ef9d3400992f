import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose';
import OidcProvider, { type Configuration } from 'oidc-provider';

/** A real authorization server (oidc-provider) on loopback, that lets every user in as `ann` and consents at once. */
export interface AuthorizationServer {
  readonly issuer: string;
  readonly provider: OidcProvider;
  /** Requests so far, by path. */
  readonly requests: ReadonlyMap<string, number>;
  /** A token by client credentials for a resource. */
  token(resource: string, scope?: string): Promise<string>;
  /** Signs claims with the server's own key: what it would never issue. */
  forge(claims: JWTPayload, header?: Record<string, unknown>, alg?: string): Promise<string>;
  /** Its private keys by algorithm. */
  readonly keys: ReadonlyMap<string, { readonly kid: string; readonly key: CryptoKey; readonly jwk: JWK }>;
  /** Answers nothing any more, until it is let. */
  hang(on: boolean): void;
  stop(): Promise<void>;
}

export interface AuthorizationServerOptions {
  /** Format of tokens for a resource. */
  readonly format?: 'jwt' | 'opaque';
  readonly alg?: string;
  readonly port?: number;
  readonly configure?: (configuration: Configuration) => Configuration;
}

export const client = { id: 'machine', secret: 'machine-secret-0123456789' };
export const introspector = { id: 'router', secret: 'router-secret-0123456789' };

const redirectUris = ['http://127.0.0.1:9/callback'];

export async function startAuthorizationServer(
  options: AuthorizationServerOptions = {},
): Promise<AuthorizationServer> {
  const { format = 'jwt', alg = 'RS256' } = options;
  const keys = await makeKeys();
  const requests = new Map<string, number>();
  let hanging = false;
  let handle: ReturnType<OidcProvider['callback']> | undefined;
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    requests.set(path, (requests.get(path) ?? 0) + 1);
    if (!hanging) void handle?.(request, response);
  });
  const port = await listen(server, options.port ?? 0);
  const issuer = `http://127.0.0.1:${port}`;
  const configuration: Configuration = {
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: introspector.id,
        client_secret: introspector.secret,
        grant_types: [],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: 'desktop',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: redirectUris,
      },
    ],
    jwks: { keys: [...keys.values()].map(({ jwk }) => jwk) },
    scopes: ['openid', 'offline_access', 'mcp:use', 'mcp:write'],
    clientDefaults: { id_token_signed_response_alg: 'RS256' },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      registration: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => [],
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_context, resource) => ({
          scope: 'mcp:use mcp:write',
          audience: resource,
          accessTokenTTL: 3600,
          accessTokenFormat: format,
          jwt: { sign: { alg: alg as 'RS256' } },
        }),
      },
    },
    extraTokenClaims: async (_context, token) =>
      token.kind === 'AccessToken' ? { groups: ['dev'] } : { groups: ['machines'] },
    findAccount: async (_context, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    cookies: { keys: ['test'] },
    ttl: { AccessToken: 3600, ClientCredentials: 3600, Session: 3600, Grant: 3600, Interaction: 3600 },
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
  };
  const provider = new OidcProvider(issuer, options.configure?.(configuration) ?? configuration);
  consentAtOnce(provider);
  handle = provider.callback();

  return {
    issuer,
    provider,
    requests,
    keys,
    async token(resource, scope = 'mcp:use') {
      const response = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`,
          'content-type': 'application/x-www-form-urlencoded',
        },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource, scope }),
      });
      const answer = (await response.json()) as { access_token?: string };
      if (answer.access_token === undefined) throw new Error(JSON.stringify(answer));
      return answer.access_token;
    },
    async forge(claims, header = {}, signedWith = alg) {
      const key = keys.get(signedWith);
      if (!key) throw new Error(`no key for ${signedWith}`);
      return new SignJWT(claims)
        .setProtectedHeader({ alg: signedWith, kid: key.kid, typ: 'at+jwt', ...header })
        .sign(key.key);
    },
    hang(on) {
      hanging = on;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function makeKeys(): Promise<Map<string, { kid: string; key: CryptoKey; jwk: JWK }>> {
  const keys = new Map<string, { kid: string; key: CryptoKey; jwk: JWK }>();
  for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    const kid = `${alg}-${Math.random().toString(36).slice(2)}`;
    const jwk = { ...(await exportJWK(privateKey)), kid, alg, use: 'sig' };
    keys.set(alg, { kid, key: privateKey, jwk });
  }
  return keys;
}

/** In place of pages with buttons: every prompt is answered as a user would who agrees. */
function consentAtOnce(provider: OidcProvider): void {
  provider.use(async (context, next) => {
    if (!context.path.startsWith('/interaction/')) {
      await next();
      return;
    }
    const { prompt, params, session } = await provider.interactionDetails(context.req, context.res);
    if (prompt.name === 'login') {
      await provider.interactionFinished(context.req, context.res, { login: { accountId: 'ann' } });
    } else {
      const grant = new provider.Grant({
        accountId: session?.accountId ?? 'ann',
        clientId: String(params['client_id']),
      });
      grant.addOIDCScope(String(params['scope'] ?? 'openid'));
      for (const resource of [params['resource']].flat().filter(Boolean)) {
        grant.addResourceScope(String(resource), String(params['scope'] ?? 'mcp:use'));
      }
      await provider.interactionFinished(context.req, context.res, {
        consent: { grantId: await grant.save() },
      });
    }
    context.respond = false;
  });
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
