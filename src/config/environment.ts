/** The environment at this moment. The only place that reads it; everything else gets values. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return { ...process.env };
}
