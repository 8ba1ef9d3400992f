/** Waits until `check` holds (returns something other than false or undefined, and throws nothing). */
export async function eventually<Result>(
  check: () => Result | Promise<Result>,
  { withinMs = 10_000, everyMs = 20 }: { withinMs?: number; everyMs?: number } = {},
): Promise<NonNullable<Exclude<Result, false>>> {
  const deadline = performance.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const result = await check();
      if (result !== undefined && result !== null && result !== false) {
        return result as NonNullable<Exclude<Result, false>>;
      }
      last = result;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      const reason = last instanceof Error ? last.message : `last seen: ${JSON.stringify(last)}`;
      throw new Error(`not within ${withinMs} ms: ${reason}`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
