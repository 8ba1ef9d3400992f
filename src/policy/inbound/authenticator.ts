import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { ChallengeError, RouterError } from '../../errors.ts';
import type { Identity } from '../../model.ts';
import { looksLikeApiKey, type ApiKeys } from './api-keys.ts';
import { certificateIdentity, thumbprint } from './certificates.ts';
import { insufficientScope, unauthenticated, type ChallengeParts } from './challenge.ts';
import { metadataPath, metadataUrl, resourceUri, type ResourceMetadata } from './resource.ts';
import type { TokenVerifier } from './token-verifier.ts';
import { TokenRefused, type VerifiedToken } from './verified-token.ts';

export interface AuthenticatorOptions {
  /** Callers without any proof are let in, as `anonymous`; rules can still be about them. */
  readonly anonymous: boolean;
  readonly tokens: TokenVerifier | undefined;
  readonly keys: ApiKeys | undefined;
  /** Client certificates that TLS has checked are proof. */
  readonly certificates: boolean;
  /** As clients reach the router. */
  readonly publicUrl: string;
  /** Issuers, for the metadata of the resource. */
  readonly authorizationServers: readonly string[];
  /** Every token needs these. */
  readonly requiredScopes: readonly string[];
  readonly hasScopes: (granted: readonly string[], wanted: readonly string[]) => boolean;
}

export const anonymousIdentity: Identity = {
  subject: 'anonymous',
  method: 'none',
  digest: 'anonymous',
  groups: [],
  scopes: [],
  claims: {},
};

/** Endpoints that one token is remembered to be for. */
const MAX_PATHS = 100;

/** What a request brings as proof. */
interface Proof {
  readonly bearer: string | undefined;
  readonly apiKey: string | undefined;
  /** `Authorization` of a kind that is not taken here. */
  readonly foreign: boolean;
}

/**
 * Who calls. What is presented has to be good: a wrong token is refused, also where callers without one are let in,
 * so that nobody takes a lesser identity unawares.
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  /** Endpoints that a token was found to be for: canonical URIs are not worked out anew for every call. */
  readonly #accepted = new WeakMap<VerifiedToken, Set<string>>();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * At once for keys, certificates and tokens that are known.
   * @param path of the endpoint, without its query: audiences are for one endpoint
   * @throws {ChallengeError | RouterError} UNAUTHENTICATED, INSUFFICIENT_SCOPE, OVERLOADED,
   * AUTHORIZATION_SERVER_UNAVAILABLE; thrown at once or as the promise's rejection
   */
  authenticate(request: IncomingMessage, path: string): Identity | Promise<Identity> {
    const proof = proofOf(request);
    const { tokens, keys, certificates, anonymous } = this.#options;
    const key =
      proof.apiKey ??
      (proof.bearer !== undefined && looksLikeApiKey(proof.bearer) ? proof.bearer : undefined);
    if (key !== undefined) {
      const identity = keys?.find(key);
      if (!identity) throw this.#refused(path, 'The API key is not valid');
      return identity;
    }
    if (proof.bearer !== undefined) {
      if (!tokens) throw this.#refused(path, 'Tokens are not taken here');
      return this.#token(tokens, proof.bearer, request, path);
    }
    if (proof.foreign) throw this.#refused(path, 'Only Bearer is taken as Authorization');
    const certificate = certificates ? clientCertificate(request) : undefined;
    if (certificate) {
      if (!certificate.identity) throw this.#refused(path, 'The client certificate names nobody');
      return certificate.identity;
    }
    if (anonymous) return anonymousIdentity;
    throw unauthenticated(this.#challenge(path, this.#options.requiredScopes));
  }

  /**
   * Whether a proof that was good once still is, as far as is known here: for streams, which outlast requests.
   * @param now milliseconds since 1970
   */
  isStillGood({ method, key, expiresAt }: Identity, now: number): boolean {
    if (expiresAt !== undefined && expiresAt <= now) return false;
    return method !== 'api-key' || key === undefined || (this.#options.keys?.has(key) ?? false);
  }

  /** One challenge with all scopes that a call needs: those of every call, and those of the rule. */
  stepUp(path: string, scopes: readonly string[]): ChallengeError {
    return insufficientScope(
      this.#challenge(path, [...new Set([...this.#options.requiredScopes, ...scopes])]),
    );
  }

  /** The path of the endpoint whose metadata a request path asks for; undefined for any other request path. */
  describedBy(path: string): string | undefined {
    return metadataPath(this.#options.publicUrl, path);
  }

  /** The metadata of one endpoint (RFC 9728); undefined where there is no authorization server to name. */
  resourceMetadata(path: string): ResourceMetadata | undefined {
    const { authorizationServers, publicUrl, requiredScopes } = this.#options;
    if (authorizationServers.length === 0) return undefined;
    return {
      resource: resourceUri(publicUrl, path),
      authorization_servers: authorizationServers,
      bearer_methods_supported: ['header'],
      ...(requiredScopes.length > 0 && { scopes_supported: requiredScopes }),
      resource_name: 'mcp-consul-router',
    };
  }

  #token(
    tokens: TokenVerifier,
    token: string,
    request: IncomingMessage,
    path: string,
  ): Identity | Promise<Identity> {
    try {
      const verified = tokens.verify(token);
      if (!(verified instanceof Promise)) return this.#accept(tokens, verified, request, path);
      return verified.then(
        (result) => this.#accept(tokens, result, request, path),
        (error: unknown) => {
          throw this.#asChallenge(error, path);
        },
      );
    } catch (error) {
      throw this.#asChallenge(error, path);
    }
  }

  #accept(tokens: TokenVerifier, verified: VerifiedToken, request: IncomingMessage, path: string): Identity {
    const { requiredScopes, hasScopes } = this.#options;
    if (!this.#isFor(tokens, verified, path)) throw this.#refused(path, 'The token is for another resource');
    if (
      verified.certificate !== undefined &&
      clientCertificate(request)?.thumbprint !== verified.certificate
    ) {
      throw this.#refused(path, 'The token is bound to another client certificate');
    }
    if (!hasScopes(verified.identity.scopes, requiredScopes)) throw this.stepUp(path, []);
    return verified.identity;
  }

  /** For the endpoint, or for the router as a whole. */
  #isFor(tokens: TokenVerifier, verified: VerifiedToken, path: string): boolean {
    const known = this.#accepted.get(verified);
    if (known?.has(path)) return true;
    const { publicUrl } = this.#options;
    if (!['', path].some((one) => tokens.isFor(verified, resourceUri(publicUrl, one)))) return false;
    if (known && known.size < MAX_PATHS) known.add(path);
    else this.#accepted.set(verified, new Set([path]));
    return true;
  }

  #asChallenge(error: unknown, path: string): unknown {
    return error instanceof TokenRefused ? this.#refused(path, error.message, error) : error;
  }

  #refused(path: string, description: string, cause?: unknown): RouterError {
    return unauthenticated(
      { ...this.#challenge(path, this.#options.requiredScopes), error: 'invalid_token', description },
      cause,
    );
  }

  #challenge(path: string, scopes: readonly string[]): ChallengeParts {
    const known = this.#options.authorizationServers.length > 0;
    return { metadataUrl: known ? metadataUrl(this.#options.publicUrl, path) : undefined, scopes };
  }
}

function proofOf(request: IncomingMessage): Proof {
  const { authorization } = request.headers;
  const apiKey = request.headers['x-api-key'];
  const bearer = authorization === undefined ? undefined : /^bearer +(.*)$/i.exec(authorization)?.[1]?.trim();
  return {
    bearer,
    apiKey: typeof apiKey === 'string' ? apiKey.trim() : undefined,
    foreign: authorization !== undefined && bearer === undefined,
  };
}

interface ClientCertificate {
  readonly identity: Identity | undefined;
  readonly thumbprint: string;
}

/** A connection has one certificate for all of its requests. */
const certificatesOfSockets = new WeakMap<TLSSocket, ClientCertificate>();

/** Only one that TLS has checked against the authorities of its settings. */
function clientCertificate({ socket }: IncomingMessage): ClientCertificate | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const known = certificatesOfSockets.get(socket);
  if (known) return known;
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) return undefined;
  const read = { identity: certificateIdentity(certificate), thumbprint: thumbprint(certificate) };
  certificatesOfSockets.set(socket, read);
  return read;
}
