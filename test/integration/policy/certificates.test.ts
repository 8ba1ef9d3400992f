import { once } from 'node:events';
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer, request, type Server } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RouterError } from '../../../src/errors.ts';
import type { Identity } from '../../../src/model.ts';
import { Authenticator } from '../../../src/policy/inbound/authenticator.ts';
import { Issuer } from '../../../src/policy/inbound/issuer.ts';
import { thumbprint } from '../../../src/policy/inbound/certificates.ts';
import { TokenVerifier } from '../../../src/policy/inbound/token-verifier.ts';
import { scopeTest } from '../../../src/policy/rules/scopes.ts';
import { startAuthorizationServer, type AuthorizationServer } from '../../support/authorization-server.ts';
import { makeAuthority, type Authority, type KeyPair } from '../../support/certificates.ts';

let authority: Authority;
let stranger: Authority;
let issuing: AuthorizationServer;
let server: Server;
let port: number;

beforeAll(async () => {
  authority = makeAuthority();
  stranger = makeAuthority();
  issuing = await startAuthorizationServer();
  const wallClock = Date.now;
  const issuer = new Issuer({ issuer: issuing.issuer, audiences: [], groupsClaim: 'groups' }, 0, wallClock);
  const authenticator = new Authenticator({
    anonymous: false,
    tokens: new TokenVerifier({ issuers: [issuer], keepTokens: false, wallClock }),
    keys: undefined,
    certificates: true,
    publicUrl: 'https://localhost',
    authorizationServers: [issuing.issuer],
    requiredScopes: [],
    hasScopes: scopeTest(),
  });
  const own = authority.issue('/CN=localhost', 'DNS:localhost');
  const tls = { ...own, ca: authority.ca, requestCert: true, rejectUnauthorized: false };
  server = createServer(tls, (incoming, response) => {
    void (async () => {
      try {
        response.end(JSON.stringify(await authenticator.authenticate(incoming, '/mcp')));
      } catch (error) {
        const refused = error as RouterError;
        response.writeHead(refused.httpStatus(), { ...refused.headers }).end(JSON.stringify(refused.message));
      }
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  authority.stop();
  stranger.stop();
  await issuing.stop();
});

async function ask(pair: KeyPair | undefined, token?: string): Promise<{ status: number; body: unknown }> {
  const outgoing = request({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.ca,
    agent: false,
    ...pair,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, body: JSON.parse(text) };
}

describe('a client certificate', () => {
  it.each([
    ['/CN=ann/OU=dev/OU=ops', undefined, 'ann'],
    ['/CN=ann', 'DNS:ann.example.com', 'ann.example.com'],
    ['/CN=ann', 'email:ann@example.com,DNS:x.example', 'ann@example.com'],
    [
      '/CN=ann',
      'DNS:x.example,URI:spiffe://example.org/ns/prod/sa/ann',
      'spiffe://example.org/ns/prod/sa/ann',
    ],
  ])('%s with %s is %s', async (subject, names, expected) => {
    const { status, body } = await ask(authority.issue(subject, names));
    expect(status).toBe(200);
    expect(body).toMatchObject({ subject: expected, method: 'certificate', issuer: 'CN=Test CA' });
  });

  it('has its units as groups and its fingerprint among the claims', async () => {
    const pair = authority.issue('/CN=ann/OU=dev/OU=ops');
    const fingerprint = new X509Certificate(pair.cert).fingerprint256.replaceAll(':', '').toLowerCase();
    const { body } = await ask(pair);
    expect(body).toMatchObject({ groups: ['dev', 'ops'], claims: { commonName: 'ann', fingerprint } });
  });

  it('keeps the digest when it is renewed, and no other name has it', async () => {
    const digest = async (subject: string): Promise<string> =>
      ((await ask(authority.issue(subject))).body as Identity).digest;
    const first = await digest('/CN=ann');
    expect(await digest('/CN=ann')).toBe(first);
    expect(await digest('/CN=bob')).not.toBe(first);
  });

  it('of an authority that is not trusted, or without a name, or none at all, is 401', async () => {
    expect(await ask(stranger.issue('/CN=ann'))).toMatchObject({ status: 401 });
    expect(await ask(authority.issue('/O=nameless'))).toMatchObject({
      status: 401,
      body: expect.stringMatching(/names nobody/) as unknown,
    });
    expect(await ask(undefined)).toMatchObject({ status: 401 });
  });

  it('is needed with a token that is bound to it: a stolen token alone is worth nothing', async () => {
    const pair = authority.issue('/CN=machine');
    const token = await issuing.forge({
      iss: issuing.issuer,
      sub: 'machine',
      aud: 'https://localhost/mcp',
      exp: Math.floor(Date.now() / 1000) + 60,
      cnf: { 'x5t#S256': thumbprint(new X509Certificate(pair.cert)) },
    });
    expect(await ask(pair, token)).toMatchObject({
      status: 200,
      body: { subject: 'machine', method: 'token' },
    });
    expect(await ask(authority.issue('/CN=thief'), token)).toMatchObject({ status: 401 });
    expect(await ask(undefined, token)).toMatchObject({ status: 401 });
  });
});
