import { describe, expect, it } from 'vitest';
import type { RouterError } from '../../../src/errors.ts';
import type { HostedSession } from '../../../src/sidecar/host.ts';
import { Sessions } from '../../../src/sidecar/sessions.ts';

function setUp(maxSessions: number) {
  const clock = { now: 0 };
  const closed: string[] = [];
  const sessions = new Sessions({ maxSessions, idleMs: 1000, evictAfterMs: 100, now: () => clock.now });
  const open = (name: string, busy = { busy: false }): string => {
    const seat = sessions.reserve();
    const session: HostedSession = {
      get busy() {
        return busy.busy;
      },
      request: () => undefined,
      tell: () => undefined,
      listen: () => undefined,
      close: () => void closed.push(name),
    };
    seat.take(session);
    return seat.id;
  };
  return { clock, closed, sessions, open };
}

const overloaded = (attempt: () => unknown): void =>
  expect(attempt).toThrow(expect.objectContaining({ code: 'OVERLOADED' }) as RouterError);

describe('the sessions of the wrapper', () => {
  it('a seat that is being taken counts, and counts no more when it is free', () => {
    const { sessions } = setUp(1);
    const seat = sessions.reserve();
    overloaded(() => sessions.reserve());
    seat.free();
    expect(sessions.reserve().id).not.toBe(seat.id);
  });

  it('the longest idle one makes room, if it was idle for long enough', () => {
    const { clock, closed, sessions, open } = setUp(2);
    const first = open('first');
    open('second');
    clock.now = 99;
    expect(sessions.full).toBe(true);
    overloaded(() => open('third'));
    clock.now = 150;
    sessions.find(first);
    expect(sessions.full).toBe(false);
    open('third');
    expect(closed).toEqual(['second']);
  });

  it('one that works is never idle, and its time begins when its work is done', () => {
    const { clock, closed, sessions, open } = setUp(1);
    const work = { busy: true };
    open('worker', work);
    clock.now = 5000;
    sessions.sweep();
    overloaded(() => open('other'));
    work.busy = false;
    clock.now = 5900;
    sessions.sweep();
    expect(closed).toEqual([]);
    clock.now = 6001;
    sessions.sweep();
    expect([closed, sessions.size]).toEqual([['worker'], 0]);
  });
});
