import type { IncomingHttpHeaders } from 'node:http';
import { RouterError } from '../errors.ts';
import type { ParamHeader, RawJson } from '../model.ts';
import type { Envelope, NotificationEnvelope, RequestEnvelope } from '../relay/envelope.ts';
import { VERSION_HEADER } from '../relay/headers.ts';
import { memberString, memberText, type ScannedObject } from '../relay/json-scan.ts';
import {
  claimsModern,
  decodeHeader,
  meta,
  metaOf,
  METHOD_HEADER,
  MODERN_VERSION,
  NAME_HEADER,
  namedBy,
  PARAM_PREFIX,
  type ModernIntroduction,
} from '../relay/modern.ts';
import { isLegacyVersion } from '../relay/versions.ts';

/**
 * Which era a message belongs to. Its body decides, headers are checked against it: a proxy that strips a header
 * must not turn one era into the other (2026-07-28, basic/versioning). Notifications of that era may come
 * without a claim, so there the header counts. `initialize` is the session era's word unless the whole
 * introduction of the modern one stands in it.
 */
export function isModern(message: Envelope, headers: IncomingHttpHeaders): boolean {
  if (message.kind === 'response') return false;
  if (claimsModern(message)) return message.method !== 'initialize' || introducesItself(message);
  return message.method !== 'initialize' && headers[VERSION_HEADER] === MODERN_VERSION;
}

function introducesItself(message: RequestEnvelope | NotificationEnvelope): boolean {
  const own = metaOf(message);
  return (
    own !== undefined &&
    !isLegacyVersion(memberString(message.text, own, meta.protocolVersion) ?? '') &&
    isObjectText(memberText(message.text, own, meta.clientCapabilities))
  );
}

/** Characters of what a client says of itself, which travels on with every call. */
const MAX_INTRODUCTION = 16_384;

/**
 * Checks what a request of the modern era has to say in `_meta` and in its headers; the order is the
 * specification's (transports/streamable-http, server validation).
 * @throws {RouterError} INVALID_META, HEADER_MISMATCH, UNSUPPORTED_MODERN_VERSION
 */
export function readModernRequest(
  request: RequestEnvelope,
  headers: IncomingHttpHeaders,
): ModernIntroduction {
  const own = metaOf(request);
  if (!own)
    throw invalidMeta(request.params?.keys.includes('_meta') ? '"_meta" is no object' : '"_meta" is missing');
  const version = readVersion(request.text, own);
  const capabilities = memberText(request.text, own, meta.clientCapabilities);
  if (capabilities === undefined) throw invalidMeta(`"${meta.clientCapabilities}" is missing`);
  if (!isObjectText(capabilities)) throw invalidMeta(`"${meta.clientCapabilities}" must be an object`);
  const clientInfo = memberText(request.text, own, meta.clientInfo) ?? '{"name":"unknown","version":"0"}';
  if (!isObjectText(clientInfo)) throw invalidMeta(`"${meta.clientInfo}" must be an object`);
  if (capabilities.length + clientInfo.length > MAX_INTRODUCTION) {
    throw invalidMeta(`capabilities and client info may have ${MAX_INTRODUCTION} characters together`);
  }
  checkVersion(version, header(headers, VERSION_HEADER));
  checkMethod(request.method, header(headers, METHOD_HEADER));
  checkName(request, header(headers, NAME_HEADER));
  return {
    capabilities: capabilities as RawJson,
    clientInfo: clientInfo as RawJson,
    logLevel: memberString(request.text, own, meta.logLevel),
  };
}

/** @throws {RouterError} where a notification's headers and body disagree */
export function checkNotification(message: NotificationEnvelope, headers: IncomingHttpHeaders): void {
  const own = metaOf(message);
  if (own?.keys.includes(meta.protocolVersion)) {
    const version = readVersion(message.text, own);
    const named = header(headers, VERSION_HEADER);
    if (named !== undefined) checkVersion(version, named);
  }
  const method = header(headers, METHOD_HEADER);
  if (method !== undefined) checkMethod(message.method, method);
}

function readVersion(text: string, own: ScannedObject): string {
  const version = memberString(text, own, meta.protocolVersion);
  if (version !== undefined) return version;
  throw invalidMeta(
    own.keys.includes(meta.protocolVersion)
      ? `"${meta.protocolVersion}" must be a string`
      : `"${meta.protocolVersion}" is missing`,
  );
}

function checkVersion(version: string, named: string | undefined): void {
  if (named !== undefined && named !== version) {
    throw mismatch(
      `the body is of revision ${version.slice(0, 32)}, MCP-Protocol-Version names ${named.slice(0, 32)}`,
    );
  }
  if (version !== MODERN_VERSION) {
    throw new RouterError('UNSUPPORTED_MODERN_VERSION', 'Unsupported protocol version.', {
      supported: [MODERN_VERSION],
      requested: version.slice(0, 64),
    });
  }
  if (named === undefined) throw mismatch('the header MCP-Protocol-Version is missing');
}

function checkMethod(method: string, named: string | undefined): void {
  if (named === undefined) throw mismatch('the header Mcp-Method is missing');
  if (named !== method) {
    throw mismatch(`the body calls ${method.slice(0, 128)}, Mcp-Method names ${named.slice(0, 128)}`);
  }
}

function checkName(request: RequestEnvelope, named: string | undefined): void {
  const member = namedBy.get(request.method);
  if (member === undefined) return;
  const value = request.params && memberString(request.text, request.params, member);
  if (named === undefined) {
    // Without a value there is nothing to mirror; that it is missing is said by whoever needs it.
    if (value === undefined) return;
    throw mismatch('the header Mcp-Name is missing');
  }
  const decoded = decodeHeader(named);
  if (decoded === undefined) throw mismatch('Mcp-Name is neither plain ASCII nor proper =?base64?…?=');
  if (value !== undefined && decoded !== value) {
    throw mismatch(`params.${member} and Mcp-Name are different`);
  }
}

/**
 * Checks the arguments that a tool wants mirrored against the headers that mirror them.
 * @throws {RouterError} HEADER_MISMATCH
 */
export function checkParamHeaders(
  request: RequestEnvelope,
  wanted: readonly ParamHeader[],
  headers: IncomingHttpHeaders,
): void {
  if (wanted.length === 0) return;
  const args = argumentsOf(request);
  for (const { name, path } of wanted) {
    const value = mirrored(args, path);
    if (value === undefined) continue;
    const named = header(headers, `${PARAM_PREFIX}${name.toLowerCase()}`);
    if (named === undefined) throw mismatch(`the header Mcp-Param-${name} is missing`);
    const decoded = decodeHeader(named);
    if (decoded === undefined) {
      throw mismatch(`Mcp-Param-${name} is neither plain ASCII nor proper =?base64?…?=`);
    }
    const same =
      decoded === String(value) ||
      (typeof value === 'number' && /^-?\d+(?:\.\d+)?$/.test(decoded) && Number(decoded) === value);
    if (!same) throw mismatch(`${path.join('.')} and Mcp-Param-${name} are different`);
  }
}

/** Header pairs that mirror a call's arguments, for a call that came without them. */
export function paramHeaders(
  request: RequestEnvelope,
  wanted: readonly ParamHeader[],
  encode: (value: string) => string,
): string[] {
  if (wanted.length === 0) return [];
  const args = argumentsOf(request);
  return wanted.flatMap(({ name, path }) => {
    const value = mirrored(args, path);
    return value === undefined ? [] : [`${PARAM_PREFIX}${name}`, encode(String(value))];
  });
}

function argumentsOf(request: RequestEnvelope): unknown {
  const text = request.params && memberText(request.text, request.params, 'arguments');
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    throw new RouterError('PARSE_ERROR', 'Parse error: "arguments" is no JSON.');
  }
}

/** The argument at the path, if there is one that a header can mirror. */
function mirrored(args: unknown, path: readonly string[]): string | number | boolean | undefined {
  let value = args;
  for (const key of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? value
    : undefined;
}

/** Header pairs of the client's own mirrored arguments, for the backend hop: they go on as they came. */
export function clientParamHeaders(headers: IncomingHttpHeaders): string[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith(PARAM_PREFIX) && typeof value === 'string' ? [name, value] : [],
  );
}

function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value.trim() : undefined;
}

function isObjectText(text: string | undefined): boolean {
  return text?.startsWith('{') ?? false;
}

function invalidMeta(what: string): RouterError {
  return new RouterError('INVALID_META', `Invalid _meta for revision ${MODERN_VERSION}: ${what}.`);
}

function mismatch(what: string): RouterError {
  return new RouterError('HEADER_MISMATCH', `Bad Request: headers and body disagree: ${what}.`);
}
