import { shortHash } from '../catalog/names.ts';
import type { InstanceId, RawJson } from '../model.ts';

/**
 * Ids of backends as a client of several sees them: request ids, progress tokens and task ids of different
 * backends meet in one session, so each names its backend. Nothing is kept here; any replica can unwrap. The
 * backend is named by a hash, since an instance id holds a node's name.
 */
const PREFIX = 'mcp-router';

/** JSON text of a string that wraps `raw`, which is JSON text too, so that `1` and `"1"` stay apart. */
export function wrapId(raw: RawJson, instance: InstanceId): RawJson {
  return JSON.stringify(wrapText(raw, instance)) as RawJson;
}

export function wrapText(raw: string, instance: InstanceId): string {
  return `${PREFIX}/${hashOf(instance)}/${raw}`;
}

export interface Unwrapped {
  readonly instanceHash: string;
  /** As it was given to `wrapId`. */
  readonly raw: RawJson;
}

/** Undefined for an id that was not wrapped here. `id` is JSON text. */
export function unwrapId(id: string): Unwrapped | undefined {
  try {
    const text: unknown = JSON.parse(id);
    return typeof text === 'string' ? unwrapText(text) : undefined;
  } catch {
    return undefined;
  }
}

export function unwrapText(text: string): Unwrapped | undefined {
  const parts = /^mcp-router\/([0-9a-v]{8})\/(.+)$/s.exec(text);
  const raw = parts?.[2];
  return parts && raw !== undefined && isId(raw)
    ? { instanceHash: parts[1] ?? '', raw: raw as RawJson }
    : undefined;
}

/** Clients may send anything; what is put into a message has to be one JSON value. */
function isId(raw: string): boolean {
  try {
    const value: unknown = JSON.parse(raw);
    return typeof value === 'string' || typeof value === 'number';
  } catch {
    return false;
  }
}

const hashes = new Map<InstanceId, string>();
const MAX_HASHES = 100_000;

export function hashOf(instance: InstanceId): string {
  let hash = hashes.get(instance);
  if (hash === undefined) {
    if (hashes.size >= MAX_HASHES) hashes.clear();
    hash = shortHash(instance);
    hashes.set(instance, hash);
  }
  return hash;
}
