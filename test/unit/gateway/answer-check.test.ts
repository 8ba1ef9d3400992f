import { describe, expect, it } from 'vitest';
import { judge, retryAfterMs } from '../../../src/gateway/answer-check.ts';
import type { AnswerHead } from '../../../src/upstream/exchange.ts';
import { service } from '../../support/model.ts';

const head = (status: number, headers: Record<string, string> = {}): AnswerHead => ({
  status,
  mediaType: '',
  contentLength: undefined,
  headers,
});

describe('a session that the backend does not know', () => {
  const verdict = (status: number, text: string): string =>
    judge(head(status), text, { service: service('s'), inSession: true, stateless: false }).kind;

  it.each([
    [404, ''],
    [400, 'Bad Request: No valid session ID provided'],
    [400, 'Missing session ID'],
    [503, '{"error":"unknown session"}'],
    [503, 'Session not found'],
    [400, 'Session expired'],
    [400, 'Could not find session'],
    [503, 'no active session'],
  ])('is what %i "%s" means', (status, text) => {
    expect(verdict(status, text)).toBe('session-unknown');
  });

  it.each([
    [503, 'could not open a database session'],
    [503, 'too many sessions'],
    [500, 'Session not found'],
    [400, 'no such column'],
  ])('is not what %i "%s" means: it may have acted', (status, text) => {
    expect(verdict(status, text)).toBe('failed');
  });
});

describe('Retry-After', () => {
  it.each([
    [503, { 'retry-after': '7' }, 7000],
    [429, { 'retry-after': '0' }, 0],
    [503, { 'retry-after': 'Wed, 21 Oct 2026 07:28:10 GMT', date: 'Wed, 21 Oct 2026 07:28:00 GMT' }, 10_000],
    [503, { 'retry-after': 'Wed, 21 Oct 2026 07:28:10 GMT' }, undefined],
    [
      503,
      { 'retry-after': 'Wed, 21 Oct 2020 07:28:10 GMT', date: 'Wed, 21 Oct 2026 07:28:00 GMT' },
      undefined,
    ],
    [503, { 'retry-after': '-3' }, undefined],
    [503, {}, undefined],
    [200, { 'retry-after': '7' }, undefined],
  ] as [number, Record<string, string>, number | undefined][])('%i %j: %s', (status, headers, expected) => {
    expect(retryAfterMs(head(status, headers))).toBe(expected);
  });
});
