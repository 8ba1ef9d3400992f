import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority for a test, by openssl. */
export interface Authority {
  readonly ca: string;
  /** @param names such as `DNS:localhost,IP:127.0.0.1` */
  issue(subject: string, names?: string): KeyPair;
  stop(): void;
}

export function makeAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'authority-'));
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...ec, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=Test CA');
  let serial = 0;
  return {
    ca: readFileSync(join(folder, 'ca.pem'), 'utf8'),
    issue(subject, names) {
      serial += 1;
      openssl('req', ...ec, '-keyout', 'one.key', '-out', 'one.csr', '-subj', subject);
      writeFileSync(join(folder, 'one.ext'), names === undefined ? '' : `subjectAltName=${names}\n`);
      const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', String(serial)];
      openssl(
        'x509',
        '-req',
        '-in',
        'one.csr',
        '-out',
        'one.pem',
        '-days',
        '2',
        ...by,
        '-extfile',
        'one.ext',
      );
      const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
      return { cert: read('one.pem'), key: read('one.key') };
    },
    stop: () => rmSync(folder, { recursive: true, force: true }),
  };
}
