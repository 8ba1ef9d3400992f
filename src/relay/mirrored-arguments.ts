import type { ParamHeader } from '../model.ts';
import type { RequestEnvelope } from './envelope.ts';
import { memberText } from './json-scan.ts';
import { encodeHeader, PARAM_PREFIX } from './modern.ts';

/**
 * Header pairs that mirror a call's arguments (2026-07-28, transports/streamable-http, custom headers from tool
 * parameters): those that are there and not `null`. Arguments that are no JSON have none; the server refuses them.
 */
export function argumentHeaders(call: RequestEnvelope, wanted: readonly ParamHeader[]): string[] {
  if (wanted.length === 0) return [];
  const given = argumentsOf(call);
  return wanted.flatMap(({ name, path }) => {
    const value = valueAt(given, path);
    return value === undefined ? [] : [`${PARAM_PREFIX}${name}`, encodeHeader(String(value))];
  });
}

function argumentsOf(call: RequestEnvelope): unknown {
  const text = call.params && memberText(call.text, call.params, 'arguments');
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The argument at the path, if it is one that a header can mirror. */
function valueAt(given: unknown, path: readonly string[]): string | number | boolean | undefined {
  let value = given;
  for (const key of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? value
    : undefined;
}
