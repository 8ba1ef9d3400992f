import type { EventEmitter } from 'node:events';
import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import Consul from 'consul';
import type { ConsulAddress } from './consul-address.ts';
import { guarded, type Transport } from './transport-guard.ts';

/** What the `consul` package inherits from papi, its HTTP layer, and does not show in its types. */
export interface Papi {
  _put(options: Record<string, unknown>): Promise<unknown>;
  _get(options: Record<string, unknown>): Promise<unknown>;
  _ext(stage: 'onCreate' | 'onRequest', extension: Extension): void;
}

interface PapiRequest {
  readonly opts: { query: Record<string, unknown>; buffer?: boolean };
  /** From stage `onRequest` on. */
  readonly req?: { headers: Record<string, unknown> };
  transport?: Transport;
}
type Extension = (request: PapiRequest, next: () => void) => void;

/** One call of the package, given its options. */
export type ConsulCall = (consul: Consul, options: CallOptions) => Promise<unknown>;

/** Options of the package's calls that it knows, and some that it passes on though its types lack them. */
export interface CallOptions {
  readonly dc?: string;
  readonly index?: string;
  readonly wait?: string;
  readonly token?: string;
  readonly timeout: number;
  readonly ctx: EventEmitter;
}

export interface PackageOptions {
  readonly address: ConsulAddress;
  /** Connections at a time; they are kept open. */
  readonly sockets: number;
  readonly tls: Readonly<Record<string, unknown>>;
  /** `user:password` */
  readonly auth: string | undefined;
  readonly namespace: string | undefined;
  readonly partition: string | undefined;
}

/** The package's client with sockets of its own. */
export interface OpenPackage {
  readonly consul: Consul;
  readonly agent: HttpAgent;
}

export function openPackage(options: PackageOptions): OpenPackage {
  const { address, auth } = options;
  const agentOptions: AgentOptions = { keepAlive: true, maxSockets: options.sockets };
  const agent = address.secure
    ? new HttpsAgent({ ...agentOptions, ...options.tls })
    : new HttpAgent(agentOptions);
  const credentials = auth === undefined ? '' : `${auth.split(':').map(encodeURIComponent).join(':')}@`;
  const consul = new Consul({
    // The package passes these on to papi; its types name only a few.
    ...({
      baseUrl: address.baseUrl.replace('://', `://${credentials}`),
      socketPath: address.socketPath,
    } as object),
    agent,
  });
  extend(consul as unknown as Papi, options);
  return { consul, agent };
}

/** Adds what the package lacks: namespace, partition, gzip, the body as bytes, and an end for every request. */
function extend(papi: Papi, { namespace, partition }: PackageOptions): void {
  papi._ext('onCreate', (request, next) => {
    // Bytes: what is no JSON shall be judged here, not end in a parser's error.
    request.opts.buffer = true;
    if (namespace !== undefined) request.opts.query['ns'] = namespace;
    if (partition !== undefined) request.opts.query['partition'] = partition;
    next();
  });
  papi._ext('onRequest', (request, next) => {
    if (request.req) request.req.headers['accept-encoding'] = 'gzip';
    if (request.transport) request.transport = guarded(request.transport);
    next();
  });
}
