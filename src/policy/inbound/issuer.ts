import {
  createRemoteJWKSet,
  customFetch,
  errors,
  jwtVerify,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  type JWTVerifyResult,
} from 'jose';
import * as oauth from 'oauth4webapi';
import { describeError, RouterError } from '../../errors.ts';
import { boundedFetch, isSafeUrl } from '../bounded-fetch.ts';
import { readClaims, TokenRefused, type VerifiedToken } from './verified-token.ts';

export interface IssuerOptions {
  /** As it stands in `iss`, to the letter. */
  readonly issuer: string;
  /** Instead of asking the issuer's metadata. */
  readonly jwksUri?: string | undefined;
  /** Audiences that its tokens may have besides the canonical URI of the endpoint. */
  readonly audiences: readonly string[];
  readonly groupsClaim: string;
  /** A token with an unknown key id makes the keys be asked for again, this often at most: forged ids are free. */
  readonly keysCooldownMs?: number | undefined;
  /** For tokens that are no JWT, and what to prove the router with. */
  readonly introspection?: IntrospectionOptions | undefined;
}

export interface IntrospectionOptions {
  readonly clientId: string;
  readonly clientSecret: () => string | Promise<string>;
}

/**
 * Public-key signatures only: with a secret-key algorithm in the list a forger could sign with the public key
 * (RFC 8725 section 2.1). Never `none`.
 */
export const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

/** Media types of access tokens (RFC 9068), and what servers write that know no better. Lower case. */
const tokenTypes = new Set(['at+jwt', 'application/at+jwt', 'jwt']);

const FETCH_TIMEOUT_MS = 5000;
const METADATA_AGE_MS = 60 * 60 * 1000;
const FAILURE_AGE_MS = 5000;
const KEYS_COOLDOWN_MS = 10_000;
/** Keys that were taken away are trusted this long at most. */
const JWKS_AGE_MS = 10 * 60 * 1000;

interface Metadata {
  readonly server: oauth.AuthorizationServer;
  readonly keys: JWTVerifyGetKey | undefined;
}

/** One authorization server: its metadata and keys, asked for on first use, and what its tokens say. */
export class Issuer {
  readonly options: IssuerOptions;
  readonly #clockSkewMs: number;
  readonly #wallClock: () => number;
  #metadata: { readonly value: Promise<Metadata>; readonly until: number } | undefined;

  /** @throws {RouterError} WRONG_SETTINGS for an issuer that is asked in the clear */
  constructor(options: IssuerOptions, clockSkewMs: number, wallClock: () => number) {
    for (const url of [options.issuer, options.jwksUri]) {
      if (url === undefined || (URL.canParse(url) && isSafeUrl(url))) continue;
      throw new RouterError(
        'WRONG_SETTINGS',
        `The issuer ${url} must be an https URL (http only on this machine).`,
      );
    }
    this.options = options;
    this.#clockSkewMs = clockSkewMs;
    this.#wallClock = wallClock;
  }

  /**
   * Checks a JWT that names this issuer: signature, issuer, time, kind. Not its audience: that depends on the
   * endpoint.
   * @throws {TokenRefused | RouterError} AUTHORIZATION_SERVER_UNAVAILABLE where its keys can't be had
   */
  async verify(token: string): Promise<VerifiedToken> {
    const { keys } = await this.metadata();
    if (!keys) throw new TokenRefused('The issuer of this token publishes no keys');
    try {
      const { payload, protectedHeader } = await this.#verifyWith(token, keys);
      // A grant, a logout token or a proof is signed by the same keys and is no access token (RFC 8725 section 3.11).
      const type = protectedHeader.typ?.toLowerCase();
      if (type !== undefined && !tokenTypes.has(type)) {
        throw new TokenRefused(`This is no access token, it is of the type ${type}`);
      }
      return readClaims(payload, this.options.issuer, this.options);
    } catch (error) {
      throw refusal(error, this.options.issuer);
    }
  }

  async #verifyWith(token: string, keys: JWTVerifyGetKey): Promise<JWTVerifyResult> {
    const options: JWTVerifyOptions = {
      issuer: this.options.issuer,
      algorithms: [...algorithms],
      clockTolerance: this.#clockSkewMs / 1000,
      currentDate: new Date(this.#wallClock()),
      requiredClaims: ['exp'],
    };
    try {
      return await jwtVerify(token, keys, options);
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // The token names no key and several would do: one of them must fit.
      for await (const key of error) {
        try {
          return await jwtVerify(token, key, options);
        } catch (mismatch) {
          if (!(mismatch instanceof errors.JWSSignatureVerificationFailed)) throw mismatch;
        }
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }

  /**
   * Asks the issuer about a token that says nothing by itself (RFC 7662).
   * @returns undefined where the issuer does not know it
   * @throws {TokenRefused | RouterError} AUTHORIZATION_SERVER_UNAVAILABLE
   */
  async introspect(token: string): Promise<VerifiedToken | undefined> {
    const { introspection, issuer } = this.options;
    if (!introspection) return undefined;
    try {
      const { server } = await this.metadata();
      const client = { client_id: introspection.clientId };
      const authentication = oauth.ClientSecretBasic(await introspection.clientSecret());
      const response = await oauth.introspectionRequest(server, client, authentication, token, {
        [oauth.customFetch]: this.#fetch,
        ...this.#insecure,
      });
      const claims = await oauth.processIntrospectionResponse(server, client, response);
      if (!claims.active) return undefined;
      if (claims.iss !== undefined && claims.iss !== issuer) return undefined;
      if (claims.nbf !== undefined && claims.nbf * 1000 > this.#wallClock() + this.#clockSkewMs)
        return undefined;
      return readClaims(claims, issuer, this.options);
    } catch (error) {
      throw refusal(error, issuer);
    }
  }

  /** @throws {RouterError} AUTHORIZATION_SERVER_UNAVAILABLE */
  async metadata(): Promise<Metadata> {
    const now = this.#wallClock();
    if (!this.#metadata || this.#metadata.until <= now) {
      const value = this.#discover();
      const entry = { value, until: now + METADATA_AGE_MS };
      this.#metadata = entry;
      // A failure is kept too, for a moment: a thousand waiting calls must not be a thousand questions.
      value.catch(() => {
        if (this.#metadata === entry) this.#metadata = { value, until: this.#wallClock() + FAILURE_AGE_MS };
      });
    }
    return this.#metadata.value;
  }

  async #discover(): Promise<Metadata> {
    const { issuer, jwksUri, introspection } = this.options;
    if (jwksUri !== undefined && !introspection) {
      return { server: { issuer }, keys: this.#keys(jwksUri) };
    }
    const failures: string[] = [];
    // RFC 8414 first, then OpenID Connect Discovery; both say whether the document is really this issuer's.
    for (const algorithm of ['oauth2', 'oidc'] as const) {
      try {
        const response = await oauth.discoveryRequest(new URL(issuer), {
          algorithm,
          [oauth.customFetch]: this.#fetch,
          ...this.#insecure,
        });
        const server = await oauth.processDiscoveryResponse(new URL(issuer), response);
        const uri = jwksUri ?? server.jwks_uri;
        if (uri !== undefined && !isSafeUrl(uri)) throw new Error(`its keys are at ${uri}, in the clear`);
        return { server, keys: uri === undefined ? undefined : this.#keys(uri) };
      } catch (error) {
        failures.push(`${algorithm}: ${describeError(error)}`);
      }
    }
    throw unavailable(issuer, new Error(failures.join('; ')));
  }

  #keys(uri: string): JWTVerifyGetKey {
    return createRemoteJWKSet(new URL(uri), {
      timeoutDuration: FETCH_TIMEOUT_MS,
      cooldownDuration: this.options.keysCooldownMs ?? KEYS_COOLDOWN_MS,
      cacheMaxAge: JWKS_AGE_MS,
      [customFetch]: this.#fetch,
    });
  }

  readonly #fetch = boundedFetch(FETCH_TIMEOUT_MS);

  /** The constructor took http only for this machine. */
  get #insecure(): { [oauth.allowInsecureRequests]?: true } {
    return this.options.issuer.startsWith('http:') ? { [oauth.allowInsecureRequests]: true } : {};
  }
}

/** What went wrong with a token, told apart from what went wrong with asking. */
function refusal(error: unknown, issuer: string): Error {
  if (error instanceof TokenRefused || error instanceof RouterError) return error;
  if (error instanceof errors.JWTExpired) return new TokenRefused('The token has expired', error);
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new TokenRefused(`The claim ${error.claim} of the token does not fit`, error);
  }
  if (error instanceof errors.JOSEAlgNotAllowed)
    return new TokenRefused('The algorithm of the token is not allowed', error);
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid)
    return unavailable(issuer, error);
  if (error instanceof errors.JOSEError && error.code !== 'ERR_JOSE_GENERIC') {
    return new TokenRefused('The token is not signed by its issuer', error);
  }
  return unavailable(issuer, error);
}

function unavailable(issuer: string, cause: unknown): RouterError {
  return new RouterError(
    'AUTHORIZATION_SERVER_UNAVAILABLE',
    'Your token cannot be checked now: the authorization server does not answer. Try again.',
    { retryAfterMs: FAILURE_AGE_MS },
    new Error(`${issuer} cannot be asked`, { cause }),
  );
}
