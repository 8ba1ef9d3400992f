import { parseAddress, type ConsulAddress } from './consul-address.ts';
import { readTls, TokenSource, type TlsOptions } from './consul-files.ts';
import { ConsulLine } from './consul-line.ts';
import { openPackage, type OpenPackage } from './consul-package.ts';

/** How to reach Consul; names and meanings as in Consul's own tools (api package of the Go client). */
export interface ConsulOptions extends TlsOptions {
  /** Tried in turn; the one that works is kept. */
  readonly addresses: readonly string[];
  readonly token?: string;
  /** Goes before `token`, and may be replaced while the router runs. */
  readonly tokenFile?: string;
  /** `user:password` */
  readonly auth?: string;
  /** Speak https to addresses that name no scheme. */
  readonly ssl: boolean;
  readonly namespace?: string;
  readonly partition?: string;
}

/** Sockets of the lines for ordinary calls. */
const CONTROL_SOCKETS = 8;

/**
 * Consul over the `consul` package's calls. Adds what they lack: the variables of Consul's tools, several
 * addresses, gzip, namespaces, headers and status of the answer, and an end for every call.
 */
export class ConsulClient {
  readonly #options: ConsulOptions;
  readonly #addresses: readonly ConsulAddress[];
  readonly #token: TokenSource;
  readonly #tls: Readonly<Record<string, unknown>>;
  #current = 0;

  /** @throws where an address is none, or a file can't be read. */
  constructor(options: ConsulOptions) {
    this.#options = options;
    this.#addresses = options.addresses.map((address) => parseAddress(address, options.ssl));
    this.#token = new TokenSource(options.token, options.tokenFile);
    this.#tls = this.#addresses.some((address) => address.secure) ? readTls(options) : {};
  }

  /** The address in use, for people. */
  get address(): string {
    return this.addressNow().text;
  }

  /** For one blocking query: a socket of its own, so that queries never queue behind each other. */
  query(): ConsulLine {
    return new ConsulLine(this, 1);
  }

  /** For calls that are answered at once; their connections stay open. */
  control(): ConsulLine {
    return new ConsulLine(this, CONTROL_SOCKETS);
  }

  /** @internal */
  open(address: ConsulAddress, sockets: number): OpenPackage {
    const { auth, namespace, partition } = this.#options;
    return openPackage({ address, sockets, tls: this.#tls, auth, namespace, partition });
  }

  /** @internal */
  token(): string | undefined {
    return this.#token.now();
  }

  /** @internal */
  addressNow(): ConsulAddress {
    const address = this.#addresses[this.#current];
    if (!address) throw new RangeError('no Consul address');
    return address;
  }

  /** @internal An address that is of no use gives way to the next; many that say so at once move it one step. */
  addressFailed(address: ConsulAddress): void {
    if (this.addressNow() === address) this.#current = (this.#current + 1) % this.#addresses.length;
  }
}
