import { describe, expect, it } from 'vitest';
import { WaitingRoom, type Waiter } from '../../../src/gateway/waiting-room.ts';
import { service } from '../../support/model.ts';

const s = service('s');

describe('WaitingRoom', () => {
  /** Waiters that write down when they are let in; `room` says whether there is any. */
  function scene(max = 10) {
    const order: string[] = [];
    const room = new WaitingRoom(max);
    const self = { order, room, free: 0, letIn: (_name: string): void => undefined };
    const waiter = (name: string): Waiter => ({
      tryNow: () => {
        if (self.free === 0) return false;
        self.free--;
        order.push(name);
        self.letIn(name);
        return true;
      },
    });
    return { ...self, self, waiter };
  }

  it('lets in who came first, as many as there is room for', () => {
    const { self, room, waiter, order } = scene();
    for (const name of ['a', 'b', 'c']) room.join(s, waiter(name));
    self.free = 2;
    room.freed(s);
    expect([order, room.size]).toEqual([['a', 'b'], 1]);
    room.freed(s);
    expect(room.size).toBe(1);
  });

  it('one that cannot use the room holds nobody up', () => {
    const { self, room, waiter, order } = scene();
    room.join(s, { tryNow: () => false });
    room.join(s, waiter('b'));
    self.free = 1;
    room.freed(s);
    expect([order, room.size]).toEqual([['b'], 1]);
  });

  it('is full at some time, for each service alone', () => {
    const { room, waiter } = scene(2);
    const first = waiter('a');
    expect([room.join(s, first), room.join(s, waiter('b')), room.join(s, waiter('c'))]).toEqual([
      true,
      true,
      false,
    ]);
    expect(room.join(service('other'), waiter('d'))).toBe(true);
    room.leave(s, first);
    room.leave(s, first);
    expect(room.size).toBe(2);
    expect(room.join(s, waiter('e'))).toBe(true);
  });

  it('room that comes free while the queue is gone through is not lost', () => {
    const { self, room, waiter, order } = scene();
    for (const name of ['a', 'b', 'c']) room.join(s, waiter(name));
    // Each that is let in is over at once.
    self.letIn = () => {
      self.free++;
      room.freed(s);
    };
    self.free = 1;
    room.freed(s);
    expect([order, room.size]).toEqual([['a', 'b', 'c'], 0]);
  });
});
