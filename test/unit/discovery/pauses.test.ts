import { describe, expect, it } from 'vitest';
import { BackOff } from '../../../src/discovery/back-off.ts';
import { asConsulError, type RawAnswer } from '../../../src/discovery/consul-answer.ts';
import { Pace } from '../../../src/discovery/pace.ts';

const never = new AbortController().signal;

/** Whether one would have to wait for one's turn now. */
async function waits(backOff: BackOff): Promise<boolean> {
  const stop = new AbortController();
  let waiting = true;
  const turn = async (): Promise<void> => {
    (await backOff.turn(stop.signal)).gaveUp();
    waiting &&= stop.signal.aborted;
  };
  const ended = turn();
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await ended;
  return waiting;
}

describe('BackOff', () => {
  let now = 0;
  const clock = (): number => now;

  it('lets everybody pass while nothing fails', async () => {
    const backOff = new BackOff(clock, Math.random);
    (await backOff.turn(never)).succeeded();
    expect([await waits(backOff), await waits(backOff)]).toEqual([false, false]);
  });

  it.each([
    [undefined, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]],
    [5000, [200, 400, 800, 1600, 3200, 5000, 5000]],
  ])('pauses up to 0.2 s, and up to twice that each time (longest: %s)', async (lastMs, most) => {
    // Full jitter: half the random number is half the pause.
    for (const random of [1, 0.5]) {
      const backOff = new BackOff(clock, () => random, lastMs);
      for (const ms of most) {
        (await backOff.turn(never)).failed();
        now += ms * random - 1;
        expect(await waits(backOff)).toBe(true);
        now += 1;
        expect(await waits(backOff)).toBe(false);
      }
    }
  });

  it('lets one try, and the rest when it got through', async () => {
    const backOff = new BackOff(clock, () => 1);
    const tries = [await backOff.turn(never), await backOff.turn(never), await backOff.turn(never)];
    // All of them meet the same failure: it counts once.
    for (const each of tries) each.failed();
    now += 200;
    const first = await backOff.turn(never);
    expect(await waits(backOff)).toBe(true);
    const patient = backOff.turn(never);
    first.succeeded();
    await patient;
    expect(await waits(backOff)).toBe(false);
  });

  it('lets another try when the one who tried was stopped, and not when a bystander was', async () => {
    const backOff = new BackOff(clock, () => 1);
    const [one, bystander] = [await backOff.turn(never), await backOff.turn(never)];
    one.failed();
    now += 200;
    const trying = await backOff.turn(never);
    bystander.gaveUp();
    expect(await waits(backOff)).toBe(true);
    trying.gaveUp();
    expect(await waits(backOff)).toBe(false);
  });

  it('waits as long as the server asks, whoever was asked', async () => {
    const backOff = new BackOff(clock, () => 1);
    const [one, other] = [await backOff.turn(never), await backOff.turn(never)];
    one.failed();
    other.failed(3000);
    now += 2999;
    expect(await waits(backOff)).toBe(true);
    now += 1;
    expect(await waits(backOff)).toBe(false);
  });
});

describe('Pace', () => {
  const same = { tookMs: 1, changed: false, sameIndex: true };

  it('answers a change at once, and the next; then the pauses are short', () => {
    let now = 0;
    const pace = new Pace(() => now);
    const changed = { tookMs: 1, changed: true, sameIndex: false };
    expect([pace.next(changed), pace.next(changed)]).toEqual([0, 0]);
    expect(pace.next(changed)).toBe(100);
    now += 1000;
    expect(pace.next(changed)).toBe(0);
  });

  it('slows down to 15 s for a server that does not block', () => {
    let now = 0;
    const pace = new Pace(() => now);
    const pauses = Array.from({ length: 14 }, () => {
      const pause = pace.next(same);
      now += pause + 1;
      return pause;
    });
    expect(pauses.slice(0, 2)).toEqual([0, 0]);
    expect(pauses.at(-1)).toBeGreaterThan(14_000);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(15_000);
  });

  it('slows down to 1 s while others change and we do not, and is quick again after a change', () => {
    let now = 0;
    const pace = new Pace(() => now);
    const others = { tookMs: 1, changed: false, sameIndex: false };
    let last = 0;
    for (let n = 0; n < 20; n++) {
      last = pace.next(others);
      now += last + 1;
    }
    expect(last).toBeGreaterThan(900);
    expect(last).toBeLessThanOrEqual(1000);
    pace.next({ tookMs: 1, changed: true, sameIndex: false });
    now += 100;
    expect(pace.next({ tookMs: 1, changed: true, sameIndex: false })).toBe(0);
  });
});

describe('Retry-After', () => {
  const asked = (headers: Record<string, string>): number | undefined =>
    asConsulError({ response: { statusCode: 503, headers } as unknown as RawAnswer }).retryAfterMs;
  const date = 'Tue, 24 Nov 2026 10:00:00 GMT';

  it.each([
    [{ 'retry-after': '2' }, 2000],
    [{ 'retry-after': 'Tue, 24 Nov 2026 10:00:07 GMT', date }, 7000],
    [{ 'retry-after': 'Tue, 24 Nov 2026 09:00:00 GMT', date }, undefined],
    [{ 'retry-after': '99999999' }, 300_000],
    [{ 'retry-after': 'soon' }, undefined],
    [{}, undefined],
  ])('%j asks for %s ms', (headers, ms) => {
    expect(asked(headers)).toBe(ms);
  });
});
