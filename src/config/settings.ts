import { z } from 'zod';
import { showStore, storeAddress, type StoreAddress } from './store-address.ts';
import {
  authMethodList,
  baseUrl,
  boolean,
  duration,
  hostPort,
  integer,
  issuerList,
  keyRing,
  list,
  size,
  text,
} from './values.ts';

/**
 * Every setting there is, once: its name in a file, flag, variable, default, and sentence. `--help`,
 * `config schema`, the reference page and the resolver all read this table.
 */
export interface Setting<Schema extends z.ZodType = z.ZodType> {
  readonly schema: Schema;
  /** Environment variable. */
  readonly env: string;
  /** Command-line flag without the dashes; none where a secret would show in the process list. */
  readonly flag?: string;
  /** As a user would write it; undefined = not set. */
  readonly default?: string;
  readonly doc: string;
  /** Shown as `***` by `config`, logs and the admin API; a wrong value isn't shown either. */
  readonly secret?: true;
  /** What of a secret may be shown instead of `***`. */
  shown?(value: unknown): string;
  /** May change while running (SIGHUP, Consul KV); others need a restart. */
  readonly live?: true;
  readonly group: 'consul' | 'listen' | 'access' | 'catalog' | 'calls' | 'limits' | 'operation';
}

/** Keeps the exact type: whether there is a default decides whether the value can be undefined. */
const setting = <const One extends Setting>(value: One): One => value;

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

export const settings = {
  // Consul: names and meanings as in Consul's own tools (api package, config of the CLI).
  consulAddr: setting({
    group: 'consul',
    schema: list(),
    env: 'CONSUL_HTTP_ADDR',
    flag: 'consul-addr',
    default: '127.0.0.1:8500',
    doc: 'Consul agents, tried in turn: host:port, http(s)://… or unix://…, separated by commas.',
  }),
  consulToken: setting({
    group: 'consul',
    schema: text(),
    env: 'CONSUL_HTTP_TOKEN',
    secret: true,
    doc: 'ACL token for Consul.',
  }),
  consulTokenFile: setting({
    group: 'consul',
    schema: text(),
    env: 'CONSUL_HTTP_TOKEN_FILE',
    flag: 'consul-token-file',
    doc: 'File with the ACL token; read again when Consul answers 403.',
  }),
  consulAuth: setting({
    group: 'consul',
    schema: text(),
    env: 'CONSUL_HTTP_AUTH',
    secret: true,
    doc: 'HTTP basic authentication for Consul, as user:password.',
  }),
  consulSsl: setting({
    group: 'consul',
    schema: boolean(),
    env: 'CONSUL_HTTP_SSL',
    flag: 'consul-ssl',
    default: 'false',
    doc: 'Speak https to addresses that name no scheme.',
  }),
  consulSslVerify: setting({
    group: 'consul',
    schema: boolean(),
    env: 'CONSUL_HTTP_SSL_VERIFY',
    flag: 'consul-ssl-verify',
    default: 'true',
    doc: "Check Consul's certificate.",
  }),
  consulCaCert: setting({
    group: 'consul',
    schema: text(),
    env: 'CONSUL_CACERT',
    flag: 'consul-ca-cert',
    doc: 'File with the certificate authority of Consul.',
  }),
  consulCaPath: setting({
    group: 'consul',
    schema: text(),
    env: 'CONSUL_CAPATH',
    flag: 'consul-ca-path',
    doc: 'Folder of certificate authorities of Consul.',
  }),
  consulClientCert: setting({
    group: 'consul',
    schema: text(),
    env: 'CONSUL_CLIENT_CERT',
    flag: 'consul-client-cert',
    doc: 'File with the client certificate for Consul.',
  }),
  consulClientKey: setting({
    group: 'consul',
    schema: text(),
    env: 'CONSUL_CLIENT_KEY',
    flag: 'consul-client-key',
    doc: 'File with the key of the client certificate for Consul.',
  }),
  consulTlsServerName: setting({
    group: 'consul',
    schema: text(),
    env: 'CONSUL_TLS_SERVER_NAME',
    flag: 'consul-tls-server-name',
    doc: "Name to check Consul's certificate against.",
  }),
  consulNamespace: setting({
    group: 'consul',
    schema: text(),
    env: 'CONSUL_NAMESPACE',
    flag: 'consul-namespace',
    doc: 'Namespace (Consul Enterprise).',
  }),
  consulPartition: setting({
    group: 'consul',
    schema: text(),
    env: 'CONSUL_PARTITION',
    flag: 'consul-partition',
    doc: 'Admin partition (Consul Enterprise).',
  }),
  datacenters: setting({
    group: 'consul',
    schema: list(),
    env: 'MCP_ROUTER_DATACENTERS',
    flag: 'datacenters',
    default: '',
    doc: "Datacenters in failover order; empty: the agent's own.",
  }),
  node: setting({
    group: 'consul',
    schema: text(),
    env: 'MCP_ROUTER_NODE',
    flag: 'node',
    doc: "Consul node that the router is on; instances on it are preferred (not by `weighted` and `rendezvous`). Default: the agent's; `none`: no preference.",
  }),
  tag: setting({
    group: 'consul',
    schema: text(),
    env: 'MCP_ROUTER_TAG',
    flag: 'tag',
    default: 'mcp',
    doc: 'Services with this tag are served. Case counts.',
  }),
  consulWait: setting({
    group: 'consul',
    schema: duration(second, 10 * minute),
    env: 'MCP_ROUTER_CONSUL_WAIT',
    flag: 'consul-wait',
    default: '1m',
    doc: 'How long one blocking query may wait for a change.',
  }),
  consulMaxQueries: setting({
    group: 'consul',
    schema: integer(8, 100_000),
    env: 'MCP_ROUTER_CONSUL_MAX_QUERIES',
    flag: 'consul-max-queries',
    default: '128',
    doc: "Most blocking queries at one agent; beyond, one wake-up query serves all (Consul's limit is 200 connections per client address).",
  }),

  consulHold: setting({
    group: 'consul',
    schema: duration(0, 24 * hour),
    env: 'MCP_ROUTER_CONSUL_HOLD',
    flag: 'consul-hold',
    default: '5m',
    doc: 'How long what vanished suspiciously (Consul lost its state, the token sees less) is kept while it answers.',
  }),

  listen: setting({
    group: 'listen',
    schema: hostPort(),
    env: 'MCP_ROUTER_LISTEN',
    flag: 'listen',
    default: '127.0.0.1:8080',
    doc: 'Data plane. Outside loopback needs authentication, or MCP_ROUTER_AUTH=none.',
  }),
  adminListen: setting({
    group: 'listen',
    schema: hostPort(),
    env: 'MCP_ROUTER_ADMIN_LISTEN',
    flag: 'admin-listen',
    default: '127.0.0.1:8081',
    doc: 'Admin plane: health, metrics, API. A token is required outside loopback.',
  }),
  adminToken: setting({
    group: 'listen',
    schema: text(),
    env: 'MCP_ROUTER_ADMIN_TOKEN',
    secret: true,
    doc: 'Bearer token of the admin plane (health checks stay open).',
  }),
  allowedHosts: setting({
    group: 'listen',
    schema: list(),
    env: 'MCP_ROUTER_ALLOWED_HOSTS',
    flag: 'allowed-hosts',
    default: '',
    doc: 'Further Host names to answer to. On loopback only localhost is answered (DNS rebinding).',
  }),
  allowedOrigins: setting({
    group: 'listen',
    schema: list(),
    env: 'MCP_ROUTER_ALLOWED_ORIGINS',
    flag: 'allowed-origins',
    default: '',
    doc: 'Browser origins that may call, such as https://app.example.com; `*` for all. Localhost always may on loopback.',
  }),

  auth: setting({
    group: 'access',
    schema: authMethodList(),
    env: 'MCP_ROUTER_AUTH',
    flag: 'auth',
    doc: 'How callers prove who they are: `token` (OAuth), `key` (API keys), `certificate` (TLS). `none` lets in callers without proof, alone or beside others. Default: what issuers and keys are set for; without any, `none` on loopback.',
  }),
  publicUrl: setting({
    group: 'access',
    schema: baseUrl(),
    env: 'MCP_ROUTER_PUBLIC_URL',
    flag: 'public-url',
    doc: 'How clients reach the data plane, such as https://mcp.example.com: the audience of tokens is this and the path of the endpoint. Default: the listen address.',
  }),
  issuers: setting({
    group: 'access',
    schema: issuerList(),
    env: 'MCP_ROUTER_ISSUERS',
    flag: 'issuers',
    default: '',
    doc: 'Authorization servers whose tokens are taken: URLs as in `iss`; in a file also objects with issuer, jwksUri, audiences, groupsClaim, introspection.',
  }),
  audiences: setting({
    group: 'access',
    schema: list(),
    env: 'MCP_ROUTER_AUDIENCES',
    flag: 'audiences',
    default: '',
    doc: 'Further audiences that tokens may have, for authorization servers without resource indicators.',
  }),
  requiredScopes: setting({
    group: 'access',
    schema: list(),
    env: 'MCP_ROUTER_REQUIRED_SCOPES',
    flag: 'required-scopes',
    default: '',
    doc: 'Scopes that every token needs; rules can ask for more.',
  }),
  groupsClaim: setting({
    group: 'access',
    schema: text(),
    env: 'MCP_ROUTER_GROUPS_CLAIM',
    flag: 'groups-claim',
    default: 'groups',
    doc: 'Claim with the groups of a caller; dots lead inwards: realm_access.roles.',
  }),
  clockSkew: setting({
    group: 'access',
    schema: duration(0, 5 * minute),
    env: 'MCP_ROUTER_CLOCK_SKEW',
    flag: 'clock-skew',
    default: '30s',
    doc: 'How far the clocks of authorization servers may be off.',
  }),
  introspectionClientId: setting({
    group: 'access',
    schema: text(),
    env: 'MCP_ROUTER_INTROSPECTION_CLIENT_ID',
    flag: 'introspection-client-id',
    doc: 'The router as a client of the issuers, to ask about tokens that are no JWT (RFC 7662).',
  }),
  introspectionClientSecret: setting({
    group: 'access',
    schema: text(),
    env: 'MCP_ROUTER_INTROSPECTION_CLIENT_SECRET',
    secret: true,
    doc: 'Secret of that client.',
  }),
  introspectionClientSecretFile: setting({
    group: 'access',
    schema: text(),
    env: 'MCP_ROUTER_INTROSPECTION_CLIENT_SECRET_FILE',
    flag: 'introspection-client-secret-file',
    doc: 'File with that secret; read for each question.',
  }),
  keysFile: setting({
    group: 'access',
    schema: text(),
    env: 'MCP_ROUTER_KEYS_FILE',
    flag: 'keys-file',
    doc: 'File with hashes of API keys (`keys new` makes one), read again when it changes. Without, `mcp-router/keys` in Consul KV.',
  }),
  policyFile: setting({
    group: 'access',
    schema: text(),
    env: 'MCP_ROUTER_POLICY_FILE',
    flag: 'policy-file',
    doc: 'File with the rules (`policy check` reads it), read again when it changes. Without, `mcp-router/policy` in Consul KV.',
  }),
  policyRequired: setting({
    group: 'access',
    schema: boolean(),
    env: 'MCP_ROUTER_POLICY_REQUIRED',
    flag: 'policy-required',
    default: 'false',
    doc: 'Allow nothing before rules were read. Without, no rules means that all callers may do all.',
  }),

  names: setting({
    group: 'catalog',
    schema: z.enum(['portable', 'dotted']),
    env: 'MCP_ROUTER_NAMES',
    flag: 'names',
    default: 'portable',
    doc: '`portable` lists github__search_code, `dotted` lists github.search_code; both are accepted on call.',
  }),
  pageSize: setting({
    group: 'catalog',
    schema: integer(1, 100_000),
    env: 'MCP_ROUTER_PAGE_SIZE',
    flag: 'page-size',
    default: '10000',
    doc: 'Most entries in one page of a list. Many clients read only the first page.',
  }),
  debounce: setting({
    group: 'catalog',
    schema: duration(0, 10 * second),
    env: 'MCP_ROUTER_DEBOUNCE',
    flag: 'debounce',
    default: '100ms',
    doc: 'How long changes are gathered before the table is built; a critical check does not wait.',
  }),
  probeTimeout: setting({
    group: 'catalog',
    schema: duration(100, 10 * minute),
    env: 'MCP_ROUTER_PROBE_TIMEOUT',
    flag: 'probe-timeout',
    default: '10s',
    doc: 'Longest silence of an instance while it is asked what it can do.',
  }),
  probeConcurrency: setting({
    group: 'catalog',
    schema: integer(1, 1000),
    env: 'MCP_ROUTER_PROBE_CONCURRENCY',
    flag: 'probe-concurrency',
    default: '16',
    doc: 'Instances asked at the same time.',
  }),
  probeRefresh: setting({
    group: 'catalog',
    schema: duration(second, 24 * hour),
    env: 'MCP_ROUTER_PROBE_REFRESH',
    flag: 'probe-refresh',
    default: '5m',
    doc: 'An instance that cannot announce changes is asked again this often.',
  }),

  unhealthyGrace: setting({
    group: 'catalog',
    schema: duration(0, 24 * hour),
    env: 'MCP_ROUTER_UNHEALTHY_GRACE',
    flag: 'unhealthy-grace',
    default: '30s',
    doc: 'How long the tools of a service without a healthy instance stay listed.',
  }),

  connectTimeout: setting({
    group: 'calls',
    schema: duration(10, minute),
    env: 'MCP_ROUTER_CONNECT_TIMEOUT',
    flag: 'connect-timeout',
    default: '2s',
    doc: 'Longest wait for a TCP or TLS connection to an instance.',
  }),
  firstByteTimeout: setting({
    group: 'calls',
    schema: duration(0, hour),
    env: 'MCP_ROUTER_FIRST_BYTE_TIMEOUT',
    flag: 'first-byte-timeout',
    default: '0',
    doc: "Longest wait for the first byte of an instance's answer, after which a call that may be repeated is tried elsewhere. Servers that answer in JSON send it when they are done. 0: only `mcp-timeout-ms` counts.",
  }),
  callTimeout: setting({
    group: 'calls',
    schema: duration(0, 24 * hour),
    env: 'MCP_ROUTER_CALL_TIMEOUT',
    flag: 'call-timeout',
    default: '1h',
    doc: 'Longest time of a call with all its attempts, however much progress it reports. 0: no limit.',
  }),
  retryBudget: setting({
    group: 'calls',
    schema: integer(0, 100),
    env: 'MCP_ROUTER_RETRY_BUDGET',
    flag: 'retry-budget',
    default: '20',
    doc: 'How many requests of 100 to a service may be sent twice, beside a small reserve; only such that do no harm twice. 0: none.',
  }),
  hedgeAfter: setting({
    group: 'calls',
    schema: duration(0, hour),
    env: 'MCP_ROUTER_HEDGE_AFTER',
    flag: 'hedge-after',
    default: '0',
    doc: 'A call that only reads, at a stateless service, is also sent to a second instance when the first has been silent for this long; the first answer counts. Within the retry budget. 0: never.',
  }),
  queueSize: setting({
    group: 'calls',
    schema: integer(0, 100_000),
    env: 'MCP_ROUTER_QUEUE_SIZE',
    flag: 'queue-size',
    default: '100',
    doc: 'Calls that may wait for one service whose instances have all that `mcp-max-concurrency` allows; more are refused at once.',
  }),
  queueTimeout: setting({
    group: 'calls',
    schema: duration(0, hour),
    env: 'MCP_ROUTER_QUEUE_TIMEOUT',
    flag: 'queue-timeout',
    default: '5s',
    doc: 'Longest wait there.',
  }),
  keepAlive: setting({
    group: 'calls',
    schema: duration(100, hour),
    env: 'MCP_ROUTER_KEEP_ALIVE',
    flag: 'keep-alive',
    default: '15s',
    doc: 'An event stream that is silent for this long gets a comment, so that nobody on the way closes it.',
  }),
  slowStart: setting({
    group: 'calls',
    schema: duration(0, hour),
    env: 'MCP_ROUTER_SLOW_START',
    flag: 'slow-start',
    default: '30s',
    doc: 'How long an instance that is new, or back, gets less than its share: from a tenth of its weight on, in a line. 0: not at all.',
  }),
  ejectAfter: setting({
    group: 'calls',
    schema: integer(0, 1000),
    env: 'MCP_ROUTER_EJECT_AFTER',
    flag: 'eject-after',
    default: '3',
    doc: 'An instance gets no calls after this many failures in a row (refused, reset, no MCP, timed out, failed lists), whatever Consul says; at most half of a service. 0: never.',
  }),
  ejectTime: setting({
    group: 'calls',
    schema: duration(100, hour),
    env: 'MCP_ROUTER_EJECT_TIME',
    flag: 'eject-time',
    default: '10s',
    doc: 'How long the first time; the nth time in short order n times as long. A check that turns to passing, or a probe that succeeds, ends it at once.',
  }),
  ejectMaxTime: setting({
    group: 'calls',
    schema: duration(100, 24 * hour),
    env: 'MCP_ROUTER_EJECT_MAX_TIME',
    flag: 'eject-max-time',
    default: '5m',
    doc: 'Longest time that an instance gets no calls because of its failures.',
  }),
  sessionIdle: setting({
    group: 'calls',
    schema: duration(second, 7 * 24 * hour),
    env: 'MCP_ROUTER_SESSION_IDLE',
    flag: 'session-idle',
    default: '1h',
    doc: 'A client session without any traffic is closed after this.',
  }),
  sessionMaxAge: setting({
    group: 'calls',
    schema: duration(minute, 365 * 24 * hour),
    env: 'MCP_ROUTER_SESSION_MAX_AGE',
    flag: 'session-max-age',
    default: '168h',
    doc: 'A client session id is refused after this and the client initializes again.',
  }),

  maxBody: setting({
    group: 'limits',
    schema: size(1024, 1024 ** 3),
    env: 'MCP_ROUTER_MAX_BODY',
    flag: 'max-body',
    default: '4M',
    doc: 'Largest request body.',
  }),
  maxListBytes: setting({
    group: 'limits',
    schema: size(1024, 1024 ** 3),
    env: 'MCP_ROUTER_MAX_LIST_BYTES',
    flag: 'max-list-bytes',
    default: '16M',
    doc: 'Largest set of definitions taken from one instance.',
  }),
  maxSessions: setting({
    group: 'limits',
    schema: integer(1, 10_000_000),
    env: 'MCP_ROUTER_MAX_SESSIONS',
    flag: 'max-sessions',
    default: '100000',
    doc: 'Client sessions held at one time; the longest idle one makes room.',
  }),

  secret: setting({
    group: 'operation',
    schema: keyRing(),
    env: 'MCP_ROUTER_SECRET',
    secret: true,
    doc: 'Key ring that seals session ids: 32-byte keys in base64, separated by commas; the first seals, all open. Replicas are given the same one.',
  }),
  secretFile: setting({
    group: 'operation',
    schema: text(),
    env: 'MCP_ROUTER_SECRET_FILE',
    flag: 'secret-file',
    doc: 'File with the key ring.',
  }),
  store: setting({
    group: 'operation',
    schema: storeAddress(),
    env: 'MCP_ROUTER_STORE',
    default: 'memory',
    secret: true,
    shown: (value) => showStore(value as StoreAddress),
    doc: 'What replicas share: `memory` (nothing), or a Valkey or Redis (6.2 or newer) as redis://user:password@host:6379/0, rediss://… or unix:///path?db=0. While it is lost the router works on alone.',
  }),
  token: setting({
    group: 'operation',
    schema: text(),
    env: 'MCP_ROUTER_TOKEN',
    secret: true,
    doc: 'Bearer token that `connect` sends to its server.',
  }),
  tokenFile: setting({
    group: 'operation',
    schema: text(),
    env: 'MCP_ROUTER_TOKEN_FILE',
    flag: 'token-file',
    doc: 'File with the bearer token of `connect`; read again when the server answers 401.',
  }),
  stateDir: setting({
    group: 'operation',
    schema: text(),
    env: 'MCP_ROUTER_STATE_DIR',
    flag: 'state-dir',
    doc: "Folder for the key ring and the last good catalog; default: the user's state folder.",
  }),
  logLevel: setting({
    group: 'operation',
    schema: z.enum(['error', 'warn', 'info', 'debug']),
    env: 'MCP_ROUTER_LOG_LEVEL',
    flag: 'log-level',
    default: 'info',
    live: true,
    doc: 'Least severity that is logged.',
  }),
  logFormat: setting({
    group: 'operation',
    schema: z.enum(['json', 'pretty']),
    env: 'MCP_ROUTER_LOG_FORMAT',
    flag: 'log-format',
    doc: 'Default: pretty on a terminal, else json. Logs go to stderr.',
  }),
  register: setting({
    group: 'operation',
    schema: boolean(),
    env: 'MCP_ROUTER_REGISTER',
    flag: 'register',
    default: 'true',
    doc: 'Register the router itself in Consul as mcp-router; --no-register turns it off.',
  }),
  drainTimeout: setting({
    group: 'operation',
    schema: duration(0, hour),
    env: 'MCP_ROUTER_DRAIN_TIMEOUT',
    flag: 'drain-timeout',
    default: '30s',
    doc: 'How long running calls may take to finish on shutdown or when an instance is drained.',
  }),
} as const;

export type SettingName = keyof typeof settings;

/** The effective settings: one frozen value, read by everybody, written by nobody. */
export type Settings = {
  readonly [Name in SettingName]: (typeof settings)[Name] extends { default: string }
    ? z.output<(typeof settings)[Name]['schema']>
    : z.output<(typeof settings)[Name]['schema']> | undefined;
};
