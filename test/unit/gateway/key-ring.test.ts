import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { KeyRing } from '../../../src/gateway/key-ring.ts';
import { newSessionId, Sealer } from '../../../src/gateway/sealed-id.ts';
import type { RawJson } from '../../../src/model.ts';

const [oldKey, newKey] = [randomBytes(32), randomBytes(32)];

describe('KeyRing', () => {
  it('opens what it sealed, also empty text, and seals the same text differently each time', () => {
    const ring = new KeyRing([newKey]);
    for (const text of ['', 'a', 'ü'.repeat(1000)]) expect(ring.open(ring.seal(text, 'x'), 'x')).toBe(text);
    expect(ring.seal('a', 'x')).not.toBe(ring.seal('a', 'x'));
  });

  it('what is sealed for one thing opens for no other', () => {
    const ring = new KeyRing([newKey]);
    expect(ring.open(ring.seal('a', 'session 1'), 'session 2')).toBeUndefined();
    expect(ring.open(ring.seal('a', 'session 1'), '')).toBeUndefined();
    expect(ring.open(ring.seal('a', ''), 'session 1')).toBeUndefined();
  });

  it('a rotated ring opens what the old key sealed; a foreign ring, a cut and a changed byte open nothing', () => {
    const sealed = new KeyRing([oldKey]).seal('secret', 'x');
    expect(new KeyRing([newKey, oldKey]).open(sealed, 'x')).toBe('secret');
    expect(new KeyRing([newKey]).open(sealed, 'x')).toBeUndefined();
    const bytes = Buffer.from(sealed, 'base64url');
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(new KeyRing([oldKey]).open(changed.toString('base64url'), 'x')).toBeUndefined();
      expect(new KeyRing([oldKey]).open(bytes.subarray(0, at).toString('base64url'), 'x')).toBeUndefined();
    }
  });
});

describe('Sealer', () => {
  it('a value that was sealed for something else is no session id', () => {
    expect(new Sealer([newKey]).open(new KeyRing([newKey]).seal('["id"]', 'value'))).toBeUndefined();
  });

  it('gives back the whole session', () => {
    const seal = {
      id: newSessionId(),
      identity: 'who',
      path: '/mcp',
      names: 'dotted',
      protocolVersion: '2025-11-25',
      clientInfo: '{"name":"c"}' as RawJson,
      capabilities: '{}' as RawJson,
      issuedAt: 5,
    } as const;
    const sealer = new Sealer([newKey]);
    expect(sealer.open(sealer.seal(seal))).toEqual(seal);
  });
});
