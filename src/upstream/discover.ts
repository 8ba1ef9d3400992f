import type { Endpoint, RawJson } from '../model.ts';
import {
  isObject,
  memberIndex,
  memberString,
  memberText,
  scanArray,
  scanObject,
  memberObject,
  JsonScanError,
} from '../relay/json-scan.ts';
import { meta, MODERN_VERSION, modernErrors, type ModernIntroduction } from '../relay/modern.ts';
import { AskError, type Reply } from './ask.ts';
import type { Connections } from './connections.ts';
import { askModern, type AskOptions, type SelfDescription } from './speaker.ts';

/** Whether a server speaks 2026-07-28. */
export type Discovery =
  | { readonly kind: 'modern'; readonly self: Omit<SelfDescription, 'protocolVersion'> }
  | { readonly kind: 'not-modern' }
  /** 401, 403, 429, 5xx, silence: nothing that tells an era. */
  | { readonly kind: 'unknown' };

const modernCodes = new Set<number>(Object.values(modernErrors));
const MAX_BYTES = 1 << 20;

/**
 * Asks with `server/discover` (2026-07-28, server/discover; basic/versioning, backward compatibility). A server of
 * the session era answers with something else, most often 400.
 */
export async function discover(
  connections: Connections,
  endpoint: Endpoint,
  introduction: ModernIntroduction,
  options: Omit<AskOptions, 'maxBytes'>,
): Promise<Discovery> {
  let reply: Reply;
  try {
    reply = await askModern(connections, endpoint, introduction, 'server/discover', '', {
      ...options,
      maxBytes: MAX_BYTES,
    });
  } catch (error) {
    if (!(error instanceof AskError)) throw error;
    return error.kind === 'garbage' || error.kind === 'too-large'
      ? { kind: 'not-modern' }
      : { kind: 'unknown' };
  }
  switch (reply.kind) {
    case 'result':
      return readDiscovery(reply.result);
    case 'error': {
      const { status } = reply.head;
      if (status >= 500 || status === 401 || status === 403 || status === 429) return { kind: 'unknown' };
      // It knows the era's errors and yet refuses this version: newer ones may come, this router speaks one.
      return modernCodes.has(reply.error.code) ? { kind: 'unknown' } : { kind: 'not-modern' };
    }
    case 'refused': {
      const { status } = reply.head;
      const says = status === 400 || status === 404 || status === 405 || status === 406 || status === 415;
      return says ? { kind: 'not-modern' } : { kind: 'unknown' };
    }
    case 'accepted':
      return { kind: 'not-modern' };
  }
}

function readDiscovery(result: RawJson): Discovery {
  try {
    const members = scanObject(result, 0);
    const versions = members.starts[memberIndex(members, 'supportedVersions')];
    if (versions === undefined) return { kind: 'not-modern' };
    const supported = scanArray(result, versions, 100).map(([from, to]) => result.slice(from, to));
    if (!supported.includes(`"${MODERN_VERSION}"`)) return { kind: 'not-modern' };
    const capabilities = memberText(result, members, 'capabilities') ?? '{}';
    const metaMembers = memberObject(result, members, '_meta');
    const serverInfo = metaMembers && memberText(result, metaMembers, meta.serverInfo);
    return {
      kind: 'modern',
      self: {
        capabilities: (isObject(capabilities, 0) ? capabilities : '{}') as RawJson,
        serverInfo: (serverInfo !== undefined && isObject(serverInfo, 0)
          ? serverInfo
          : '{"name":"unknown","version":"0"}') as RawJson,
        instructions: memberString(result, members, 'instructions'),
      },
    };
  } catch (error) {
    if (error instanceof JsonScanError) return { kind: 'not-modern' };
    throw error;
  }
}
