import type { Envelope } from './envelope.ts';
import { isArray, isObject, scanArray, scanObject, type ScannedObject } from './json-scan.ts';

/**
 * Readers of JSON differ: some take the first of two equal keys and some the last, and some (Go's) take `Name` for
 * `name`. A message must not mean one thing to the router, which decides about it, and another to a server.
 */
export class TwinKeyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TwinKeyError';
  }
}

/** No key that counts is longer. */
const LONGEST = 16;

/** What decides where a message goes and what it does there, by its folded spelling. */
const ofMessage = folded(['jsonrpc', 'id', 'method', 'params', 'result', 'error']);
const ofParams = folded(['name', 'arguments', 'uri', 'ref', 'taskId', 'task', '_meta', 'requestState']);

/**
 * Refuses keys that only some readers take for one that counts. Equal keys were refused when the message was read.
 * @throws {TwinKeyError}
 */
export function checkKeys(message: Envelope): void {
  checkSpelling(message.members, ofMessage);
  if (message.kind !== 'response' && message.params) checkSpelling(message.params, ofParams);
}

function checkSpelling({ keys }: ScannedObject, counting: ReadonlyMap<string, string>): void {
  for (const key of keys) {
    // The usual case: what counts is spelled as it should be, and in lower case.
    if (counting.get(key) === key) continue;
    const meant = counting.get(fold(key));
    if (meant === undefined || meant === key) continue;
    throw new TwinKeyError(`the key "${key}" could be taken for "${meant}"; the case of letters counts`);
  }
}

function folded(keys: readonly string[]): ReadonlyMap<string, string> {
  return new Map(keys.map((key) => [fold(key), key]));
}

/** First up, then down: so the long s meets s, and the Kelvin sign k. */
function fold(key: string): string {
  return key.length > LONGEST ? '' : key.toUpperCase().toLowerCase();
}

/** Deeper than anything that is meant to be read. */
const MAX_DEPTH = 64;
const MAX_ITEMS = 1_000_000;

/**
 * The value of a JSON text in which no object has a key twice.
 * @throws {TwinKeyError | JsonScanError | SyntaxError}
 */
export function parseOnce(text: string): unknown {
  const value: unknown = JSON.parse(text);
  check(text, 0, 1);
  return value;
}

function check(text: string, at: number, depth: number): void {
  if (depth > MAX_DEPTH) throw new TwinKeyError(`it is nested more than ${MAX_DEPTH} levels deep`);
  if (isObject(text, at)) {
    const object = scanObject(text, at);
    for (const start of object.starts) check(text, start, depth + 1);
  } else if (isArray(text, at)) {
    for (const [start] of scanArray(text, at, MAX_ITEMS)) check(text, start, depth + 1);
  }
}
