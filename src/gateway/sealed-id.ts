import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { Branded, RawJson } from '../model.ts';
import type { LegacyVersion } from '../relay/versions.ts';

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
  readonly protocolVersion: LegacyVersion;
  readonly clientInfo: RawJson;
  readonly capabilities: RawJson;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
}

/** First byte of a seal: what was sealed for one purpose opens for no other. */
const formats = { session: 1, 'request-state': 2 } as const;
export type SealPurpose = keyof typeof formats;

const KEY_ID_BYTES = 4;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + KEY_ID_BYTES + IV_BYTES;

interface Key {
  readonly id: Buffer;
  readonly secret: Uint8Array;
}

/**
 * Seals sessions into their ids: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce. Keys are random, so
 * none is derived. The first key of the ring seals, every key opens, and the key's id stands in front, so a
 * rotated ring costs one try.
 *
 * Layout, base64url: purpose (1 byte) · key id (4) · nonce (12) · ciphertext · tag (16).
 */
export class Sealer {
  readonly #keys: readonly Key[];

  /** @param ring at least one key of 32 bytes */
  constructor(ring: readonly Uint8Array[]) {
    if (ring.length === 0) throw new RangeError('the key ring is empty');
    this.#keys = ring.map((secret) => ({
      id: createHash('sha256').update(secret).digest().subarray(0, KEY_ID_BYTES),
      secret,
    }));
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
    const key = this.#keys[0];
    if (!key) throw new RangeError('the key ring is empty');
    const iv = randomBytes(IV_BYTES);
    const head = Buffer.concat([Buffer.of(formats[purpose]), key.id, iv]);
    const cipher = createCipheriv('aes-256-gcm', key.secret, iv);
    // Purpose and key id are authenticated with the content.
    cipher.setAAD(head.subarray(0, 1 + KEY_ID_BYTES));
    const body = Buffer.concat([cipher.update(text), cipher.final()]);
    return Buffer.concat([head, body, cipher.getAuthTag()]).toString('base64url');
  }

  /** Undefined for anything that this ring did not seal for this purpose. */
  openText(purpose: SealPurpose, sealed: string): string | undefined {
    const bytes = Buffer.from(sealed, 'base64url');
    if (bytes.length <= HEAD_BYTES + TAG_BYTES || bytes[0] !== formats[purpose]) return undefined;
    const key = this.#keys.find(({ id }) => id.equals(bytes.subarray(1, 1 + KEY_ID_BYTES)));
    if (!key) return undefined;
    const iv = bytes.subarray(1 + KEY_ID_BYTES, HEAD_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', key.secret, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(bytes.subarray(0, 1 + KEY_ID_BYTES));
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    try {
      return Buffer.concat([
        decipher.update(bytes.subarray(HEAD_BYTES, bytes.length - TAG_BYTES)),
        decipher.final(),
      ]).toString();
    } catch {
      // Tampered with, or cut.
      return undefined;
    }
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
];

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
  ];
}

function unpack(packed: Packed): SessionSeal {
  const [id, identity, path, names, protocolVersion, clientInfo, capabilities, issuedAt] = packed;
  return {
    id: id as SessionId,
    identity,
    path,
    names: names === 1 ? 'dotted' : 'portable',
    protocolVersion: protocolVersion as LegacyVersion,
    clientInfo: clientInfo as RawJson,
    capabilities: capabilities as RawJson,
    issuedAt,
  };
}
