import { createHash } from 'node:crypto';
import type { CanonicalName, PublicName } from '../model.ts';

/**
 * Public names. A name is made of its own service's namespace and its own tool's name and of nothing else, so
 * that it stays as it is while other services come and go, and is the same at every replica.
 *
 * Both spellings map different (namespace, tool) pairs to different names: where cleaning or cutting would lose
 * a difference, a short hash of the original is added. Names are resolved by look-up, never by splitting.
 *
 * - portable: `namespace__tool`, at most 64 of `[A-Za-z0-9_-]`. What Claude Desktop, Codex, Copilot and the
 *   OpenAI API take; one name outside can break a client's whole session.
 * - dotted (canonical): `namespace.tool`, at most 128 of `[A-Za-z0-9_.-]` (MCP 2025-11-25, tool names).
 */
export interface Names {
  readonly canonical: CanonicalName;
  readonly portable: PublicName;
}

export const PORTABLE_MAX = 64;
export const CANONICAL_MAX = 128;

/** Length of `-` and the hash. */
const SUFFIX = 9;
/** A namespace is cut to no less than this, so that a reader still knows whose tool it is. */
const NAMESPACE_MIN = 16;

/** 40 bits as eight characters of `[a-v0-9]`. */
export function shortHash(...parts: readonly string[]): string {
  const hash = createHash('sha256');
  // Length first: ('ab', 'c') and ('a', 'bc') are different.
  for (const part of parts) hash.update(`${part.length}:${part}`);
  return BigInt(`0x${hash.digest('hex').slice(0, 10)}`)
    .toString(32)
    .padStart(8, '0');
}

export function namesOf(namespace: string, tool: string): Names {
  return {
    canonical: join(dottedNamespace(namespace), '.', dottedTool(tool), CANONICAL_MAX) as CanonicalName,
    portable: join(portableNamespace(namespace), '__', portableTool(tool), PORTABLE_MAX) as PublicName,
  };
}

/** The name with a hash of its owner: what the loser of a conflict is called. */
export function disambiguated(name: string, max: number, ...owner: readonly string[]): string {
  return `${name.slice(0, max - SUFFIX)}-${shortHash(...owner)}`;
}

function join(namespace: string, separator: string, tool: string, max: number): string {
  const whole = namespace + separator + tool;
  if (whole.length <= max) return whole;
  const room = max - SUFFIX - separator.length;
  const left = Math.min(namespace.length, Math.max(NAMESPACE_MIN, room - tool.length));
  return `${namespace.slice(0, left)}${separator}${tool.slice(0, room - left)}-${shortHash(namespace, tool)}`;
}

/** Without `__` inside and `_` at its ends, so that the first `__` of a name always ends the namespace. */
function portableNamespace(namespace: string): string {
  if (/^[A-Za-z0-9-]+(?:_[A-Za-z0-9-]+)*$/.test(namespace)) return namespace;
  return hashed(namespace, /[^A-Za-z0-9-]+/g);
}

function portableTool(tool: string): string {
  return /^[A-Za-z0-9_-]+$/.test(tool) ? tool : hashed(tool, /[^A-Za-z0-9_-]+/g);
}

/** Without `.`, so that the first dot always ends the namespace. */
function dottedNamespace(namespace: string): string {
  return /^[A-Za-z0-9_-]+$/.test(namespace) ? namespace : hashed(namespace, /[^A-Za-z0-9_-]+/g);
}

function dottedTool(tool: string): string {
  return /^[A-Za-z0-9_.-]+$/.test(tool) ? tool : hashed(tool, /[^A-Za-z0-9_.-]+/g);
}

function hashed(original: string, foreign: RegExp): string {
  const clean = original.replaceAll(foreign, '_').replaceAll(/^_+|_+$/g, '');
  return `${clean === '' ? 'x' : clean}-${shortHash(original)}`;
}
