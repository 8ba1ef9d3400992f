import { expect, it } from 'vitest';
import { readEnvelope, type RequestEnvelope, type ResponseEnvelope } from '../../../src/relay/envelope.ts';
import { introduce, listsOf } from '../../../src/sidecar/introduction.ts';

const child = (version: string): ResponseEnvelope =>
  readEnvelope(
    `{"result":{"x":9007199254740993,"protocolVersion":"${version}","capabilities":{"prompts":{},"tools":{}}},"jsonrpc":"2.0","id":1}`,
  ) as ResponseEnvelope;
const ask = (version: unknown): RequestEnvelope =>
  readEnvelope(
    JSON.stringify({ jsonrpc: '2.0', id: 'a', method: 'initialize', params: { protocolVersion: version } }),
  ) as RequestEnvelope;

it.each<[own: string, asked: string | undefined, spoken: string, why: string]>([
  ['2025-11-25', '2025-06-18', '2025-06-18', 'the asked one, where the child is newer'],
  ['2024-11-05', '2025-11-25', '2024-11-05', "the child's, where it is older"],
  ['2025-11-25', '2026-07-28', '2025-11-25', 'the newest of the era for one of another era'],
  ['2023-01-01', '2025-06-18', '2025-06-18', 'the asked one, where nobody knows the child’s'],
  ['2025-06-18', undefined, '2025-06-18', "the child's, where none is asked"],
])('a child of %s and a client of %s speak %s: %s', (own, asked, spoken) => {
  expect(introduce(child(own), ask(asked))).toBe(
    `{"result":{"x":9007199254740993,"protocolVersion":"${spoken}","capabilities":{"prompts":{},"tools":{}}},"jsonrpc":"2.0","id":"a"}`,
  );
});

it('knows the lists that a server has', () => {
  expect(listsOf(child('2025-11-25'))).toEqual(['tools', 'prompts']);
});
