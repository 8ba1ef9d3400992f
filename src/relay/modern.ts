import type { RawJson } from '../model.ts';
import { replaceMember, type NotificationEnvelope, type RequestEnvelope } from './envelope.ts';
import { JSON_TYPE, SSE_TYPE, VERSION_HEADER } from './headers.ts';
import { memberObject, splice, type ScannedObject } from './json-scan.ts';

/** The stateless era (revision 2026-07-28): names, headers and error codes. Sections are of that revision. */

export const MODERN_VERSION = '2026-07-28';

/** Keys of `_meta` (basic/index, reserved keys). */
export const meta = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  logLevel: 'io.modelcontextprotocol/logLevel',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
} as const;

/** Error codes that the specification defines (basic/index, error codes). */
export const modernErrors = {
  headerMismatch: -32020,
  missingClientCapability: -32021,
  unsupportedVersion: -32022,
} as const;

export const METHOD_HEADER = 'mcp-method';
export const NAME_HEADER = 'mcp-name';
export const PARAM_PREFIX = 'mcp-param-';

/** Which member of `params` is mirrored into `Mcp-Name`, by method; tasks by the tasks extension (SEP-2663). */
export const namedBy: ReadonlyMap<string, 'name' | 'uri' | 'taskId'> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
]);

/** `_meta` of a message. */
export function metaOf(message: RequestEnvelope | NotificationEnvelope): ScannedObject | undefined {
  return message.params?.keys.includes('_meta')
    ? memberObject(message.text, message.params, '_meta')
    : undefined;
}

/** The message says of itself that it belongs to the stateless era. */
export function claimsModern(message: RequestEnvelope | NotificationEnvelope): boolean {
  return metaOf(message)?.keys.includes(meta.protocolVersion) ?? false;
}

const SENTINEL = /^=\?base64\?(.*)\?=$/s;

/** A value as it goes into a header (transports/streamable-http, value encoding). */
export function encodeHeader(value: string): string {
  const plain = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(value) || value === '';
  return plain && !SENTINEL.test(value) ? value : `=?base64?${Buffer.from(value).toString('base64')}?=`;
}

/** Undefined where it is neither plain nor proper base64. Node gives header values as Latin-1. */
export function decodeHeader(value: string): string | undefined {
  const encoded = SENTINEL.exec(value)?.[1];
  if (encoded === undefined) return /^[\x20-\x7e\t]*$/.test(value) ? value : undefined;
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(encoded)) return undefined;
  return Buffer.from(encoded, 'base64').toString();
}

/** Header pairs of a request; `name` is what `Mcp-Name` mirrors, where the method has it. */
export function modernHeaders(
  method: string,
  name: string | undefined,
  more: readonly string[] = [],
): string[] {
  const headers = [
    'content-type',
    JSON_TYPE,
    'accept',
    `${JSON_TYPE}, ${SSE_TYPE}`,
    VERSION_HEADER,
    MODERN_VERSION,
    METHOD_HEADER,
    method,
    ...more,
  ];
  if (name !== undefined) headers.push(NAME_HEADER, encodeHeader(name));
  return headers;
}

/** What every request says of its client. */
export interface ModernIntroduction {
  readonly clientInfo: RawJson;
  readonly capabilities: RawJson;
  readonly logLevel?: string | undefined;
}

/** The members of `_meta` as JSON text, without braces. */
export function metaMembers({ clientInfo, capabilities, logLevel }: ModernIntroduction): string {
  const level = logLevel === undefined ? '' : `,"${meta.logLevel}":${JSON.stringify(logLevel)}`;
  return (
    `"${meta.protocolVersion}":"${MODERN_VERSION}","${meta.clientInfo}":${clientInfo},` +
    `"${meta.clientCapabilities}":${capabilities}${level}`
  );
}

/** A whole request. `params` is JSON text of its members, without braces and without `_meta`. */
export function modernRequest(
  id: RawJson,
  method: string,
  params: string,
  introduction: ModernIntroduction,
): string {
  const members = params === '' ? '' : `${params},`;
  return `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":{${members}"_meta":{${metaMembers(introduction)}}}}`;
}

/**
 * The request for a server of the session era, which knows who asks from its handshake: without the introduction
 * in `_meta`, and without the `params` named in `drop`.
 */
export function withoutIntroduction(request: RequestEnvelope, drop: readonly string[] = []): string {
  const { text, params } = request;
  if (!params) return text;
  const members = membersOf(text, params).flatMap(([key, value]) => {
    if (drop.includes(key)) return [];
    if (key !== '_meta') return [[key, value] as const];
    const own = metaOf(request);
    const kept = own ? membersOf(text, own).filter(([name]) => !introductionKeys.has(name)) : [];
    return kept.length > 0 ? [[key, objectOf(kept)] as const] : [];
  });
  return withParams(request, objectOf(members));
}

/** The request for a server of the stateless era: introduced in `_meta`, with `more` members of `params`. */
export function withIntroduction(
  request: RequestEnvelope,
  introduction: ModernIntroduction,
  more: readonly Member[] = [],
): string {
  const { text, params } = request;
  const own = metaOf(request);
  const kept = own ? membersOf(text, own).filter(([name]) => !introductionKeys.has(name)) : [];
  const others = params ? membersOf(text, params).filter(([key]) => key !== '_meta') : [];
  const separator = kept.length > 0 ? `${objectOf(kept).slice(1, -1)},` : '';
  return withParams(
    request,
    objectOf([...others, ...more, ['_meta', `{${separator}${metaMembers(introduction)}}`]]),
  );
}

/** A member's name, and its value as JSON text. */
export type Member = readonly [key: string, value: string];

const introductionKeys: ReadonlySet<string> = new Set([
  meta.protocolVersion,
  meta.clientInfo,
  meta.clientCapabilities,
  meta.logLevel,
]);

export function membersOf(text: string, object: ScannedObject): Member[] {
  return object.keys.map((key, at) => [key, text.slice(object.starts[at], object.ends[at])]);
}

export function objectOf(members: readonly Member[]): string {
  return `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`;
}

function withParams(request: RequestEnvelope, params: string): string {
  const edit = replaceMember(request.members, 'params', params);
  if (edit) return splice(request.text, [edit]);
  const at = request.members.end - 1;
  return splice(request.text, [{ start: at, end: at, insert: `,"params":${params}` }]);
}
