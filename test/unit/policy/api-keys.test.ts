import { describe, expect, it } from 'vitest';
import { describeMisfit } from '../../../src/policy/document.ts';
import { ApiKeys, newApiKey, readApiKeys } from '../../../src/policy/inbound/api-keys.ts';

function keysOf(text: string, now = Date.now()): ApiKeys {
  const read = readApiKeys({ text, place: 'keys.yaml' });
  if (read.kind === 'wrong') throw new Error(read.misfits.map(describeMisfit).join('\n'));
  const keys = new ApiKeys(() => now);
  keys.replace(read.value.keys);
  return keys;
}

describe('API keys', () => {
  it('are found by their hash and make an identity with what stands beside it', () => {
    const { key, sha256 } = newApiKey();
    const keys = keysOf(
      `keys: [{ name: ci, sha256: ${sha256}, groups: [machines], scopes: [read], claims: { team: a } }]`,
    );
    expect(keys.find(key)).toMatchObject({
      subject: 'ci',
      method: 'api-key',
      key: 'ci',
      groups: ['machines'],
      scopes: ['read'],
      claims: { team: 'a' },
    });
    expect(keys.find(key)).toBe(keys.find(key));
    expect(JSON.stringify(keys.find(key))).not.toContain(sha256);
  });

  it('are refused when unknown, cut, disabled, early or late', () => {
    const [one, early, late, off] = [newApiKey(), newApiKey(), newApiKey(), newApiKey()] as const;
    const keys = keysOf(
      [
        'keys:',
        `  - { name: one, sha256: ${one.sha256} }`,
        `  - { name: early, sha256: ${early.sha256}, notBefore: 2030-01-01 }`,
        `  - { name: late, sha256: ${late.sha256}, expires: 2020-01-01 }`,
        `  - { name: off, sha256: ${off.sha256}, enabled: false }`,
      ].join('\n'),
      Date.parse('2026-06-01'),
    );
    expect(keys.find(one.key)?.subject).toBe('one');
    for (const key of [
      newApiKey().key,
      one.key.slice(0, -1),
      `${one.key}a`,
      early.key,
      late.key,
      off.key,
      one.sha256,
      '',
    ]) {
      expect(keys.find(key)).toBeUndefined();
    }
  });

  it('keep the digest that sessions are bound to when the key is replaced', () => {
    const [before, after] = [newApiKey(), newApiKey()];
    const first = keysOf(`keys: [{ name: ci, sha256: ${before.sha256} }]`).find(before.key);
    const second = keysOf(`keys: [{ name: ci, sha256: ${after.sha256} }]`).find(after.key);
    expect(second?.digest).toBe(first?.digest);
  });

  it.each([
    ['keys: [{ name: a, sha256: secret }]', /keys.yaml:1:\d+ keys\[0\].sha256: must be a SHA-256/],
    ['keys: [{ name: "a b", sha256: x }]', /keys\[0\].name: must be 1 to 128/],
    ['keys: [{ name: a, key: mcr_x }]', /keys\[0\].key: is not known here/],
    [`keys: [{ name: a, sha256: ${'a'.repeat(64)}, expires: soon }]`, /expires: must be a date/],
    [
      `keys: [{ name: a, sha256: ${'a'.repeat(64)} }, { name: a, sha256: ${'a'.repeat(64)} }]`,
      /keys\[1\].name: stands at another key, too[^]*keys\[1\].sha256: stands at another/,
    ],
  ])('%s is refused', (text, message) => {
    const read = readApiKeys({ text, place: 'keys.yaml' });
    const shown = read.kind === 'wrong' ? read.misfits.map(describeMisfit).join('\n') : '';
    expect(shown).toMatch(message);
    expect(shown).not.toContain('secret');
  });
});
