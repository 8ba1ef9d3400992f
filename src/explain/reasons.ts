import type { DoubtReason, Problem } from '../model.ts';

/** What a reason does to the thing that was asked for. */
export type Effect =
  /** It is not there, or no call of it is taken. */
  | 'gone'
  /** Some instances, or some clients, do without it. */
  | 'partly'
  /** Worth knowing; takes nothing away. */
  | 'note';

interface Reason {
  readonly effect: Effect;
  /** What to do about it; undefined where the sentence says so itself, or nothing is to be done. */
  readonly mend?: string;
  /** For the reference page. */
  readonly doc: string;
}

const reason = <const One extends Reason>(one: One): One => one;

/**
 * Every reason for which something registered is not served, or not as registered, once. Codes of problems that
 * other rooms report are the same here, so that `explain`, the admin API and the metrics speak of one thing.
 */
export const reasonTable = {
  // The registry.
  NOT_REGISTERED: reason({
    effect: 'gone',
    mend: 'Register it in Consul with the tag, or wrap it: mcp-consul-router run --name NAME -- COMMAND.',
    doc: 'Consul has no service of this name, and no service has a tool, prompt or resource of it.',
  }),
  NO_SUCH_ITEM: reason({
    effect: 'gone',
    mend: 'Look at what the service has (mcp-consul-router list), or at what its server lists by itself.',
    doc: 'The service is served, and none of its instances lists such an item.',
  }),
  OTHER_DATACENTER: reason({
    effect: 'gone',
    mend: 'Name the datacenter in MCP_ROUTER_DATACENTERS.',
    doc: 'The service is registered in a datacenter that the router does not ask.',
  }),
  NOT_SYNCED: reason({
    effect: 'gone',
    mend: 'Run mcp-consul-router doctor: it tells whether Consul can be reached.',
    doc: 'Consul has not yet answered.',
  }),
  NOT_YET: reason({
    effect: 'gone',
    mend: 'Ask again in a moment.',
    doc: 'It was registered, or learned, a moment ago, and the router has not yet taken it up.',
  }),
  LOOK_UP_FAILED: reason({
    effect: 'note',
    mend: 'Run mcp-consul-router doctor: it tells whether Consul can be reached.',
    doc: 'The router does not know the name, and Consul could not be asked.',
  }),
  TOKEN_SEES_LESS: reason({
    effect: 'note',
    mend: 'Give the router a token with service:read and node:read on everything that it shall serve (deploy/consul/router-policy.hcl).',
    doc: "Consul's ACLs hide something from the router's token, perhaps this.",
  }),
  STALE: reason({
    effect: 'note',
    doc: 'What Consul says is not believed, or it says nothing: the last good state is served.',
  }),
  KIND: reason({ effect: 'gone', doc: 'A sidecar, gateway or other special kind of service.' }),
  NO_TAG: reason({ effect: 'gone', doc: 'The tag is missing.' }),
  NO_PORT: reason({ effect: 'gone', doc: 'Registered without a port that can be called.' }),
  BAD_ADDRESS: reason({
    effect: 'gone',
    doc: 'Registered with an address that is no host name and no IP address.',
  }),
  META_INVALID: reason({ effect: 'note', doc: 'A meta key has a wrong value; the default is used.' }),
  META_UNKNOWN: reason({ effect: 'note', doc: 'A meta key that begins with mcp- is none.' }),
  META_TWICE: reason({ effect: 'note', doc: 'A meta key is given with a dash and with an underscore.' }),
  SETTINGS_DIFFER: reason({ effect: 'note', doc: 'Instances of one service were registered differently.' }),

  KV_INVALID: reason({
    effect: 'note',
    doc: "A key in Consul KV can't be read; what it said before counts.",
  }),
  VERSION_MISSING: reason({ effect: 'note', doc: 'Canary weights name a version that no instance has.' }),
  VERSION_UNNAMED: reason({ effect: 'note', doc: 'Canary weights name no version that is there.' }),

  // Instances.
  CRITICAL: reason({
    effect: 'partly',
    mend: 'Mend what the check tests, or mend the check.',
    doc: 'A check is critical: the instance gets no calls.',
  }),
  MAINTENANCE: reason({
    effect: 'partly',
    mend: 'End it with: consul maint -disable, with -service=ID for a single service.',
    doc: 'The instance, or its node, is in maintenance: running calls finish, no new ones come.',
  }),
  NO_WEIGHT: reason({
    effect: 'partly',
    mend: 'Mend what makes the check warn, or register Weights.Warning above 0.',
    doc: 'A check warns, and the instance was registered with the weight 0 for that.',
  }),
  NOT_ASKED_YET: reason({
    effect: 'partly',
    mend: 'Ask again in a moment.',
    doc: 'The instance was not yet asked what it can do.',
  }),
  PROBE_FAILED: reason({
    effect: 'partly',
    mend: "Mend the server, or the registration's address, port and mcp-path. The router tries again by itself.",
    doc: 'The instance could not be asked what it can do. It gets no calls unless it answered before.',
  }),
  UNREACHABLE: reason({
    effect: 'partly',
    mend: 'Mend the server. The router tries again by itself.',
    doc: 'Consul could not say how the instance is, and it did not answer pings.',
  }),
  ROUTER_SAYS_NO: reason({
    effect: 'partly',
    mend: 'Look at why its calls fail; the router tries it again by itself.',
    doc: 'The router sends it no calls, whatever Consul says.',
  }),
  NOBODY_SERVES: reason({
    effect: 'gone',
    doc: 'No instance may take calls. After MCP_ROUTER_UNHEALTHY_GRACE its tools are not listed any more.',
  }),
  TRANSPORT_FOUND: reason({
    effect: 'note',
    doc: 'Registered for Streamable HTTP, and it speaks the older HTTP+SSE.',
  }),

  // What a server lists.
  INVALID_ITEM: reason({
    effect: 'gone',
    doc: 'Clients would refuse the item, and with it the whole list, so it is left out, or kept from clients of one era.',
  }),
  DUPLICATE_ITEM: reason({
    effect: 'note',
    doc: 'The server lists an item more than once; the first one counts.',
  }),
  LIST_FAILED: reason({
    effect: 'gone',
    doc: 'The server failed to list its prompts, resources or templates; they are not served.',
  }),
  CYCLIC_PAGES: reason({ effect: 'partly', doc: "The server's list leads back to a page that was read." }),
  TOO_MANY_PAGES: reason({
    effect: 'partly',
    doc: "The server's list has too many pages; the rest is not served.",
  }),
  NOT_ADVERTISED: reason({
    effect: 'gone',
    mend: 'Finish the deploy: the service shows what the newest version has once half of the instances have it.',
    doc: 'Only a minority of the instances has the item; what the service shows is one version, whole.',
  }),
  SOME_INSTANCES: reason({
    effect: 'partly',
    mend: 'Finish the deploy: calls go only to instances that have the item exactly as it is listed.',
    doc: 'Instances differ on the item, so that some of them get no calls of it.',
  }),
  ONE_ERA: reason({
    effect: 'partly',
    mend: "Mend the item's definition in the server, so that clients of both eras take it.",
    doc: 'Clients of one era of MCP would refuse the item, and do not see it.',
  }),

  // Names and views.
  TOOLS_DENY: reason({
    effect: 'gone',
    mend: 'Take the glob out of mcp-tools-deny of the registration.',
    doc: 'The registration hides the tool.',
  }),
  TOOLS_ALLOW: reason({
    effect: 'gone',
    mend: 'Add it to mcp-tools-allow of the registration.',
    doc: 'The registration shows only some tools, and not this one.',
  }),
  NAME_CONFLICT: reason({
    effect: 'note',
    doc: 'Two services claim a name; one of them is listed under another.',
  }),
  URI_CONFLICT: reason({
    effect: 'note',
    doc: 'Two services have a URI; one of them is listed under its namespace.',
  }),
  NAME_CHANGED: reason({
    effect: 'note',
    doc: 'The name as the server spells it is too long, or has characters, that many clients do not take.',
  }),
  LATER_PAGE: reason({
    effect: 'note',
    mend: 'Raise MCP_ROUTER_PAGE_SIZE, or let clients use /services/SERVICE/mcp.',
    doc: 'It is not on the first page of the list, and many clients read no further.',
  }),

  // Client sessions.
  SESSION_UNSEALED: reason({
    effect: 'gone',
    mend: 'Give all replicas the same MCP_ROUTER_SECRET, and keep the old key in it when you change it. The client initializes again by itself.',
    doc: 'The session id was not sealed with a key of this router.',
  }),
  SESSION_TOO_OLD: reason({
    effect: 'gone',
    mend: 'The client initializes again by itself; MCP_ROUTER_SESSION_MAX_AGE says how long an id is good.',
    doc: 'The session id is older than MCP_ROUTER_SESSION_MAX_AGE.',
  }),
  SESSION_ENDED: reason({
    effect: 'gone',
    mend: 'The client opens another one.',
    doc: 'The client ended the session.',
  }),
  SESSION_ELSEWHERE: reason({
    effect: 'note',
    doc: 'The session is good, and this process holds nothing of it: another replica does, or it was idle.',
  }),
} as const satisfies Record<string, Reason>;

export type ReasonCode = keyof typeof reasonTable;

/** One reason, about one thing. */
export interface Finding {
  readonly code: ReasonCode | (string & {});
  readonly effect: Effect;
  /** What is so, in the words of the thing that says it where there are any. */
  readonly sentence: string;
  /** What to do about it. */
  readonly mend?: string;
  /** The instance that it is about. */
  readonly instance?: string;
}

/** A reason with its sentence; effect and mend as the table says unless given. */
export function finding(
  code: ReasonCode,
  sentence: string,
  more: Partial<Pick<Finding, 'effect' | 'mend' | 'instance'>> = {},
): Finding {
  const { effect, mend }: Reason = reasonTable[code];
  return { code, effect, sentence, ...(mend !== undefined && { mend }), ...more };
}

/** A problem that another room reported. */
export function findingOf(
  { code, message }: Problem,
  more: Partial<Pick<Finding, 'effect' | 'instance'>> = {},
): Finding {
  const known: Reason | undefined = (reasonTable as Readonly<Record<string, Reason>>)[code];
  const mend = known?.mend;
  return {
    code,
    effect: known?.effect ?? 'note',
    sentence: message,
    ...(mend !== undefined && { mend }),
    ...more,
  };
}

/** Each reason for which Consul is not believed, with what to do. */
export const doubtSentences: Readonly<
  Record<DoubtReason, { readonly sentence: string; readonly mend: string }>
> = {
  'not-synced': {
    sentence: 'Consul has not yet answered',
    mend: 'Run mcp-consul-router doctor.',
  },
  unreachable: {
    sentence: 'Consul does not answer',
    mend: 'Start the agent, or mend CONSUL_HTTP_ADDR.',
  },
  refused: {
    sentence: "Consul refuses the router's token",
    mend: 'Give the router a valid token (CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE).',
  },
  'rate-limited': {
    sentence: 'Consul limits the rate of queries or connections',
    mend: "Raise the agent's http_max_conns_per_client or request limits, or lower MCP_ROUTER_CONSUL_MAX_QUERIES.",
  },
  'server-error': {
    sentence: 'Consul answers with server errors; most often it has no leader',
    mend: 'Look at the Consul servers: consul operator raft list-peers.',
  },
  garbage: {
    sentence: 'what answers in place of Consul is no Consul',
    mend: 'Look at what stands between the router and the agent, and at CONSUL_HTTP_ADDR.',
  },
  'empty-at-start': {
    sentence: 'Consul says that it has nothing, as a server without its state does',
    mend: 'If Consul is new and really empty, register a service; else look at its leader.',
  },
  filtered: {
    sentence: "Consul's ACLs hide from the router what was there before",
    mend: 'Give the router a token with service:read and node:read (deploy/consul/router-policy.hcl).',
  },
  'mass-disappearance': {
    sentence: 'most of what was registered vanished at once',
    mend: 'If it was meant, it counts after MCP_ROUTER_CONSUL_HOLD; else look at what deregistered it.',
  },
};
