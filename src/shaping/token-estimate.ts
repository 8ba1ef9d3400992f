/**
 * Tokens as good as they can be had without a tokenizer: UTF-8 bytes ÷ 4. Counted in bytes, so that a Han character
 * is three quarters of a token and not a quarter. On real tool lists and API answers it is within a fifth of o200k
 * (`npm run bench:tokens`); it is for thresholds and metering, not for bills.
 */
export function estimateTokens(text: string): number {
  return estimateTokensOfBytes(Buffer.byteLength(text));
}

/** The same where only the size is known. */
export function estimateTokensOfBytes(bytes: number): number {
  return Math.ceil(bytes / 4);
}
