import type { RequestEnvelope, ResponseEnvelope } from '../../relay/envelope.ts';
import { JSON_TYPE, SESSION_HEADER, SSE_TYPE, VERSION_HEADER } from '../../relay/headers.ts';
import { memberObject, memberString, type ScannedObject } from '../../relay/json-scan.ts';

/** An open session at the server (2025-11-25, transports: session management). */
export interface OpenSession {
  /** Counts up with every session that is opened, or tried to. */
  readonly generation: number;
  /** Undefined where the server keeps none. */
  readonly id: string | undefined;
  /** As negotiated. */
  readonly protocolVersion: string;
  /** Header pairs of every message in it. */
  readonly headers: readonly string[];
}

/** Header pairs of every POST. */
export const postHeaders: readonly string[] = [
  'content-type',
  JSON_TYPE,
  'accept',
  `${JSON_TYPE}, ${SSE_TYPE}`,
];

/** Visible ASCII (2025-11-25, transports: session management); longer than this is no session id. */
const SESSION_ID = /^[\x21-\x7e]{1,16384}$/;
/** What may stand in a header. */
const VERSION = /^[\x21-\x7e]{1,64}$/;

/**
 * The session that an answer to `initialize` opens.
 * @param idHeader `Mcp-Session-Id` of the answer
 * @returns undefined where it names no revision: nothing can be sent in such a session
 */
export function openedBy(
  generation: number,
  version: string | undefined,
  idHeader: string | string[] | undefined,
): OpenSession | undefined {
  if (version === undefined || !VERSION.test(version)) return undefined;
  const id = typeof idHeader === 'string' && SESSION_ID.test(idHeader) ? idHeader : undefined;
  const headers = [VERSION_HEADER, version, ...(id === undefined ? [] : [SESSION_HEADER, id])];
  return { generation, id, protocolVersion: version, headers };
}

/** The result of a response, and where its members are; undefined for an error. */
export function resultOf(response: ResponseEnvelope): ScannedObject | undefined {
  return response.failed ? undefined : memberObject(response.text, response.members, 'result');
}

/** What the client knows of its server, and has asked to open again where the server forgets. */
export interface Introduction {
  readonly initialize: RequestEnvelope;
  /** The client's `notifications/initialized`, once it came. */
  readonly initialized: string | undefined;
  /** Which lists the server said that it announces changes of: `tools`, `prompts`, `resources`. */
  readonly announces: readonly string[];
}

const lists = ['tools', 'prompts', 'resources'] as const;

/** The lists whose changes the server announces, by its answer to `initialize`. */
export function announcedLists(response: ResponseEnvelope): readonly string[] {
  const { text } = response;
  const result = resultOf(response);
  const capabilities = result && memberObject(text, result, 'capabilities');
  if (!capabilities) return [];
  return lists.filter((list) => {
    const about = memberObject(text, capabilities, list);
    const at = about?.keys.indexOf('listChanged') ?? -1;
    return about !== undefined && text.slice(about.starts[at], about.ends[at]) === 'true';
  });
}

/** `protocolVersion` of an answer to `initialize`. */
export function versionIn(response: ResponseEnvelope): string | undefined {
  const result = resultOf(response);
  return result && memberString(response.text, result, 'protocolVersion');
}
