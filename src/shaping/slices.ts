/** What `inSlices` needs of the world around: the time in milliseconds, and a wait until others had their turn. */
export interface SlicePorts {
  readonly clock: () => number;
  readonly pause: () => Promise<void>;
  /** How long to go on without a pause, in milliseconds. A single step is not cut. */
  readonly sliceMs: number;
}

/** Takes all steps, with a pause whenever they held the event loop for `sliceMs`. */
export async function inSlices(steps: Iterator<void, void, void>, ports: SlicePorts): Promise<void> {
  let began = ports.clock();
  while (!steps.next().done) {
    if (ports.clock() - began < ports.sliceMs) continue;
    await ports.pause();
    began = ports.clock();
  }
}

/** Takes all steps at once: for tests, benches and few tools. */
export function allAtOnce(steps: Iterator<void, void, void>): void {
  let done = false;
  while (!done) done = steps.next().done ?? false;
}
