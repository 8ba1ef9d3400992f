import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Authenticator } from '../policy/inbound/authenticator.ts';
import { checkOrigin, type OriginRules } from '../relay/origin-check.ts';
import { parseEndpoint } from './endpoint.ts';

/** Clients ask when they are turned away; what they learn changes with the settings only. */
const MAX_AGE_SECONDS = 300;

/**
 * Answers a request for the metadata of a protected resource (RFC 9728 section 3): of each endpoint, and of the
 * router as a whole. Says the same of any endpoint that there could be, so nobody learns which ones there are.
 * @returns false for any other request, and where there is no authorization server to name
 * @throws {RouterError} FORBIDDEN_ORIGIN
 */
export function answerMetadata(
  authenticator: Pick<Authenticator, 'describedBy' | 'resourceMetadata'>,
  origins: OriginRules,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const [asked = ''] = (request.url ?? '').split('?');
  const path = authenticator.describedBy(asked);
  if (path === undefined || (path !== '' && !parseEndpoint(path))) return false;
  const metadata = authenticator.resourceMetadata(path);
  if (!metadata) return false;
  checkOrigin(request, origins);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
    return true;
  }
  response.writeHead(200, {
    'content-type': 'application/json',
    'cache-control': `public, max-age=${MAX_AGE_SECONDS}`,
  });
  response.end(JSON.stringify(metadata));
  return true;
}
