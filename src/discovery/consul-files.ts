import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface TlsOptions {
  /** Check the agent's certificate. */
  readonly sslVerify: boolean;
  readonly caCert?: string;
  /** A folder; read with the folders in it, as Consul's tools do. */
  readonly caPath?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  readonly tlsServerName?: string;
}

/**
 * TLS options of a Node agent from files.
 * @throws where one can't be read.
 */
export function readTls(options: TlsOptions): Readonly<Record<string, unknown>> {
  const { caCert, caPath, clientCert, clientKey, tlsServerName, sslVerify } = options;
  const authorities = [
    ...(caCert === undefined ? [] : [readFileSync(caCert)]),
    ...(caPath === undefined ? [] : filesUnder(caPath).map((path) => readFileSync(path))),
  ];
  return {
    ...(authorities.length > 0 && { ca: authorities }),
    ...(clientCert !== undefined && { cert: readFileSync(clientCert) }),
    ...(clientKey !== undefined && { key: readFileSync(clientKey) }),
    ...(tlsServerName !== undefined && { servername: tlsServerName }),
    rejectUnauthorized: sslVerify,
  };
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

/** The ACL token: of a file that may be replaced at any time, else a fixed one. */
export class TokenSource {
  readonly #file: string | undefined;
  #last: string | undefined;

  /** @throws where there is a file and it can't be read: without a token, Consul looks empty and not closed. */
  constructor(token: string | undefined, file: string | undefined) {
    this.#file = file;
    this.#last = token;
    if (file !== undefined) this.#read(file);
  }

  /** Read for every call: a file of some bytes, a few times a second at most. */
  now(): string | undefined {
    try {
      if (this.#file !== undefined) this.#read(this.#file);
    } catch {
      // It is being replaced; the last one may still be good.
    }
    return this.#last;
  }

  #read(file: string): void {
    const text = readFileSync(file, 'utf8').trim();
    if (text !== '') this.#last = text;
  }
}
