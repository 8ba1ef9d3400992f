import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answeredId, LineSplitter, type Line } from '../../../src/sidecar/lines.ts';

function split(chunks: readonly Buffer[], maxBytes = 1 << 20): Line[] {
  const lines: Line[] = [];
  const splitter = new LineSplitter(maxBytes, (line) => lines.push(line));
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}

const tooLong = (head: string, tail: string) => ({ kind: 'too-long', bytes: 1, head, tail }) as const;

describe('lines of a stream', () => {
  it('are the same wherever the chunks end, inside a character too', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', ' '))),
        fc.array(fc.nat(200)),
        (texts, cuts) => {
          const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(''));
          const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted((a, b) => a - b);
          const chunks = [...ends, bytes.length].map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end));
          const expected = texts.filter((text) => text !== '').map((text) => Buffer.from(text).toString());
          const found = split(chunks).map((line) => (line.kind === 'line' ? line.text : '(too long)'));
          expect(found.filter((text) => text !== '')).toEqual(expected);
        },
      ),
    );
  });

  it('a line that is too long keeps its ends, and the next one is whole', () => {
    const long = `head${'x'.repeat(10_000)}tail`;
    const bytes = Buffer.from(`before\n${long}\nbehind\n`);
    for (const size of [1, 7, 100, bytes.length]) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size),
      );
      const [before, middle, behind] = split(chunks, 1000);
      expect([before, behind]).toEqual([
        { kind: 'line', text: 'before' },
        { kind: 'line', text: 'behind' },
      ]);
      expect(middle).toMatchObject({ kind: 'too-long', bytes: long.length });
      if (middle?.kind !== 'too-long') continue;
      expect(long.startsWith(middle.head)).toBe(true);
      expect(long.endsWith(middle.tail)).toBe(true);
      expect([middle.head.length, middle.tail.length]).toEqual([512, 512]);
    }
  });

  it('64 MiB in small chunks take no longer than in large ones', () => {
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const startedAt = performance.now();
    const [line] = split(
      Array.from({ length: 1024 }, () => chunk),
      128 << 20,
    );
    expect(line?.kind === 'line' && line.text.length).toBe(64 << 20);
    // Joining anew with every chunk takes some 20 s.
    expect(performance.now() - startedAt).toBeLessThan(5000);
  });
});

describe('which request a cut response answers', () => {
  it.each([
    ['id in front (Python, Go)', '{"jsonrpc":"2.0","id":17,"result":{"x":"', '..."}}', '17'],
    ['id first', '{"id":"a-1","jsonrpc":"2.0","result":{', '}}', '"a-1"'],
    ['id behind (TypeScript SDK)', '{"result":{"content":[', ']},"jsonrpc":"2.0","id":3}', '3'],
    ['id behind, before jsonrpc', '{"jsonrpc":"2.0","error":{', '},"id":3,"jsonrpc":"2.0"}', '3'],
    ['spaces', '{ "jsonrpc": "2.0", "result" : {', '} , "id" : 4 } ', '4'],
    ['an id inside the result', '{"jsonrpc":"2.0","result":{', ',"id":5}}', undefined],
    ['a request of the server', '{"jsonrpc":"2.0","id":6,"method":"x","params":{', '}}', undefined],
    ['a notification', '{"jsonrpc":"2.0","method":"x","params":{', '},"id":7}', undefined],
    ['noise', 'xxxxxxxxx', 'yyyyyyy,"id":8}', undefined],
  ])('%s', (_, head, tail, id) => {
    expect(answeredId(tooLong(head, tail))).toBe(id);
  });
});
