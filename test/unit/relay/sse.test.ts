import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatSse, SseLimitError, SseParser, type SseEvent } from '../../../src/relay/sse.ts';

function parse(bytes: Buffer, cuts: readonly number[] = []): SseEvent[] {
  const events: SseEvent[] = [];
  const parser = new SseParser((event) => events.push(event), 1 << 20);
  const edges = [0, ...[...cuts].map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let index = 1; index < edges.length; index++) {
    parser.push(bytes.subarray(edges[index - 1], edges[index]));
  }
  return events;
}

const data = (text: string) => parse(Buffer.from(text)).map((event) => event.data);

describe('SseParser', () => {
  it.each([
    ['data: a\n\n', ['a']],
    ['data:a\n\n', ['a']],
    ['data:  a\n\n', [' a']],
    ['data: a\r\n\r\n', ['a']],
    ['data: a\r\rdata: b\r\r', ['a', 'b']],
    ['data: a\ndata: b\n\n', ['a\nb']],
    ['data\n\n', ['']],
    [': ping\n\n', []],
    ['data: cut', []],
    ['\n\n\n', []],
    ['unknown: x\n\n', []],
    ['\uFEFFdata: a\n\n', ['a']],
    ['data: é漢😀\n\n', ['é漢😀']],
  ])('reads %j', (text, expected) => {
    expect(data(text)).toEqual(expected);
  });

  it('reads event, id and retry', () => {
    expect(parse(Buffer.from('event: ping\nid: 7\nretry: 250\ndata: x\n\n'))).toEqual([
      { data: 'x', event: 'ping', id: '7', retry: 250 },
    ]);
    // A priming event (2025-11-25): an id and empty data.
    expect(parse(Buffer.from('id: 7\ndata:\n\n'))).toEqual([
      { data: '', event: 'message', id: '7', retry: undefined },
    ]);
    expect(parse(Buffer.from('retry: soon\ndata: x\n\n'))[0]?.retry).toBeUndefined();
  });

  it('reads the same events wherever the network cuts the stream', () => {
    const event = fc.record({
      text: fc.string({ unit: 'grapheme' }),
      eol: fc.constantFrom('\n', '\r\n', '\r'),
    });
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (events, cuts) => {
          const stream = events
            .map(({ text, eol }) => `${formatSse(text, '1').trimEnd().replaceAll('\n', eol)}${eol}${eol}`)
            .join('');
          const whole = parse(Buffer.from(stream));
          expect(parse(Buffer.from(stream), cuts)).toEqual(whole);
          expect(whole).toHaveLength(events.length);
        },
      ),
    );
  });

  it('gives back what formatSse wrote', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const normal = text.replaceAll(/\r\n|\r/g, '\n');
        expect(data(formatSse(text))).toEqual([normal]);
      }),
    );
  });

  it('refuses an event without end, in one line or in many', () => {
    const oneLine = new SseParser(() => {}, 1000);
    expect(() => {
      for (let i = 0; i < 100; i++) oneLine.push(Buffer.from('data: xxxxxxxxxxxxxxxxxxxxxxxx'));
    }).toThrow(SseLimitError);
    const manyLines = new SseParser(() => {}, 1000);
    expect(() => {
      for (let i = 0; i < 100; i++) manyLines.push(Buffer.from('data: xxxxxxxxxxxxxxxxxxxxxxxx\n'));
    }).toThrow(SseLimitError);
  });
});
