import type { RawJson } from '../model.ts';
import {
  decodeString,
  isObject,
  isString,
  JsonScanError,
  memberObject,
  memberText,
  scanObject,
  skipSpace,
  skipValue,
  splice,
  type Edit,
  type ScannedObject,
} from './json-scan.ts';

/**
 * One JSON-RPC message as it stands on the wire, with only its envelope interpreted
 * (JSON-RPC 2.0; MCP 2025-11-25, basic/index). `text` stays as it came; changes are made by splicing.
 */
export type Envelope = RequestEnvelope | NotificationEnvelope | ResponseEnvelope;

interface Message {
  readonly text: string;
  readonly members: ScannedObject;
}

export interface RequestEnvelope extends Message {
  readonly kind: 'request';
  /** As spelled by the sender: `1` and `"1"` are different ids. */
  readonly id: RawJson;
  readonly method: string;
  /** Undefined where the message has no params. */
  readonly params: ScannedObject | undefined;
}

export interface NotificationEnvelope extends Message {
  readonly kind: 'notification';
  readonly method: string;
  readonly params: ScannedObject | undefined;
}

export interface ResponseEnvelope extends Message {
  readonly kind: 'response';
  /** `null` where the other side could not read the id. */
  readonly id: RawJson;
  readonly failed: boolean;
}

/** Not a JSON-RPC message: `parse` = not JSON (−32700), `invalid` = not a message (−32600). */
export class EnvelopeError extends Error {
  readonly kind: 'parse' | 'invalid';
  constructor(kind: 'parse' | 'invalid', message: string) {
    super(message);
    this.name = 'EnvelopeError';
    this.kind = kind;
  }
}

/**
 * Reads one message.
 * @throws {EnvelopeError} A batch (array) is `invalid` here; whoever serves revision 2025-03-26 splits it first.
 */
export function readEnvelope(text: string): Envelope {
  try {
    return read(text);
  } catch (error) {
    if (error instanceof JsonScanError) throw new EnvelopeError('parse', error.message);
    throw error;
  }
}

function read(text: string): Envelope {
  const start = skipSpace(text, 0);
  if (!isObject(text, start)) {
    // Throws where it isn't JSON at all; JSON of another kind is no message.
    skipValue(text, start);
    throw new EnvelopeError('invalid', 'a JSON-RPC message is an object');
  }
  const members = scanObject(text, start);
  if (skipSpace(text, members.end) !== text.length) {
    throw new JsonScanError('something stands behind the message', members.end);
  }
  if (memberText(text, members, 'jsonrpc') !== '"2.0"') {
    throw new EnvelopeError('invalid', '"jsonrpc" must be "2.0"');
  }
  const id = readId(text, members);
  const methodAt = members.keys.indexOf('method');
  if (methodAt < 0) return readResponse(text, members, id);

  const methodStart = members.starts[methodAt] ?? 0;
  if (!isString(text, methodStart)) throw new EnvelopeError('invalid', '"method" must be a string');
  const method = decodeString(text, methodStart, members.ends[methodAt] ?? 0);
  const params = memberObject(text, members, 'params');
  if (params === undefined && members.keys.includes('params')) {
    throw new EnvelopeError('invalid', '"params" must be an object');
  }
  if (id === undefined) return { kind: 'notification', text, members, method, params };
  if (id === 'null') throw new EnvelopeError('invalid', '"id" must be a string or a number');
  return { kind: 'request', text, members, id, method, params };
}

function readResponse(text: string, members: ScannedObject, id: RawJson | undefined): ResponseEnvelope {
  const failed = members.keys.includes('error');
  if (id === undefined || failed === members.keys.includes('result')) {
    throw new EnvelopeError('invalid', 'a message has a "method", or an "id" and a "result" or an "error"');
  }
  return { kind: 'response', text, members, id, failed };
}

function readId(text: string, members: ScannedObject): RawJson | undefined {
  const raw = memberText(text, members, 'id');
  if (raw === undefined) return undefined;
  // MCP allows strings and numbers (basic/index, Requests); JSON-RPC adds null for unreadable requests.
  if (!/^(?:"|-?\d|null$)/.test(raw)) {
    throw new EnvelopeError('invalid', '"id" must be a string or a number');
  }
  return raw as RawJson;
}

/** The edit that puts `literal` (JSON text) in the place of a member's value; undefined where it is missing. */
export function replaceMember(
  object: ScannedObject | undefined,
  key: string,
  literal: string,
): Edit | undefined {
  const index = object?.keys.indexOf(key) ?? -1;
  const start = object?.starts[index];
  const end = object?.ends[index];
  return start === undefined || end === undefined ? undefined : { start, end, insert: literal };
}

/** The message with `params.<key>` replaced. The member must be there. */
export function withParam(
  envelope: RequestEnvelope | NotificationEnvelope,
  key: string,
  literal: string,
): string {
  const edit = replaceMember(envelope.params, key, literal);
  return edit ? splice(envelope.text, [edit]) : envelope.text;
}

/** A JSON-RPC error response. `id` is JSON text; `null` where the request's id could not be read. */
export function errorResponse(
  id: RawJson | 'null',
  error: { readonly code: number; readonly message: string; readonly data?: unknown },
): string {
  return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}`;
}

/** A JSON-RPC result response around ready JSON text. */
export function resultResponse(id: RawJson, result: string): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${result}}`;
}
