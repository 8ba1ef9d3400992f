import { hash } from 'node:crypto';
import { decodeJwt } from 'jose';
import { LRUCache } from 'lru-cache';
import { RouterError } from '../../errors.ts';
import type { Identity } from '../../model.ts';
import type { Issuer } from './issuer.ts';
import { canonicalUri } from './resource.ts';
import { TokenRefused, type VerifiedToken } from './verified-token.ts';

/** RFC 6750 section 2.1. */
const B64TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
const MAX_TOKEN = 16 * 1024;
const MAX_KNOWN = 20_000;
/** Tokens that are being checked at one time; each may wait for an authorization server. */
const MAX_PENDING = 256;
/** An opaque token can be revoked at any time: it is believed this long. */
const INTROSPECTED_MS = 60_000;
/** A refused token that is sent again and again costs a look-up; one that becomes good is taken soon. */
const REFUSED_MS = 5000;

export interface TokenVerifierOptions {
  readonly issuers: readonly Issuer[];
  /** Keeps tokens for exchange at outbound credentials (RFC 8693). */
  readonly keepTokens: boolean;
  readonly wallClock: () => number;
}

/**
 * Bearer tokens of several issuers. What was checked is kept by the token's hash, never beyond the token's own end,
 * so that the usual call costs a hash and a look-up.
 */
export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  readonly #byIssuer: ReadonlyMap<string, Issuer>;
  readonly #known = new LRUCache<string, VerifiedToken>({ max: MAX_KNOWN });
  readonly #refused: LRUCache<string, TokenRefused>;
  readonly #pending = new Map<string, Promise<VerifiedToken>>();
  readonly #tokens = new WeakMap<Identity, string>();

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
    this.#byIssuer = new Map(options.issuers.map((issuer) => [issuer.options.issuer, issuer]));
    this.#refused = new LRUCache({
      max: MAX_KNOWN,
      ttl: REFUSED_MS,
      ttlResolution: 0,
      perf: { now: options.wallClock },
    });
  }

  /**
   * At once where the token is known, else when it was checked.
   * @throws {TokenRefused | RouterError} OVERLOADED, AUTHORIZATION_SERVER_UNAVAILABLE
   */
  verify(token: string): VerifiedToken | Promise<VerifiedToken> {
    if (token.length > MAX_TOKEN) throw new TokenRefused('The token is too long');
    const key = hash('sha256', token, 'base64');
    const known = this.#known.get(key);
    if (known) {
      if (known.expiresAt > this.#options.wallClock()) return known;
      this.#known.delete(key);
    }
    const refused = this.#refused.get(key);
    if (refused) throw refused;
    const pending = this.#pending.get(key);
    if (pending) return pending;
    if (this.#pending.size >= MAX_PENDING) {
      throw new RouterError('OVERLOADED', 'Too many tokens are being checked. Try again.', {
        retryAfterMs: 1000,
      });
    }
    const checking = this.#check(token, key).finally(() => this.#pending.delete(key));
    this.#pending.set(key, checking);
    return checking;
  }

  /** Whether the token is for this endpoint: its canonical URI, or one of the issuer's further audiences. */
  isFor({ audiences, identity }: VerifiedToken, resource: string): boolean {
    const further = this.#byIssuer.get(identity.issuer ?? '')?.options.audiences ?? [];
    return audiences.some(
      (audience) => audience === resource || further.some((one) => canonicalUri(one) === audience),
    );
  }

  /** The token that an identity came with, where tokens are kept. For exchange only; it never travels on. */
  tokenOf(identity: Identity): string | undefined {
    return this.#tokens.get(identity);
  }

  async #check(token: string, key: string): Promise<VerifiedToken> {
    try {
      const verified = await this.#ask(token);
      this.#known.set(key, verified);
      if (this.#options.keepTokens) this.#tokens.set(verified.identity, token);
      return verified;
    } catch (error) {
      if (error instanceof TokenRefused) this.#refused.set(key, error);
      throw error;
    }
  }

  async #ask(token: string): Promise<VerifiedToken> {
    if (!B64TOKEN.test(token)) throw new TokenRefused('The token has characters that no token has');
    const claimed = issuerOf(token);
    if (claimed !== undefined) {
      const issuer = this.#byIssuer.get(claimed);
      if (!issuer) throw new TokenRefused('The issuer of the token is not trusted here');
      return issuer.verify(token);
    }
    for (const issuer of this.#options.issuers) {
      const found = await issuer.introspect(token);
      if (found) {
        const until = this.#options.wallClock() + INTROSPECTED_MS;
        return { ...found, expiresAt: Math.min(found.expiresAt, until) };
      }
    }
    throw new TokenRefused('The token is unknown or has ended');
  }
}

/** The issuer that a JWT names, unchecked: only to know whose keys to check it with. Undefined for other tokens. */
function issuerOf(token: string): string | undefined {
  if (token.split('.').length !== 3) return undefined;
  try {
    return decodeJwt(token).iss ?? '';
  } catch {
    return undefined;
  }
}
