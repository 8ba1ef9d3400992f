import { createServer, IncomingMessage } from 'node:http';
import { Socket, type AddressInfo } from 'node:net';
import { createHmac } from 'node:crypto';
import { base64url, exportJWK, exportSPKI, generateKeyPair, importJWK, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ChallengeError, describeError, RouterError } from '../../../src/errors.ts';
import type { Identity } from '../../../src/model.ts';
import { Authenticator, type AuthenticatorOptions } from '../../../src/policy/inbound/authenticator.ts';
import { Issuer, type IssuerOptions } from '../../../src/policy/inbound/issuer.ts';
import { TokenVerifier } from '../../../src/policy/inbound/token-verifier.ts';
import { scopeTest } from '../../../src/policy/rules/scopes.ts';
import {
  client,
  introspector,
  startAuthorizationServer,
  type AuthorizationServer,
} from '../../support/authorization-server.ts';
import { eventually } from '../../support/eventually.ts';

const publicUrl = 'https://mcp.example.com';
const resource = `${publicUrl}/mcp`;
const now = (): number => Math.floor(Date.now() / 1000);

const issuerOptions = (issuer: string, more: Partial<IssuerOptions> = {}): IssuerOptions => ({
  issuer,
  audiences: [],
  groupsClaim: 'groups',
  ...more,
});

interface Built {
  readonly authenticator: Authenticator;
  readonly verifier: TokenVerifier;
  clock: number;
}

function build(
  issuers: readonly IssuerOptions[],
  more: Partial<AuthenticatorOptions> = {},
  clockSkewMs = 30_000,
): Built {
  const built = { clock: 0 };
  const wallClock = (): number => Date.now() + built.clock;
  const verifier = new TokenVerifier({
    issuers: issuers.map((options) => new Issuer(options, clockSkewMs, wallClock)),
    keepTokens: false,
    wallClock,
  });
  const authenticator = new Authenticator({
    anonymous: false,
    tokens: verifier,
    keys: undefined,
    certificates: false,
    publicUrl,
    authorizationServers: issuers.map(({ issuer }) => issuer),
    requiredScopes: [],
    hasScopes: scopeTest(),
    ...more,
  });
  return Object.assign(built, { authenticator, verifier });
}

function request(headers: Record<string, string>): IncomingMessage {
  const message = new IncomingMessage(new Socket());
  Object.assign(message.headers, headers);
  return message;
}

const bearer = (token: string): IncomingMessage => request({ authorization: `Bearer ${token}` });

async function identityOf(built: Built, token: string, path = '/mcp'): Promise<Identity> {
  return built.authenticator.authenticate(bearer(token), path);
}

async function refusal(built: Built, message: IncomingMessage, path = '/mcp'): Promise<RouterError> {
  try {
    await built.authenticator.authenticate(message, path);
  } catch (error) {
    if (error instanceof RouterError) return error;
    throw error;
  }
  throw new Error('was taken');
}

let server: AuthorizationServer;
let other: AuthorizationServer;
beforeAll(async () => {
  [server, other] = await Promise.all([startAuthorizationServer(), startAuthorizationServer()]);
});
afterAll(() => Promise.all([server.stop(), other.stop()]));

const good = (): Record<string, unknown> => ({
  iss: server.issuer,
  sub: 'ann',
  client_id: 'cli',
  aud: resource,
  exp: now() + 600,
  scope: 'mcp:use',
  groups: ['dev'],
});

describe('a token of a real authorization server', () => {
  it('makes an identity, with the scopes and groups that it says', async () => {
    const built = build([issuerOptions(server.issuer)]);
    const identity = await identityOf(built, await server.token(resource, 'mcp:use mcp:write'));
    expect(identity).toMatchObject({
      subject: client.id,
      client: client.id,
      issuer: server.issuer,
      method: 'token',
      groups: ['machines'],
      scopes: ['mcp:use', 'mcp:write'],
    });
    expect(JSON.stringify(identity)).not.toContain('eyJ');
  });

  it.each(['PS256', 'ES256', 'EdDSA'])('is taken when signed with %s', async (alg) => {
    const issuing = await startAuthorizationServer({ alg });
    try {
      const built = build([issuerOptions(issuing.issuer)]);
      expect(await identityOf(built, await issuing.token(resource))).toMatchObject({ subject: client.id });
    } finally {
      await issuing.stop();
    }
  });

  it('is known the second time at once and without a question, until it ends', async () => {
    const built = build([issuerOptions(server.issuer)], {}, 0);
    const token = await server.token(resource);
    const first = await identityOf(built, token);
    const asked = [...server.requests.values()].reduce((sum, count) => sum + count, 0);
    expect(built.authenticator.authenticate(bearer(token), '/mcp')).toBe(first);
    expect([...server.requests.values()].reduce((sum, count) => sum + count, 0)).toBe(asked);
    built.clock = 3_601_000;
    expect((await refusal(built, bearer(token))).message).toMatch(/expired/);
  });

  it('keeps the digest that sessions are bound to when it is refreshed, and no other caller has it', async () => {
    const built = build([issuerOptions(server.issuer), issuerOptions(other.issuer)]);
    const digest = async (claims: object, by = server): Promise<string> =>
      (await identityOf(built, await by.forge({ ...good(), ...claims, iss: by.issuer }))).digest;
    const first = await digest({});
    expect(await digest({ exp: now() + 900, scope: 'mcp:use mcp:write', jti: 'x' })).toBe(first);
    expect(await digest({ sub: 'bob' })).not.toBe(first);
    expect(await digest({ client_id: 'evil' })).not.toBe(first);
    expect(await digest({}, other)).not.toBe(first);
  });

  it('for the router as a whole is one for each of its endpoints; one for an endpoint is for no other', async () => {
    const built = build([issuerOptions(server.issuer)]);
    for (const path of ['/mcp', '/profiles/dev/mcp']) {
      expect(await identityOf(built, await server.token(publicUrl), path)).toBeDefined();
    }
    const profile = await server.token(`${publicUrl}/profiles/dev/mcp`);
    expect(await identityOf(built, profile, '/profiles/dev/mcp')).toBeDefined();
    expect((await refusal(built, bearer(profile), '/mcp')).message).toMatch(/another resource/);
  });

  it('of each of several issuers is checked with the keys of its own', async () => {
    const built = build([issuerOptions(server.issuer), issuerOptions(other.issuer)]);
    expect(await identityOf(built, await server.token(resource))).toMatchObject({ issuer: server.issuer });
    expect(await identityOf(built, await other.token(resource))).toMatchObject({ issuer: other.issuer });
  });

  it('is taken within the clock skew and not beyond', async () => {
    const built = build([issuerOptions(server.issuer)]);
    const late = await server.forge({ ...good(), exp: now() - 20 });
    expect(await identityOf(built, late)).toMatchObject({ subject: 'ann' });
    const early = await server.forge({ ...good(), nbf: now() + 20 });
    expect(await identityOf(built, early)).toMatchObject({ subject: 'ann' });
    expect(
      (await refusal(built, bearer(await server.forge({ ...good(), exp: now() - 40 })))).message,
    ).toMatch(/expired/);
  });

  it('that an identity provider vouched for by an ID-JAG is an access token like any other; the grant is none', async () => {
    const built = build([issuerOptions(server.issuer)]);
    // What an MCP authorization server issues for the grant: its own subject, the client of the grant.
    const issued = await server.forge({ ...good(), sub: 'ann@corp', client_id: 'corp-desktop' });
    expect(await identityOf(built, issued)).toMatchObject({ subject: 'ann@corp', client: 'corp-desktop' });
    const grant = await server.forge(good(), { typ: 'oauth-id-jag+jwt' });
    expect((await refusal(built, bearer(grant))).message).toMatch(/no access token/);
  });

  it.each([
    ['groups', { groups: ['a', 'b'] }, ['a', 'b']],
    ['realm_access.roles', { realm_access: { roles: ['admin'] } }, ['admin']],
    ['https://x.example/groups', { 'https://x.example/groups': 'one' }, ['one']],
    ['groups', { groups: { not: 'a list' } }, []],
  ])('has its groups in the claim %s', async (groupsClaim, claims, groups) => {
    const built = build([issuerOptions(server.issuer, { groupsClaim })]);
    const { groups: _, ...rest } = good();
    expect((await identityOf(built, await server.forge({ ...rest, ...claims }))).groups).toEqual(groups);
  });

  it('may say its scopes and client in the words of other vendors', async () => {
    const built = build([issuerOptions(server.issuer)]);
    const { scope: _, client_id: __, ...rest } = good();
    const identity = await identityOf(built, await server.forge({ ...rest, scp: ['a', 'b'], azp: 'app' }));
    expect(identity).toMatchObject({ scopes: ['a', 'b'], client: 'app' });
  });
});

describe('what is no good token', () => {
  const attacks: readonly [name: string, token: () => Promise<string> | string, message: RegExp][] = [
    ['expired', () => server.forge({ ...good(), exp: now() - 3600 }), /expired/],
    ['without an end', () => server.forge({ ...good(), exp: undefined as unknown as number }), /exp/],
    ['not valid yet', () => server.forge({ ...good(), nbf: now() + 3600 }), /nbf/],
    [
      'for another resource',
      () => server.forge({ ...good(), aud: 'https://other.example/mcp' }),
      /another resource/,
    ],
    [
      'for nobody',
      () => server.forge({ ...good(), aud: undefined as unknown as string }),
      /another resource/,
    ],
    [
      'for a longer name',
      () => server.forge({ ...good(), aud: `${resource}.evil.example` }),
      /another resource/,
    ],
    [
      'of an unknown issuer',
      async () => {
        const stranger = await generateKeyPair('RS256');
        return new SignJWT({ ...good(), iss: 'https://evil.example' })
          .setProtectedHeader({ alg: 'RS256' })
          .sign(stranger.privateKey);
      },
      /not trusted/,
    ],
    [
      'of another trusted issuer in the name of this one',
      () => other.forge({ ...good(), iss: server.issuer }),
      /not signed by its issuer/,
    ],
    ['of nobody', () => server.forge({ ...good(), iss: undefined as unknown as string }), /not trusted/],
    ['alg none', () => new UnsecuredJWT(good()).encode(), /algorithm|not signed/],
    [
      'alg None with a signature',
      () => `${base64url.encode('{"alg":"None"}')}.${base64url.encode(JSON.stringify(good()))}.x`,
      /algorithm|not signed/,
    ],
    [
      'HS256 with the public key as the secret',
      async () => {
        const { kid, jwk } = server.keys.get('RS256')!;
        const { d: _, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...publicJwk } = jwk;
        const publicKey = await importJWK({ ...publicJwk, ext: true }, 'RS256');
        if (publicKey instanceof Uint8Array) throw new Error('no key pair');
        const pem = await exportSPKI(publicKey);
        const head = base64url.encode(JSON.stringify({ alg: 'HS256', kid }));
        const body = base64url.encode(JSON.stringify(good()));
        const signature = createHmac('sha256', pem).update(`${head}.${body}`).digest('base64url');
        return `${head}.${body}.${signature}`;
      },
      /algorithm/,
    ],
    [
      'signed by a key of its own with the id of the real one',
      async () => {
        const own = await generateKeyPair('RS256');
        return new SignJWT(good())
          .setProtectedHeader({ alg: 'RS256', kid: server.keys.get('RS256')!.kid })
          .sign(own.privateKey);
      },
      /not signed/,
    ],
    [
      'with an id of a key of another algorithm',
      () => server.forge(good(), { kid: server.keys.get('ES256')!.kid }),
      /not signed/,
    ],
    ['with an unknown key id', () => server.forge(good(), { kid: '../../etc/passwd' }), /not signed/],
    [
      'with its own key inside',
      async () => {
        const own = await generateKeyPair('ES256', { extractable: true });
        return new SignJWT(good())
          .setProtectedHeader({
            alg: 'ES256',
            jwk: await exportJWK(own.publicKey),
            jku: 'http://127.0.0.1:1/jwks',
          })
          .sign(own.privateKey);
      },
      /not signed/,
    ],
    [
      'with an unknown critical header',
      async () => {
        const token = await server.forge(good());
        const [, body = ''] = token.split('.');
        const head = base64url.encode(
          JSON.stringify({ alg: 'RS256', crit: ['x'], x: 1, kid: server.keys.get('RS256')!.kid }),
        );
        return `${head}.${body}.${token.split('.')[2]}`;
      },
      /not signed/,
    ],
    [
      'with changed claims',
      async () => {
        const [head, , signature] = (await server.forge(good())).split('.');
        return `${head}.${base64url.encode(JSON.stringify({ ...good(), sub: 'root' }))}.${signature}`;
      },
      /not signed/,
    ],
    ['with a cut signature', async () => (await server.forge(good())).slice(0, -10), /not signed/],
    [
      'an id token of its client',
      () => server.forge({ ...good(), aud: 'cli', nonce: 'n' }, { typ: 'JWT' }),
      /another resource/,
    ],
    ['a logout token', () => server.forge(good(), { typ: 'logout+jwt' }), /no access token/],
    ['bound to a DPoP key, without its proof', () => server.forge({ ...good(), cnf: { jkt: 'x' } }), /bound/],
    [
      'bound to a certificate, without it',
      () => server.forge({ ...good(), cnf: { 'x5t#S256': 'x' } }),
      /bound/,
    ],
    ['about nobody', () => server.forge({ ...good(), sub: '', client_id: '' }), /neither a subject/],
    ['very long', () => `eyJ${'a'.repeat(20_000)}`, /too long/],
    ['of strange characters', () => 'a b;c', /characters/],
    ['opaque, and nobody to ask', () => 'opaque-token', /unknown/],
  ];

  it.each(attacks)(
    '%s: 401, and the challenge says where to get a good one',
    async (_name, token, message) => {
      const built = build([issuerOptions(server.issuer), issuerOptions(other.issuer)], { anonymous: true });
      const presented = await token();
      const error = await refusal(built, bearer(presented));
      expect(error.message).toMatch(message);
      expect(error.httpStatus()).toBe(401);
      expect(error.headers['www-authenticate']).toMatch(
        /^Bearer error="invalid_token", error_description="[^"]+"/,
      );
      expect(error.headers['www-authenticate']).toContain(
        `resource_metadata="${publicUrl}/.well-known/oauth-protected-resource/mcp"`,
      );
      // Once more, from what was remembered.
      expect((await refusal(built, bearer(presented))).message).toBe(error.message);
      expect(describeError(error)).not.toContain(presented);
    },
  );

  it('nothing at all: 401 with a challenge that names no error', async () => {
    const built = build([issuerOptions(server.issuer)], { requiredScopes: ['mcp:use', 'offline_access'] });
    const error = await refusal(built, request({}));
    expect(error).toBeInstanceOf(ChallengeError);
    expect(error.headers['www-authenticate']).toBe(
      `Bearer resource_metadata="${publicUrl}/.well-known/oauth-protected-resource/mcp", scope="mcp:use"`,
    );
  });

  it('another scheme of Authorization is refused, also where callers without a token are let in', async () => {
    const built = build([issuerOptions(server.issuer)], { anonymous: true });
    expect((await refusal(built, request({ authorization: 'Basic YTpi' }))).message).toMatch(/Only Bearer/);
    expect(await built.authenticator.authenticate(request({}), '/mcp')).toMatchObject({
      subject: 'anonymous',
    });
  });
});

describe('audiences', () => {
  it('are for one endpoint: a token for one profile is none for another', async () => {
    const built = build([issuerOptions(server.issuer)]);
    const token = await server.token(`${publicUrl}/profiles/support/mcp`);
    expect(await identityOf(built, token, '/profiles/support/mcp')).toMatchObject({ subject: client.id });
    expect((await refusal(built, bearer(token), '/profiles/sales/mcp')).message).toMatch(/another resource/);
    expect((await refusal(built, bearer(token), '/mcp')).message).toMatch(/another resource/);
  });

  it('may be others, where the issuer knows no resource indicators', async () => {
    const built = build([issuerOptions(server.issuer, { audiences: ['api://router'] })]);
    expect(
      await identityOf(built, await server.forge({ ...good(), aud: ['x', 'api://router'] })),
    ).toBeDefined();
  });

  it.each(['HTTPS://MCP.Example.com/mcp', 'https://mcp.example.com:443/mcp', 'https://mcp.example.com/mcp/'])(
    'count by meaning: %s',
    async (aud) => {
      const built = build([issuerOptions(server.issuer)]);
      expect(await identityOf(built, await server.forge({ ...good(), aud }))).toBeDefined();
    },
  );
});

describe('scopes', () => {
  it('that every call needs are asked for with 403, in one challenge with those of the rule', async () => {
    const built = build([issuerOptions(server.issuer)], { requiredScopes: ['mcp:use', 'mcp:write'] });
    const error = await refusal(built, bearer(await server.token(resource, 'mcp:use')));
    expect(error).toMatchObject({ code: 'INSUFFICIENT_SCOPE' });
    expect(error.httpStatus()).toBe(403);
    expect(error.headers['www-authenticate']).toBe(
      'Bearer error="insufficient_scope", error_description="More scopes are needed for this", ' +
        `resource_metadata="${publicUrl}/.well-known/oauth-protected-resource/mcp", scope="mcp:use mcp:write"`,
    );
    expect(
      built.authenticator.stepUp('/mcp', ['files:read', 'mcp:use']).headers['www-authenticate'],
    ).toContain('scope="mcp:use mcp:write files:read"');
  });
});

describe('keys of the issuer', () => {
  it('are asked for once, and again when a token names an unknown one after the issuer changed them', async () => {
    const issuing = await startAuthorizationServer();
    const port = Number(new URL(issuing.issuer).port);
    const built = build([issuerOptions(issuing.issuer, { keysCooldownMs: 100 })]);
    await Promise.all(
      Array.from({ length: 20 }, async () => identityOf(built, await issuing.token(resource))),
    );
    expect(issuing.requests.get('/jwks')).toBe(1);
    await issuing.stop();
    const rotated = await startAuthorizationServer({ port });
    try {
      const token = await rotated.token(resource);
      const identity = await eventually(() => identityOf(built, token));
      expect(identity).toMatchObject({ subject: client.id });
    } finally {
      await rotated.stop();
    }
  });

  it('are not asked for by every forged key id', async () => {
    const issuing = await startAuthorizationServer();
    try {
      const built = build([issuerOptions(issuing.issuer)]);
      const forged = await Promise.all(
        Array.from({ length: 50 }, (_, at) =>
          issuing.forge({ ...good(), iss: issuing.issuer }, { kid: `forged-${at}` }),
        ),
      );
      for (const token of forged) await refusal(built, bearer(token));
      expect(issuing.requests.get('/jwks')).toBe(1);
    } finally {
      await issuing.stop();
    }
  });

  it('that cannot be had make 503 and not 401: the token may be good', async () => {
    const built = build([issuerOptions('http://127.0.0.1:9')]);
    const token = await server.forge({ ...good(), iss: 'http://127.0.0.1:9' });
    const error = await refusal(built, bearer(token));
    expect(error).toMatchObject({ code: 'AUTHORIZATION_SERVER_UNAVAILABLE' });
    expect(error.headers['retry-after']).toBeDefined();
    expect(JSON.stringify(error.toRpc())).not.toContain('127.0.0.1');
  });

  it('of metadata that is of another issuer are not taken', async () => {
    const lying = createServer((_, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ issuer: server.issuer, jwks_uri: `${server.issuer}/jwks` }));
    });
    await new Promise<void>((resolve) => lying.listen(0, '127.0.0.1', resolve));
    try {
      const issuer = `http://127.0.0.1:${(lying.address() as AddressInfo).port}`;
      const built = build([issuerOptions(issuer)]);
      const token = await server.forge({ ...good(), iss: issuer });
      expect(await refusal(built, bearer(token))).toMatchObject({ code: 'AUTHORIZATION_SERVER_UNAVAILABLE' });
    } finally {
      lying.close();
    }
  });

  it('may be named in the settings instead of asked for', async () => {
    const built = build([issuerOptions(server.issuer, { jwksUri: `${server.issuer}/jwks` })]);
    expect(await identityOf(built, await server.token(resource))).toBeDefined();
  });

  it('over plain http are taken from this machine only', () => {
    expect(() => build([issuerOptions('http://idp.example')])).toThrow(/must be an https URL/);
    expect(() => build([issuerOptions('http://127.0.0.1.evil.example')])).toThrow(/must be an https URL/);
    expect(() => build([issuerOptions('http://127.evil.example')])).toThrow(/must be an https URL/);
    expect(() =>
      build([issuerOptions('https://idp.example', { jwksUri: 'http://idp.example/jwks' })]),
    ).toThrow(/must be an https URL/);
  });
});

describe('opaque tokens', () => {
  const introspection = { clientId: introspector.id, clientSecret: () => introspector.secret };

  it('are asked about, once for many calls, and again after a while: they can be revoked', async () => {
    const issuing = await startAuthorizationServer({ format: 'opaque' });
    try {
      const built = build([
        issuerOptions(server.issuer, { introspection }),
        issuerOptions(issuing.issuer, { introspection }),
      ]);
      const token = await issuing.token(resource, 'mcp:use');
      const all = await Promise.all(Array.from({ length: 20 }, () => identityOf(built, token)));
      expect(all[0]).toMatchObject({ subject: client.id, issuer: issuing.issuer, scopes: ['mcp:use'] });
      expect(issuing.requests.get('/token/introspection')).toBe(1);
      await fetch(`${issuing.issuer}/token/revocation`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`,
        },
        body: new URLSearchParams({ token }),
      });
      built.clock = 61_000;
      expect((await refusal(built, bearer(token))).message).toMatch(/unknown or has ended/);
    } finally {
      await issuing.stop();
    }
  });

  it('for another resource are refused like any other', async () => {
    const issuing = await startAuthorizationServer({ format: 'opaque' });
    try {
      const built = build([issuerOptions(issuing.issuer, { introspection })]);
      const token = await issuing.token('https://other.example/mcp');
      expect((await refusal(built, bearer(token))).message).toMatch(/another resource/);
    } finally {
      await issuing.stop();
    }
  });

  it('cannot keep more than a bounded number of questions waiting', async () => {
    const issuing = await startAuthorizationServer({ format: 'opaque' });
    try {
      const built = build([issuerOptions(issuing.issuer, { introspection })]);
      await refusal(built, bearer('first-to-have-the-metadata'));
      issuing.hang(true);
      const flood = await Promise.all(
        Array.from({ length: 400 }, (_, at) => refusal(built, bearer(`token-${at}`))),
      );
      const codes = flood.map(({ code }) => code);
      expect(codes.filter((code) => code === 'OVERLOADED')).toHaveLength(144);
      expect(codes.filter((code) => code === 'AUTHORIZATION_SERVER_UNAVAILABLE')).toHaveLength(256);
    } finally {
      issuing.hang(false);
      await issuing.stop();
    }
  });

  it('make 503 where the secret of the router is wrong: that is no fault of the caller', async () => {
    const wrong = { clientId: introspector.id, clientSecret: () => 'wrong' };
    const built = build([issuerOptions(server.issuer, { introspection: wrong })]);
    const error = await refusal(built, bearer('opaque'));
    expect(error).toMatchObject({ code: 'AUTHORIZATION_SERVER_UNAVAILABLE' });
  });
});
