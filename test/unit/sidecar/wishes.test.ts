import { describe, expect, it } from 'vitest';
import { Wishes } from '../../../src/sidecar/wishes.ts';

describe('log levels of many sessions', () => {
  it('the child is asked for what the most curious one wants', () => {
    const wishes = new Wishes<string>();
    expect(wishes.wantedLevel).toBeUndefined();
    wishes.setLevel('a', 'error');
    wishes.setLevel('b', 'debug');
    expect(wishes.wantedLevel).toBe('debug');
    wishes.forget('b');
    expect(wishes.wantedLevel).toBe('error');
    wishes.setLevel('a', undefined);
    expect(wishes.wantedLevel).toBeUndefined();
  });

  it('each hears what it asked for; one that never asked, what it heard before and info', () => {
    const wishes = new Wishes<string>();
    expect(wishes.hears('silent', 'debug')).toBe(true);
    wishes.setLevel('loud', 'debug');
    wishes.setLevel('quiet', 'warning');
    const heard = (session: string): string[] =>
      ['debug', 'info', 'warning', 'emergency'].filter((level) => wishes.hears(session, level));
    expect(heard('loud')).toEqual(['debug', 'info', 'warning', 'emergency']);
    expect(heard('quiet')).toEqual(['warning', 'emergency']);
    expect(heard('silent')).toEqual(['info', 'warning', 'emergency']);
    expect(wishes.hears('quiet', 'a level of the server’s own')).toBe(true);
  });
});

describe('subscriptions of many sessions', () => {
  it('the child is asked once it has agreed, and told when the last one leaves', () => {
    const wishes = new Wishes<string>();
    expect(wishes.subscribe('a', 'x:1')).toBe(true);
    // Not agreed to yet: the second one gets the child's own answer, too.
    expect(wishes.subscribe('b', 'x:1')).toBe(true);
    wishes.confirm('x:1');
    expect(wishes.subscribe('c', 'x:1')).toBe(false);
    expect(['a', 'b', 'b', 'never', 'c'].map((session) => wishes.unsubscribe(session, 'x:1'))).toEqual([
      false,
      false,
      false,
      false,
      true,
    ]);
    expect([...wishes.uris]).toEqual([]);
  });

  it('a session that is gone leaves nothing behind', () => {
    const wishes = new Wishes<string>();
    wishes.subscribe('a', 'x:1');
    wishes.subscribe('a', 'x:2');
    wishes.subscribe('b', 'x:2');
    expect(wishes.forget('a')).toEqual(['x:1']);
    expect([...wishes.uris]).toEqual(['x:2']);
  });

  it('an update of a part reaches who subscribed to the whole, and nobody else', () => {
    const wishes = new Wishes<string>();
    wishes.subscribe('whole', 'file:///docs');
    wishes.subscribe('part', 'file:///docs/a.txt');
    wishes.subscribe('other', 'file:///doc');
    expect([...wishes.listeners('file:///docs/a.txt')].toSorted()).toEqual(['part', 'whole']);
    expect([...wishes.listeners('file:///docs')]).toEqual(['whole']);
    expect([...wishes.listeners('file:///docs2')]).toEqual([]);
  });
});
