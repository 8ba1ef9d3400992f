import { expect, it } from 'vitest';
import type { Receiver } from '../../../src/upstream/exchange.ts';
import { SseDelivery } from '../../../src/upstream/sse-delivery.ts';

/** Writes down what it hears; takes no more after `takes` chunks. */
function receiver(): Receiver & { readonly heard: string[]; takes: number } {
  const heard: string[] = [];
  const self = {
    heard,
    takes: Number.POSITIVE_INFINITY,
    head: ({ mediaType }: { mediaType: string }) => void heard.push(mediaType),
    data(chunk: Buffer): boolean {
      heard.push(/data: (.*)\n/.exec(chunk.toString())?.[1]?.slice(0, 10) ?? chunk.toString());
      return --self.takes > 0;
    },
    end: () => void heard.push('end'),
    fail: () => void heard.push('fail'),
  };
  return self;
}

it('an answer alone is JSON', () => {
  const to = receiver();
  const delivery = new SseDelivery(to);
  delivery.answer('{"a":1}');
  expect(to.heard).toEqual(['application/json', '{"a":1}', 'end']);
  expect(delivery.over).toBe(true);
});

it('a receiver that takes no more gets the rest, in order, when it does again; the end comes last', () => {
  const to = receiver();
  to.takes = 1;
  const delivery = new SseDelivery(to);
  for (const text of ['1', '2', '3']) expect(delivery.message(text)).toBe(true);
  delivery.answer('4');
  expect(to.heard).toEqual(['text/event-stream', '1']);
  to.takes = 2;
  delivery.resume();
  expect(to.heard).toEqual(['text/event-stream', '1', '2', '3']);
  expect(delivery.over).toBe(false);
  to.takes = 9;
  delivery.resume();
  expect(to.heard).toEqual(['text/event-stream', '1', '2', '3', '4', 'end']);
});

it('who is too far behind is given up, and who catches up again may fall behind again', () => {
  const to = receiver();
  const delivery = new SseDelivery(to);
  const mebibyte = 'x'.repeat(1024 * 1024);
  const fill = (): number => {
    to.takes = 1;
    let kept = 0;
    while (kept < 20 && delivery.message(mebibyte)) kept++;
    return kept;
  };
  const first = fill();
  expect(first).toBeGreaterThan(3);
  expect(first).toBeLessThan(8);
  to.takes = 20;
  delivery.resume();
  expect(fill()).toBe(first);
});

it('who wants no more hears nothing any more', () => {
  const to = receiver();
  const delivery = new SseDelivery(to);
  delivery.drop();
  delivery.begin();
  delivery.message('1');
  delivery.answer('2');
  delivery.end();
  delivery.resume();
  expect(to.heard).toEqual([]);
});
