import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** First byte of a seal: what was sealed for one purpose opens for no other. */
const formats = { session: 1, 'request-state': 2, store: 3 } as const;
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
 * Seals text: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce. Keys are random, so none is derived. The
 * first key of the ring seals, every key opens, and the key's id stands in front, so a rotated ring costs one try.
 *
 * Layout, base64url: purpose (1 byte) · key id (4) · nonce (12) · ciphertext · tag (16).
 */
export class KeyRing {
  readonly #keys: readonly Key[];

  /** @param ring at least one key of 32 bytes */
  constructor(ring: readonly Uint8Array[]) {
    if (ring.length === 0) throw new RangeError('the key ring is empty');
    this.#keys = ring.map((secret) => ({
      id: createHash('sha256').update(secret).digest().subarray(0, KEY_ID_BYTES),
      secret,
    }));
  }

  /** @param context whose it is, where the text itself does not say so; it must be given again to open it. */
  seal(purpose: SealPurpose, text: string, context = ''): string {
    const key = this.#keys[0];
    if (!key) throw new RangeError('the key ring is empty');
    const iv = randomBytes(IV_BYTES);
    const head = Buffer.concat([Buffer.of(formats[purpose]), key.id, iv]);
    const cipher = createCipheriv('aes-256-gcm', key.secret, iv);
    cipher.setAAD(authenticated(head, context));
    const body = Buffer.concat([cipher.update(text), cipher.final()]);
    return Buffer.concat([head, body, cipher.getAuthTag()]).toString('base64url');
  }

  /** Undefined for anything that this ring did not seal for this purpose and context. */
  open(purpose: SealPurpose, sealed: string, context = ''): string | undefined {
    const bytes = Buffer.from(sealed, 'base64url');
    if (bytes.length < HEAD_BYTES + TAG_BYTES || bytes[0] !== formats[purpose]) return undefined;
    // One spelling only: decoding forgives foreign characters.
    if (bytes.toString('base64url') !== sealed) return undefined;
    const key = this.#keys.find(({ id }) => id.equals(bytes.subarray(1, 1 + KEY_ID_BYTES)));
    if (!key) return undefined;
    const iv = bytes.subarray(1 + KEY_ID_BYTES, HEAD_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', key.secret, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(authenticated(bytes, context));
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    const body = bytes.subarray(HEAD_BYTES, bytes.length - TAG_BYTES);
    try {
      return Buffer.concat([decipher.update(body), decipher.final()]).toString();
    } catch {
      // Tampered with, cut, or sealed for something else.
      return undefined;
    }
  }
}

/** Purpose, key id and context are authenticated with the content. */
function authenticated(head: Buffer, context: string): Buffer {
  const fixed = head.subarray(0, 1 + KEY_ID_BYTES);
  return context === '' ? fixed : Buffer.concat([fixed, Buffer.from(context)]);
}
