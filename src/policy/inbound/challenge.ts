import { ChallengeError } from '../../errors.ts';

export interface ChallengeParts {
  /** Where the metadata of the resource is; absent where no authorization server is set. */
  readonly metadataUrl: string | undefined;
  readonly scopes: readonly string[];
  readonly error?: 'invalid_token' | 'insufficient_scope' | 'invalid_request';
  readonly description?: string;
}

/**
 * `WWW-Authenticate` by RFC 6750 section 3 and RFC 9728 section 5.1. Without an error where nothing was presented.
 * `offline_access` is left out: refresh tokens are no need of a resource (MCP 2026-07-28, refresh tokens).
 */
export function challenge({ metadataUrl, scopes, error, description }: ChallengeParts): string {
  const named = scopes.filter((scope) => scope !== 'offline_access');
  const parameters: readonly (readonly [string, string | undefined])[] = [
    ['error', error],
    ['error_description', description],
    ['resource_metadata', metadataUrl],
    ['scope', named.length > 0 ? named.join(' ') : undefined],
  ];
  const shown = parameters.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}="${quotable(value)}"`],
  );
  return shown.length > 0 ? `Bearer ${shown.join(', ')}` : 'Bearer realm="mcp-consul-router"';
}

/** RFC 6750 allows no quote, no backslash and nothing outside ASCII in these values. */
function quotable(value: string): string {
  return value.replaceAll(/[^\u0020\u0021\u0023-\u005B\u005D-\u007E]/g, '?');
}

export function unauthenticated(parts: ChallengeParts, cause?: unknown): ChallengeError {
  const message =
    parts.error === undefined
      ? 'Prove who you are: send Authorization: Bearer with a token or an API key.'
      : `${parts.description ?? 'The token is not valid'}. Get a new one.`;
  return new ChallengeError('UNAUTHENTICATED', message, challenge(parts), {}, cause);
}

export function insufficientScope(parts: Omit<ChallengeParts, 'error' | 'description'>): ChallengeError {
  const scopes = parts.scopes.join(' ');
  return new ChallengeError(
    'INSUFFICIENT_SCOPE',
    `The token lacks a scope. This needs: ${scopes}.`,
    challenge({ ...parts, error: 'insufficient_scope', description: 'More scopes are needed for this' }),
    { scopes: parts.scopes },
  );
}
