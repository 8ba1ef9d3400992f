import { describe, expect, it } from 'vitest';
import { Pulse } from '../../../src/sidecar/pulse.ts';

function setUp(answers: boolean) {
  const state = { now: 0, busy: false, pings: 0, answers };
  const pulse: Pulse = new Pulse({
    ping: () => {
      state.pings++;
      if (!state.answers) return new Promise(() => undefined);
      state.now++;
      pulse.heard();
      return Promise.resolve();
    },
    busy: () => state.busy,
    limits: { provenMs: 100, pingTimeoutMs: 10, busyMs: 1000 },
    now: () => state.now,
  });
  return { state, pulse };
}

describe('the pulse of a child', () => {
  it('one that has just spoken is not asked', async () => {
    const { state, pulse } = setUp(false);
    state.now = 100;
    expect(await pulse.check()).toEqual({ kind: 'up' });
    expect(state.pings).toBe(0);
  });

  it('a silent one is asked', async () => {
    const { state, pulse } = setUp(true);
    state.now = 101;
    expect(await pulse.check()).toEqual({ kind: 'up' });
    expect(state.pings).toBe(1);
  });

  it('one that does not answer is down, and is asked only once until it does', async () => {
    const { state, pulse } = setUp(false);
    state.now = 5000;
    expect(await pulse.check()).toEqual({ kind: 'down', reason: 'has not answered for 5 s' });
    await pulse.check();
    expect(state.pings).toBe(1);
  });

  it('one that works may be silent, but not for ever', async () => {
    const { state, pulse } = setUp(false);
    state.busy = true;
    state.now = 1000;
    expect(await pulse.check()).toEqual({ kind: 'busy' });
    state.now = 1001;
    expect(await pulse.check()).toMatchObject({ kind: 'down' });
  });
});
