import { errorResponse, readEnvelope } from '../relay/envelope.ts';
import { RouterError } from '../errors.ts';
import type { RawJson } from '../model.ts';

/** "The user has to visit these pages first" (2025-11-25, client/elicitation: URL elicitation required error). */
const URL_ELICITATION_REQUIRED = -32042;

interface UrlElicitation {
  readonly url: string;
  readonly message: string;
}

/**
 * That error as the modern era says it: a result that asks for the visits; then the client calls again.
 * @param capabilities of the client, JSON text
 * @returns undefined for any other answer
 */
export function urlElicitation(text: string, capabilities: RawJson): string | undefined {
  if (!text.includes(String(URL_ELICITATION_REQUIRED))) return undefined;
  const message = readEnvelope(text);
  if (message.kind !== 'response' || !message.failed) return undefined;
  const parsed = JSON.parse(text) as { error?: { code?: unknown; data?: { elicitations?: unknown } } };
  if (parsed.error?.code !== URL_ELICITATION_REQUIRED) return undefined;
  const visits = parsed.error.data?.elicitations;
  const asked = Array.isArray(visits) ? visits.filter((visit) => isUrlElicitation(visit)) : [];
  if (asked.length === 0 || !takesUrls(capabilities)) {
    const error = new RouterError(
      'MISSING_CLIENT_CAPABILITY',
      'This needs a page to be visited, and the client has not declared that it can show one.',
      { requiredCapabilities: { elicitation: { url: {} } } },
    );
    return errorResponse(message.id, error.toRpc('modern'));
  }
  const requests = asked.map(({ url, message: why }, at) => [
    `visit-${at + 1}`,
    { method: 'elicitation/create', params: { mode: 'url', url, message: why } },
  ]);
  const result = { resultType: 'input_required', inputRequests: Object.fromEntries(requests) as unknown };
  return `{"jsonrpc":"2.0","id":${message.id},"result":${JSON.stringify(result)}}`;
}

function isUrlElicitation(value: unknown): value is UrlElicitation {
  return (
    value !== null &&
    typeof value === 'object' &&
    'url' in value &&
    typeof value.url === 'string' &&
    'message' in value &&
    typeof value.message === 'string'
  );
}

function takesUrls(capabilities: RawJson): boolean {
  const { elicitation } = JSON.parse(capabilities) as { elicitation?: unknown };
  return elicitation !== null && typeof elicitation === 'object' && 'url' in elicitation;
}
