import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { KeyRing } from '../../../src/gateway/key-ring.ts';
import { newSessionId, Sealer } from '../../../src/gateway/sealed-id.ts';
import type { RawJson } from '../../../src/model.ts';

const [oldKey, newKey] = [randomBytes(32), randomBytes(32)];

describe('KeyRing', () => {
  it('opens what it sealed, also empty text, and seals the same text differently each time', () => {
    const ring = new KeyRing([newKey]);
    for (const text of ['', 'a', 'ü'.repeat(1000)]) {
      expect(ring.open('store', ring.seal('store', text, 'x'), 'x')).toBe(text);
    }
    expect(ring.seal('store', 'a', 'x')).not.toBe(ring.seal('store', 'a', 'x'));
  });

  it('what is sealed for one purpose and context opens for no other', () => {
    const ring = new KeyRing([newKey]);
    const sealed = ring.seal('store', 'a', 'session 1');
    expect(ring.open('store', sealed, 'session 1')).toBe('a');
    expect(ring.open('store', sealed, 'session 2')).toBeUndefined();
    expect(ring.open('store', sealed)).toBeUndefined();
    expect(ring.open('session', sealed, 'session 1')).toBeUndefined();
    expect(ring.open('session', ring.seal('request-state', 'a'))).toBeUndefined();
    expect(ring.open('store', ring.seal('store', 'a'), 'session 1')).toBeUndefined();
  });

  it('a rotated ring opens what the old key sealed; a foreign ring, a cut and a changed byte open nothing', () => {
    const sealed = new KeyRing([oldKey]).seal('store', 'secret', 'x');
    expect(new KeyRing([newKey, oldKey]).open('store', sealed, 'x')).toBe('secret');
    expect(new KeyRing([newKey]).open('store', sealed, 'x')).toBeUndefined();
    const bytes = Buffer.from(sealed, 'base64url');
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(new KeyRing([oldKey]).open('store', changed.toString('base64url'), 'x')).toBeUndefined();
      expect(
        new KeyRing([oldKey]).open('store', bytes.subarray(0, at).toString('base64url'), 'x'),
      ).toBeUndefined();
    }
  });
});

describe('Sealer', () => {
  it('a value that was sealed for something else is no session id', () => {
    expect(new Sealer([newKey]).open(new KeyRing([newKey]).seal('store', '["id"]'))).toBeUndefined();
  });

  it('gives back the whole session', () => {
    const seal = {
      id: newSessionId(),
      identity: 'who',
      path: '/mcp',
      names: 'dotted',
      tools: 'search',
      protocolVersion: '2025-11-25',
      clientInfo: '{"name":"c"}' as RawJson,
      capabilities: '{}' as RawJson,
      issuedAt: 5,
    } as const;
    const sealer = new Sealer([newKey]);
    expect(sealer.open(sealer.seal(seal))).toEqual(seal);
  });
});
