import { randomBytes } from 'node:crypto';
import type { Branded, RawJson } from '../model.ts';
import type { LegacyVersion } from '../relay/versions.ts';
import type { SettledMode } from '../shaping/tool-mode.ts';
import { KeyRing, type SealPurpose } from './key-ring.ts';

/** A client session's own id; random, never on the wire in the clear. */
export type SessionId = Branded<'SessionId'>;
/** What the client holds as `Mcp-Session-Id`: the whole session, sealed. */
export type SealedSessionId = Branded<'SealedSessionId'>;

/** All that a replica needs to go on with a session that it has never seen. */
export interface SessionSeal {
  readonly id: SessionId;
  /** Digest of the identity that opened the session; it works for no other. */
  readonly identity: string;
  /** Path that the session was opened on, with the settings of its query; it works on no other path. */
  readonly path: string;
  readonly names: 'portable' | 'dotted';
  /** How much its tool lists show; settled when it was opened. */
  readonly tools: SettledMode;
  readonly protocolVersion: LegacyVersion;
  readonly clientInfo: RawJson;
  readonly capabilities: RawJson;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
}

/** Seals sessions into their ids, and what else the gateway gives to clients to keep. */
export class Sealer {
  readonly #ring: KeyRing;

  /** @param ring at least one key of 32 bytes */
  constructor(ring: readonly Uint8Array[]) {
    this.#ring = new KeyRing(ring);
  }

  seal(session: SessionSeal): SealedSessionId {
    return this.sealText('session', JSON.stringify(pack(session))) as SealedSessionId;
  }

  /** Undefined for anything that this ring did not seal. */
  open(sealed: string): SessionSeal | undefined {
    const text = this.openText('session', sealed);
    return text === undefined ? undefined : unpack(JSON.parse(text) as Packed);
  }

  sealText(purpose: SealPurpose, text: string): string {
    return this.#ring.seal(purpose, text);
  }

  /** Undefined for anything that this ring did not seal for this purpose. */
  openText(purpose: SealPurpose, sealed: string): string | undefined {
    return this.#ring.open(purpose, sealed);
  }
}

/** A fresh session id: 128 random bits. */
export function newSessionId(): SessionId {
  return randomBytes(16).toString('base64url') as SessionId;
}

/** Short on the wire: the id stands in a header of every request. */
type Packed = readonly [
  id: string,
  identity: string,
  path: string,
  names: 0 | 1,
  protocolVersion: string,
  clientInfo: string,
  capabilities: string,
  issuedAt: number,
  tools: number,
];

const modes: readonly SettledMode[] = ['full', 'filtered', 'search'];

function pack(session: SessionSeal): Packed {
  return [
    session.id,
    session.identity,
    session.path,
    session.names === 'dotted' ? 1 : 0,
    session.protocolVersion,
    session.clientInfo,
    session.capabilities,
    session.issuedAt,
    modes.indexOf(session.tools),
  ];
}

function unpack(packed: Packed): SessionSeal {
  const [id, identity, path, names, protocolVersion, clientInfo, capabilities, issuedAt, tools] = packed;
  return {
    id: id as SessionId,
    identity,
    path,
    names: names === 1 ? 'dotted' : 'portable',
    tools: modes[tools] ?? 'full',
    protocolVersion: protocolVersion as LegacyVersion,
    clientInfo: clientInfo as RawJson,
    capabilities: capabilities as RawJson,
    issuedAt,
  };
}
