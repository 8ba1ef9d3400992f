import { createHash } from 'node:crypto';
import type { Identity } from '../../model.ts';
import { claimAt } from '../rules/subjects.ts';
import { canonicalUri } from './resource.ts';

/** What stays of a token once it was checked: never the token. */
export interface VerifiedToken {
  readonly identity: Identity;
  /** In canonical form. */
  readonly audiences: readonly string[];
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** SHA-256 thumbprint of the certificate that the token is bound to, base64url (RFC 8705 section 3.1). */
  readonly certificate?: string;
}

/** Why a token is not taken; `description` may be told to the client. */
export class TokenRefused extends Error {
  constructor(description: string, cause?: unknown) {
    super(description, cause === undefined ? undefined : { cause });
    this.name = 'TokenRefused';
  }
}

export interface ClaimNames {
  /** Name of the claim with groups, or the way to it; see {@link claimAt}. */
  readonly groupsClaim: string;
}

/**
 * The identity in the claims of a JWT or an introspection answer, whose signature or sender was checked before.
 * @throws {TokenRefused} where it names nobody or is of a kind that can't be checked as a bearer token.
 */
export function readClaims(
  claims: Readonly<Record<string, unknown>>,
  issuer: string,
  names: ClaimNames,
): VerifiedToken {
  const client = text(claims['client_id']) ?? text(claims['azp']) ?? text(claims['cid']);
  const subject = text(claims['sub']) ?? client;
  if (subject === undefined) throw new TokenRefused('The token has neither a subject nor a client');
  const expires = claims['exp'];
  if (typeof expires !== 'number') throw new TokenRefused('The token has no end');
  const certificate = confirmation(claims['cnf']);
  return {
    identity: {
      subject,
      method: 'token',
      digest: identityDigest('token', issuer, subject, client ?? ''),
      issuer,
      ...(client !== undefined && { client }),
      expiresAt: expires * 1000,
      groups: texts(claimAt(claims, names.groupsClaim)),
      scopes: scopesOf(claims),
      claims,
    },
    audiences: texts(claims['aud']).map(canonicalUri),
    expiresAt: expires * 1000,
    ...(certificate !== undefined && { certificate }),
  };
}

/** Equal for every token of one caller with one client, so that a refreshed token keeps the session. */
export function identityDigest(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22);
}

/** `scope` as one text (RFC 6749), `scp` as text or list (Microsoft, Okta). */
function scopesOf(claims: Readonly<Record<string, unknown>>): readonly string[] {
  const value = claims['scope'] ?? claims['scp'];
  return typeof value === 'string' ? value.split(' ').filter(Boolean) : texts(value);
}

/**
 * A token that is bound to a key is stolen goods without the key. The certificate of the connection can be
 * compared; a DPoP proof is not read here, so such a token can't be taken.
 */
function confirmation(cnf: unknown): string | undefined {
  if (cnf === undefined) return undefined;
  const thumbprint =
    typeof cnf === 'object' && cnf !== null ? (cnf as Record<string, unknown>)['x5t#S256'] : undefined;
  if (typeof thumbprint === 'string') return thumbprint;
  throw new TokenRefused('The token is bound to a key in a way that is not supported here');
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function texts(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : [];
}
