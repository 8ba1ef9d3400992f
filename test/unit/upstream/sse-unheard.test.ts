import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  readEnvelope,
  type NotificationEnvelope,
  type RequestEnvelope,
} from '../../../src/relay/envelope.ts';
import { Unheard } from '../../../src/upstream/sse-unheard.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const read = (message: unknown) =>
  readEnvelope(JSON.stringify(message)) as RequestEnvelope | NotificationEnvelope;
const question = (id: number) => read({ jsonrpc: '2.0', id, method: 'roots/list' });
const notice = (n: number) => read({ jsonrpc: '2.0', method: `notifications/${n}` });

it('a question that nobody hears for ten seconds is refused, once', () => {
  const refused: string[] = [];
  const unheard = new Unheard(({ id }) => void refused.push(id));
  unheard.keep(question(1));
  unheard.keep(notice(1));
  vi.advanceTimersByTime(9_000);
  unheard.keep(question(2));
  expect(refused).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(refused).toEqual(['1']);
  expect(unheard.take('all')).toHaveLength(1);
  vi.advanceTimersByTime(60_000);
  expect(refused).toEqual(['1']);
  expect(vi.getTimerCount()).toBe(0);
});

it('a call gets the questions, a listener everything, in the order in which it was said', () => {
  const unheard = new Unheard(() => undefined);
  const [first, second, third] = [question(1), notice(1), question(2)];
  for (const message of [first, second, third]) unheard.keep(message);
  expect(unheard.take('questions')).toEqual([first, third]);
  expect(unheard.take('all')).toEqual([second]);
  expect(vi.getTimerCount()).toBe(0);
});

it('is bounded, and a server that talks all the time keeps no place from its questions', () => {
  const refused: string[] = [];
  const unheard = new Unheard(({ id }) => void refused.push(id));
  for (let n = 0; n < 1000; n++) unheard.keep(notice(n));
  for (let n = 0; n < 16; n++) unheard.keep(question(n));
  expect(refused).toEqual([]);
  unheard.keep(question(16));
  expect(refused).toEqual(['16']);
  expect(unheard.take('all')).toHaveLength(32);
  unheard.keep(notice(1));
  expect(unheard.take('all')).toHaveLength(1);
});
