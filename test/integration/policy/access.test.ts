import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acceptedMethods, createAccess, KEYS_KEY, POLICY_KEY, type Access } from '../../../src/access.ts';
import { resolveSettings } from '../../../src/config/resolve.ts';
import type { Settings } from '../../../src/config/settings.ts';
import type { Source } from '../../../src/policy/document.ts';
import { newApiKey } from '../../../src/policy/inbound/api-keys.ts';
import type { KvDocuments } from '../../../src/kv-documents.ts';
import type { DocumentSource } from '../../../src/policy/watched-file.ts';
import { introspector, startAuthorizationServer } from '../../support/authorization-server.ts';
import { eventually } from '../../support/eventually.ts';
import { anonymous } from '../../support/model.ts';
import { recordingLog } from '../../support/recording-log.ts';

let folder: string;
let access: Access | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'access-'));
});
afterEach(() => {
  access?.stop();
  access = undefined;
  rmSync(folder, { recursive: true, force: true });
});

function settingsOf(environment: Record<string, string>): Settings {
  const resolved = resolveSettings({ environment });
  if (resolved.kind === 'wrong') throw new Error(resolved.problems.map(({ message }) => message).join('\n'));
  return resolved.settings;
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function create(environment: Record<string, string>, kv?: Pick<KvDocuments, 'source'>): Access {
  access = createAccess(settingsOf(environment), {
    log: recordingLog(),
    kv,
    onPolicy: () => undefined,
    keepTokens: false,
    listenUrl: () => 'http://127.0.0.1:8080',
    wallClock: Date.now,
  });
  return access;
}

/** A key of KV that a test writes by hand. */
class FakeKv {
  readonly #listeners = new Map<string, (source: Source | undefined) => void>();
  readonly source = (key: string): DocumentSource => ({
    place: key,
    watch: (onText) => {
      this.#listeners.set(key, onText);
      return () => this.#listeners.delete(key);
    },
  });
  write(key: string, text: string | undefined): void {
    this.#listeners.get(key)?.(text === undefined ? undefined : { text, place: key });
  }
  get watched(): readonly string[] {
    return [...this.#listeners.keys()];
  }
}

const asking = (headers: Record<string, string>): IncomingMessage => {
  const message = new IncomingMessage(new Socket());
  Object.assign(message.headers, headers);
  return message;
};

const call = { kind: 'tools', name: 'a.b', service: 'a', meta: {}, args: () => ({}) } as const;
const denyAll = 'rules: [{ name: nobody, effect: deny }]';

describe('acceptedMethods', () => {
  it.each([
    [{}, ['none']],
    [{ MCP_ROUTER_LISTEN: '0.0.0.0:8080' }, []],
    [{ MCP_ROUTER_LISTEN: '0.0.0.0:8080', MCP_ROUTER_AUTH: 'none' }, ['none']],
    [{ MCP_ROUTER_ISSUERS: 'https://idp.example' }, ['token']],
    [{ MCP_ROUTER_ISSUERS: 'https://idp.example', MCP_ROUTER_KEYS_FILE: 'keys' }, ['token', 'key']],
    [{ MCP_ROUTER_ISSUERS: 'https://idp.example', MCP_ROUTER_AUTH: 'token, none' }, ['none', 'token']],
  ])('%j: %j', (environment, methods) => {
    expect(acceptedMethods(settingsOf(environment as Record<string, string>))).toEqual(methods);
  });
});

describe('createAccess', () => {
  it.each([
    [{ MCP_ROUTER_AUTH: 'token' }, /names no issuer/],
    [{ MCP_ROUTER_AUTH: 'key' }, /names no file of keys/],
    [{ MCP_ROUTER_AUTH: 'password' }, /one or several of none, token, key, certificate/],
    [{ MCP_ROUTER_KEYS_FILE: '/nowhere/keys.yaml' }, /cannot be read/],
    [{ MCP_ROUTER_POLICY_FILE: '/nowhere/policy.yaml' }, /cannot be read/],
    [{ MCP_ROUTER_ISSUERS: 'http://idp.example' }, /must be an https URL/],
    [{ MCP_ROUTER_ISSUERS: 'not a url' }, /must be the URL of an issuer/],
    [{ MCP_ROUTER_ISSUERS: '[{"issuer":"https://a","secret":"x"}]' }, /Unrecognized key/],
    [{ MCP_ROUTER_PUBLIC_URL: 'mcp.example.com' }, /must be a URL/],
    [
      { MCP_ROUTER_ISSUERS: 'https://idp.example', MCP_ROUTER_INTROSPECTION_CLIENT_ID: 'x' },
      /its secret is not/,
    ],
  ])('refuses %j', (environment, message) => {
    expect(() => create(environment as Record<string, string>)).toThrow(message);
  });

  it('refuses wrong files at the start with every error', () => {
    const policy = file('policy.yaml', 'rules: [{ name: a }]\nx: 1');
    expect(() => create({ MCP_ROUTER_POLICY_FILE: policy })).toThrow(/rules\[0\].effect[^]*x: is not known/);
    const keys = file('keys.yaml', 'keys: [{ name: a }]');
    expect(() => create({ MCP_ROUTER_KEYS_FILE: keys })).toThrow(/keys\[0\].sha256/);
  });

  it('takes keys from a file and reads it again when it changes', async () => {
    const [one, two] = [newApiKey(), newApiKey()];
    const path = file('keys.yaml', `keys: [{ name: one, sha256: ${one.sha256} }]`);
    const { authenticator } = create({ MCP_ROUTER_KEYS_FILE: path });
    const find = (headers: Record<string, string>) => authenticator.authenticate(asking(headers), '/mcp');
    expect(find({ authorization: `Bearer ${one.key}` })).toMatchObject({ subject: 'one' });
    expect(find({ 'x-api-key': one.key })).toMatchObject({ subject: 'one' });
    expect(() => find({ 'x-api-key': two.key })).toThrow(/not valid/);
    expect(() => find({})).toThrow(/Prove who you are/);
    const first = await find({ 'x-api-key': one.key });
    expect(authenticator.isStillGood(first, Date.now())).toBe(true);
    writeFileSync(path, `keys: [{ name: two, sha256: ${two.sha256} }]`);
    await eventually(() => find({ 'x-api-key': two.key }));
    expect(authenticator.isStillGood(first, Date.now())).toBe(false);
    expect(() => find({ 'x-api-key': one.key })).toThrow(/not valid/);
    // A file that is wrong, or gone, for a moment takes nobody's key away.
    writeFileSync(path, 'keys: [');
    rmSync(path);
    expect(find({ 'x-api-key': two.key })).toMatchObject({ subject: 'two' });
  });

  it('takes rules and keys from KV where no file is named, and keeps them when the key is lost', () => {
    const kv = new FakeKv();
    const { policy, authenticator } = create({ MCP_ROUTER_AUTH: 'none,key' }, kv);
    expect(kv.watched).toEqual([POLICY_KEY, KEYS_KEY]);
    // Nobody knows yet whether there are rules.
    expect(policy.inForce.policy.decide(anonymous, call).kind).toBe('deny');
    expect(policy.waiting).toBe(true);
    kv.write(POLICY_KEY, undefined);
    expect(policy.waiting).toBe(false);
    expect(policy.inForce.policy.decide(anonymous, call).kind).toBe('allow');
    const { key, sha256 } = newApiKey();
    kv.write(KEYS_KEY, `keys: [{ name: one, sha256: ${sha256} }]`);
    kv.write(POLICY_KEY, denyAll);
    expect(policy.inForce.policy.decide(anonymous, call).kind).toBe('deny');
    kv.write(POLICY_KEY, undefined);
    kv.write(KEYS_KEY, undefined);
    expect(policy.inForce.policy.decide(anonymous, call).kind).toBe('deny');
    expect(authenticator.authenticate(asking({ 'x-api-key': key }), '/mcp')).toMatchObject({
      subject: 'one',
    });
  });

  it('allows nothing before the rules were read where they are required', () => {
    const kv = new FakeKv();
    const { policy } = create({ MCP_ROUTER_POLICY_REQUIRED: 'true' }, kv);
    expect(policy.inForce.policy.decide(anonymous, call).kind).toBe('deny');
    kv.write(POLICY_KEY, undefined);
    expect(policy.inForce.policy.decide(anonymous, call).kind).toBe('deny');
    kv.write(POLICY_KEY, 'rules: []');
    expect(policy.inForce.policy.decide(anonymous, call).kind).toBe('allow');
  });

  it('reads the file of rules again when it changes; a wrong one changes nothing', async () => {
    const path = file('policy.yaml', denyAll);
    const { policy } = create({ MCP_ROUTER_POLICY_FILE: path });
    const decides = () => policy.inForce.policy.decide(anonymous, call).kind;
    expect(decides()).toBe('deny');
    writeFileSync(path, 'rules: [{ name: all, effect: allow }]');
    await eventually(() => decides() === 'allow');
    writeFileSync(path, 'rules: [{ name: all, effect: everything }]');
    await eventually(() => policy.refused.length > 0);
    expect(decides()).toBe('allow');
  });

  it('asks issuers about opaque tokens with the secret of its settings, or of a file', async () => {
    const server = await startAuthorizationServer({ format: 'opaque' });
    try {
      const token = await server.token('https://mcp.example.com/mcp');
      const common = {
        MCP_ROUTER_PUBLIC_URL: 'https://mcp.example.com/',
        MCP_ROUTER_INTROSPECTION_CLIENT_ID: introspector.id,
      };
      const secretFile = file('secret', `${introspector.secret}\n`);
      const own = [
        { issuer: server.issuer, introspection: { clientId: introspector.id, clientSecretFile: secretFile } },
      ];
      for (const environment of [
        {
          ...common,
          MCP_ROUTER_ISSUERS: server.issuer,
          MCP_ROUTER_INTROSPECTION_CLIENT_SECRET: introspector.secret,
        },
        {
          ...common,
          MCP_ROUTER_ISSUERS: server.issuer,
          MCP_ROUTER_INTROSPECTION_CLIENT_SECRET_FILE: secretFile,
        },
        { MCP_ROUTER_PUBLIC_URL: 'https://mcp.example.com', MCP_ROUTER_ISSUERS: JSON.stringify(own) },
      ]) {
        const { authenticator } = create(environment);
        const identity = await authenticator.authenticate(
          asking({ authorization: `Bearer ${token}` }),
          '/mcp',
        );
        expect(identity).toMatchObject({ issuer: server.issuer });
        expect(authenticator.resourceMetadata('/mcp')).toEqual({
          resource: 'https://mcp.example.com/mcp',
          authorization_servers: [server.issuer],
          bearer_methods_supported: ['header'],
          resource_name: 'mcp-consul-router',
        });
      }
    } finally {
      await server.stop();
    }
  });
});
