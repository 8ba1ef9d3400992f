import type { X509Certificate } from 'node:crypto';
import type { Identity } from '../../model.ts';
import { identityDigest } from './verified-token.ts';

/**
 * The identity in a client certificate that TLS has checked against the authorities that are trusted. A URI among
 * the alternative names (SPIFFE) goes before an e-mail address, a DNS name and the common name; `OU` gives groups.
 * Certificates are renewed, so the digest is over names, not over the certificate.
 */
export function certificateIdentity(certificate: X509Certificate): Identity | undefined {
  const names = alternativeNames(certificate.subjectAltName);
  const subject = distinguishedName(certificate.subject);
  const issuer = certificate.issuer.replaceAll('\n', ', ');
  const name = names.URI?.[0] ?? names.email?.[0] ?? names.DNS?.[0] ?? subject.get('CN')?.[0];
  if (name === undefined) return undefined;
  return {
    subject: name,
    method: 'certificate',
    digest: identityDigest('certificate', issuer, name),
    issuer,
    groups: subject.get('OU') ?? [],
    scopes: [],
    claims: {
      commonName: subject.get('CN')?.[0] ?? '',
      uris: names.URI ?? [],
      emails: names.email ?? [],
      dnsNames: names.DNS ?? [],
      fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
      serialNumber: certificate.serialNumber,
    },
  };
}

/** SHA-256 of the certificate, base64url: what a token that is bound to it names (RFC 8705 section 3.1). */
export function thumbprint(certificate: X509Certificate): string {
  return Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
}

/** `DNS:a, URI:spiffe://b`; Node quotes as JSON what could be mistaken for a second name. */
function alternativeNames(text: string | undefined): Partial<Record<string, string[]>> {
  const names: Partial<Record<string, string[]>> = {};
  for (const [, kind = '', quoted, plain] of (text ?? '').matchAll(
    /(\w+(?: \w+)?):(?:("(?:[^"\\]|\\.)*")|([^,]*))(?:, |$)/g,
  )) {
    const value = quoted === undefined ? plain : (JSON.parse(quoted) as string);
    if (value !== undefined && value !== '') (names[kind] ??= []).push(value);
  }
  return names;
}

/** `CN=a\nOU=b`: one part a line. */
function distinguishedName(text: string): ReadonlyMap<string, string[]> {
  const parts = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at <= 0) continue;
    const name = line.slice(0, at);
    parts.set(name, [...(parts.get(name) ?? []), line.slice(at + 1)]);
  }
  return parts;
}
