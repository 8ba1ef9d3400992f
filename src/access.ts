import { readFile } from 'node:fs/promises';
import { isLoopback, type AuthMethod } from './config/values.ts';
import type { Settings } from './config/settings.ts';
import { RouterError } from './errors.ts';
import type { Log } from './model.ts';
import { CurrentPolicy, type InForce } from './policy/current-policy.ts';
import { describeMisfit, type Source } from './policy/document.ts';
import { ApiKeys, readApiKeys } from './policy/inbound/api-keys.ts';
import { Authenticator } from './policy/inbound/authenticator.ts';
import { Issuer, type IntrospectionOptions, type IssuerOptions } from './policy/inbound/issuer.ts';
import { TokenVerifier } from './policy/inbound/token-verifier.ts';
import type { KvDocuments } from './kv-documents.ts';
import { fileSource, type DocumentSource } from './policy/watched-file.ts';
import { WorkspaceSources } from './policy/workspace-sources.ts';

/** Main's part for the policy room: who may call, and what, from settings. */
export interface Access {
  readonly authenticator: Authenticator;
  readonly policy: CurrentPolicy;
  /** For credentials that exchange the caller's token. */
  readonly tokens: TokenVerifier | undefined;
  stop(): void;
}

export interface AccessParts {
  readonly log: Log;
  /** Where KV is watched. */
  readonly kv: Pick<KvDocuments, 'source'> | undefined;
  readonly onPolicy: (now: InForce, before: InForce) => void;
  /** Some credential exchanges tokens, so they have to be kept as long as they are known. */
  readonly keepTokens: boolean;
  /** Where the data plane listens; asked for only where no public URL is set. */
  readonly listenUrl: () => string;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

export const KEYS_KEY = 'mcp-router/keys';
export const POLICY_KEY = 'mcp-router/policy';
/** Before the name of a workspace. */
const WORKSPACES_PATH = 'mcp-router/workspaces/';

/**
 * The ways of proof that are taken: what is said, else what something is set for, else none on loopback. Empty where
 * nothing was said and the address is open to others: then the router must not start.
 */
export function acceptedMethods(settings: Settings): readonly AuthMethod[] {
  if (settings.auth) return settings.auth;
  const set: AuthMethod[] = [];
  if (settings.issuers.length > 0) set.push('token');
  if (settings.keysFile !== undefined) set.push('key');
  if (set.length > 0) return set;
  return isLoopback(settings.listen.host) ? ['none'] : [];
}

/** @throws {RouterError} WRONG_SETTINGS where settings don't fit together, or a file is missing or wrong */
export function createAccess(settings: Settings, parts: AccessParts): Access {
  const methods = acceptedMethods(settings);
  const { log, wallClock } = parts;
  if (methods.includes('token') && settings.issuers.length === 0) {
    throw wrong('MCP_ROUTER_AUTH takes tokens, and MCP_ROUTER_ISSUERS names no issuer of tokens.');
  }
  const stops: (() => void)[] = [];
  let started = false;
  const workspaces = new WorkspaceSources(
    (name, file) => sourceOf(file, WORKSPACES_PATH + name, parts, WORKSPACES_PATH),
    (name, source) => policy.loadWorkspace(name, source),
  );
  stops.push(() => workspaces.follow({}));
  const policy = new CurrentPolicy({
    required: settings.policyRequired || settings.policyFile !== undefined,
    awaited: parts.kv !== undefined,
    proofs: methods.some((method) => method !== 'none'),
    // What is read at the start is no change.
    onChange: (now, before) => {
      workspaces.follow(now.document.workspaces);
      if (started) parts.onPolicy(now, before);
    },
    log,
  });
  const rules = sourceOf(settings.policyFile, POLICY_KEY, parts);
  if (rules) {
    const stop = rules.watch(
      (source) => takePolicy(policy, source, rules.place),
      () => policy.unreadable(rules.place),
    );
    stops.push(stop);
  }
  if (settings.policyFile !== undefined) mustBeRight(policy, settings.policyFile);

  const keys = methods.includes('key') ? new ApiKeys(wallClock) : undefined;
  const keySource = keys && sourceOf(settings.keysFile, KEYS_KEY, parts);
  if (keys && !keySource)
    throw wrong('MCP_ROUTER_AUTH takes keys, and MCP_ROUTER_KEYS_FILE names no file of keys.');
  if (keys && keySource) {
    let problem: string | undefined;
    stops.push(keySource.watch((source) => (problem = takeKeys(keys, source, keySource.place, log))));
    if (problem !== undefined && settings.keysFile !== undefined) throw wrong(problem);
  }

  const tokens = methods.includes('token') ? tokenVerifier(settings, parts) : undefined;
  const authenticator = new Authenticator({
    anonymous: methods.includes('none'),
    tokens,
    keys,
    certificates: methods.includes('certificate'),
    get publicUrl() {
      return settings.publicUrl ?? parts.listenUrl();
    },
    authorizationServers: tokens ? settings.issuers.map(({ issuer }) => issuer) : [],
    requiredScopes: settings.requiredScopes,
    hasScopes: (granted, wanted) => policy.inForce.policy.rules.hasScopes(granted, wanted),
  });
  started = true;
  return {
    authenticator,
    policy,
    tokens,
    stop: () => {
      for (const stop of stops) stop();
    },
  };
}

function sourceOf(
  file: string | undefined,
  key: string,
  { kv }: AccessParts,
  folder?: string,
): DocumentSource | undefined {
  return file === undefined ? kv?.source(key, folder) : fileSource(file);
}

function takePolicy(policy: CurrentPolicy, source: Source | undefined, place: string): void {
  if (source) policy.load(source);
  else policy.missing(place);
}

/** A wrong file at the start is a wrong setting; later the rules before stay. */
function mustBeRight(policy: CurrentPolicy, file: string): void {
  if (policy.refused.length > 0) {
    throw wrong(`The policy in ${file} is wrong:\n  ${policy.refused.map(describeMisfit).join('\n  ')}`);
  }
  if (policy.inForce.place === undefined)
    throw wrong(`The policy file ${file} cannot be read (MCP_ROUTER_POLICY_FILE).`);
}

/** @returns what is wrong; the keys before stay then */
function takeKeys(keys: ApiKeys, source: Source | undefined, place: string, log: Log): string | undefined {
  if (!source) {
    log.warn('there is no list of API keys; the keys before stay', { place, keys: keys.size });
    return `The file of API keys ${place} cannot be read (MCP_ROUTER_KEYS_FILE).`;
  }
  const read = readApiKeys(source);
  if (read.kind === 'ok') {
    keys.replace(read.value.keys);
    log.info('API keys read', { place, keys: keys.size });
    return undefined;
  }
  const errors = read.misfits.map(describeMisfit);
  log.error('the list of API keys is wrong and changes nothing; the keys before stay', { place, errors });
  return `The file of API keys is wrong:\n  ${errors.join('\n  ')}`;
}

function tokenVerifier(settings: Settings, { keepTokens, wallClock }: AccessParts): TokenVerifier {
  const common = commonIntrospection(settings);
  const issuers = settings.issuers.map((one) => {
    const options: IssuerOptions = {
      issuer: one.issuer,
      jwksUri: one.jwksUri,
      audiences: [...settings.audiences, ...(one.audiences ?? [])],
      groupsClaim: one.groupsClaim ?? settings.groupsClaim,
      introspection: one.introspection
        ? {
            clientId: one.introspection.clientId,
            clientSecret: fileSecret(one.introspection.clientSecretFile),
          }
        : common,
    };
    return new Issuer(options, settings.clockSkew, wallClock);
  });
  return new TokenVerifier({ issuers, keepTokens, wallClock });
}

function commonIntrospection(settings: Settings): IntrospectionOptions | undefined {
  const { introspectionClientId: clientId, introspectionClientSecret: secret } = settings;
  const file = settings.introspectionClientSecretFile;
  if (clientId === undefined) return undefined;
  if (secret !== undefined) return { clientId, clientSecret: () => secret };
  if (file !== undefined) return { clientId, clientSecret: fileSecret(file) };
  throw wrong(
    'MCP_ROUTER_INTROSPECTION_CLIENT_ID is set, and its secret is not (…_SECRET or …_SECRET_FILE).',
  );
}

function fileSecret(file: string): () => Promise<string> {
  return async () => (await readFile(file, 'utf8')).trim();
}

function wrong(message: string): RouterError {
  return new RouterError('WRONG_SETTINGS', message);
}
