/** Revisions of the session era (`initialize`, `Mcp-Session-Id`), newest first. */
export const LEGACY_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const;
export type LegacyVersion = (typeof LEGACY_VERSIONS)[number];

export const LATEST_LEGACY_VERSION: LegacyVersion = LEGACY_VERSIONS[0];

/** What a request over HTTP without the version header means (2025-06-18, transports: protocol version header). */
export const ASSUMED_VERSION: LegacyVersion = '2025-03-26';

export function isLegacyVersion(version: string): version is LegacyVersion {
  return (LEGACY_VERSIONS as readonly string[]).includes(version);
}

/** The server's side of the negotiation: the asked revision if it is known, else the newest. */
export function negotiate(asked: string): LegacyVersion {
  return isLegacyVersion(asked) ? asked : LATEST_LEGACY_VERSION;
}
