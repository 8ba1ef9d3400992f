import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PeakEwma } from '../../../src/routing/peak-ewma.ts';

describe('PeakEwma', () => {
  it('takes a peak at once and forgets it slowly', () => {
    const latency = new PeakEwma();
    latency.observe(10, 0);
    expect(latency.valueMs).toBe(10);
    latency.observe(500, 10);
    expect(latency.valueMs).toBe(500);
    latency.observe(10, 20);
    expect(latency.valueMs).toBeGreaterThan(400);
    latency.observe(10, 60_000);
    expect(latency.valueMs).toBeLessThan(15);
  });

  it('sinks without news, so an instance that was slow once is tried again', () => {
    const latency = new PeakEwma();
    latency.observe(9000, 0);
    expect(latency.at(0)).toBe(9000);
    expect(latency.at(120_000)).toBeLessThan(1);
    // What is shown to people stays what was measured.
    expect(latency.valueMs).toBe(9000);
  });

  it('never leaves the range of what was measured', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 60_000 })), {
          minLength: 1,
        }),
        (samples) => {
          const latency = new PeakEwma();
          let now = 0;
          for (const [sample, pause] of samples) latency.observe(sample, (now += pause));
          const all = samples.map(([sample]) => sample);
          expect(latency.valueMs).toBeGreaterThanOrEqual(Math.min(...all) - 1e-6);
          expect(latency.valueMs).toBeLessThanOrEqual(Math.max(...all) + 1e-6);
        },
      ),
    );
  });
});
