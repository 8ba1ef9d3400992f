import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createAccess } from './access.ts';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { createAdminPlane } from './admin-plane.ts';
import { allProblems, countStates, type Moment } from './admin/views.ts';
import { isLoopback, type HostPort } from './config/values.ts';
import type { Settings } from './config/settings.ts';
import { ConsulClient } from './discovery/consul-client.ts';
import { KvWatch } from './discovery/kv-watch.ts';
import { lookUp } from './discovery/look-up.ts';
import { ownNode } from './discovery/own-node.ts';
import { Registry, type RegistryStatus } from './discovery/registry.ts';
import { parseRollout, rolloutKey, ROLLOUTS_PATH } from './discovery/rollouts.ts';
import { describeError, RouterError } from './errors.ts';
import { chancesOf } from './explain/chances.ts';
import { explain } from './explain/explain.ts';
import { explainSession } from './explain/session.ts';
import type { LookUp, Outlook } from './explain/outlook.ts';
import { ClientSessions } from './gateway/client-sessions.ts';
import { Deadlines } from './gateway/deadlines.ts';
import { Drains } from './gateway/drains.ts';
import { Edge, type EdgeOptions } from './gateway/edge.ts';
import { EventLogs } from './gateway/event-logs.ts';
import { HeldCalls } from './gateway/held-calls.ts';
import { HeldElsewhere } from './gateway/held-elsewhere.ts';
import { KeyRing } from './gateway/key-ring.ts';
import { ListBytes } from './gateway/list-bytes.ts';
import { Notices } from './gateway/notices.ts';
import { OwnTools } from './gateway/own-tools.ts';
import { answerMetadata } from './gateway/protected-resource.ts';
import { makeOwnCall } from './gateway/own-call.ts';
import { notFound } from './gateway/scope.ts';
import type { Place } from './gateway/resource-watches.ts';
import { RetryBudget } from './gateway/retry-budget.ts';
import { Sealer } from './gateway/sealed-id.ts';
import { SharedStreams } from './gateway/shared-streams.ts';
import { Sights, type Refusal, type World } from './gateway/sight.ts';
import { SseClients } from './gateway/sse-clients.ts';
import { Subscriptions } from './gateway/subscriptions.ts';
import { ToolSearch } from './gateway/tool-search.ts';
import { ToolViews } from './gateway/tool-views.ts';
import { WaitingRoom } from './gateway/waiting-room.ts';
import type {
  DoubtReason,
  Identity,
  Layout,
  Log,
  LogFields,
  RawJson,
  RegistrySnapshot,
  VersionWeights,
} from './model.ts';
import { KvDocuments, textWatch, type OpenKv } from './kv-documents.ts';
import { Metrics } from './observability/metrics.ts';
import { Reconciler } from './reconciler.ts';
import { errorResponse } from './relay/envelope.ts';
import { HealthBook, type HealthRules } from './routing/health-book.ts';
import { placeByKey } from './routing/pick.ts';
import { standings } from './routing/standing.ts';
import { versionProblems } from './routing/version-problems.ts';
import { openStore } from './store/open-store.ts';
import { toolRules } from './tool-rules.ts';
import { tableDifference } from './table-difference.ts';
import { Connections } from './upstream/connections.ts';
import { Prober } from './upstream/prober.ts';
import { SessionPool } from './upstream/session-pool.ts';
import { name, version } from './version.ts';

/** Where snapshots of the registry come from: {@link Registry}, or a test's own hand. */
export type RegistryPort = Pick<Registry, 'start' | 'stop' | 'status'>;

/** Where canary weights come from, by key: {@link KvWatch}, or a test's own hand. */
export type RolloutsPort = Pick<KvWatch<VersionWeights>, 'start' | 'stop' | 'values' | 'problems'>;

export interface RouterParts {
  readonly log: Log;
  readonly keyRing: readonly Uint8Array[];
  readonly registry: (
    onSnapshot: (snapshot: RegistrySnapshot) => void,
    onError: (reason: DoubtReason) => void,
  ) => RegistryPort;
  /** Without it versions have no weights of their own. */
  readonly rollouts?: (onChange: () => void, onError: (reason: DoubtReason) => void) => RolloutsPort;
  /** Where rules, keys and workspaces are that stand in no file. */
  readonly kv?: OpenKv;
  /** Asks Consul for what the router does not know; without it, explanations end there. */
  readonly lookUp?: LookUp;
  /** Where the router is; without it, or where it gives undefined, no instance is nearer than another. */
  readonly home?: (signal: AbortSignal) => Promise<Layout['home'] | undefined>;
}

/** The registry that Consul keeps. */
export function consulRegistry(settings: Settings, client: ConsulClient, log: Log): RouterParts['registry'] {
  return (onSnapshot, onError) =>
    new Registry({
      client,
      datacenters: settings.datacenters,
      tag: settings.tag,
      waitMs: settings.consulWait,
      // Some are for keys of KV: rollouts, rules, API keys, workspaces.
      maxQueries: settings.consulMaxQueries - 4,
      holdMs: settings.consulHold,
      onSnapshot,
      onError,
      log,
      now: () => performance.now(),
      random: Math.random,
    });
}

/** Canary weights from Consul KV, below {@link ROLLOUTS_PATH}. */
export function consulRollouts(
  settings: Settings,
  client: ConsulClient,
  log: Log,
): NonNullable<RouterParts['rollouts']> {
  return (onChange, onError) =>
    new KvWatch({
      client,
      path: ROLLOUTS_PATH,
      parse: parseRollout,
      waitMs: settings.consulWait,
      holdMs: settings.consulHold,
      onChange,
      onError,
      log,
      now: () => performance.now(),
      random: Math.random,
    });
}

/** Documents from Consul KV. */
export function consulKv(settings: Settings, client: ConsulClient, log: Log): NonNullable<RouterParts['kv']> {
  return (path, onChange, onError) =>
    textWatch({
      client,
      path,
      waitMs: settings.consulWait,
      holdMs: settings.consulHold,
      onChange,
      onError,
      log,
      now: () => performance.now(),
      random: Math.random,
    });
}

/** What Consul itself says of a service that the router does not serve. */
export function consulLookUp(settings: Settings, client: ConsulClient): LookUp {
  return (service) => lookUp(client, settings.datacenters, service);
}

const noConsul: LookUp = () => Promise.resolve({ kind: 'failed', reason: 'this router has none' });

/** The Consul node that the router is on: as the settings say, else as the agent does. */
export function homeNode(
  settings: Settings,
  client: ConsulClient,
  log: Log,
): NonNullable<RouterParts['home']> {
  const { node, datacenters } = settings;
  if (node === 'none') return () => Promise.resolve(undefined);
  if (node === undefined) return (signal) => ownNode(client, log, signal);
  const [datacenter] = datacenters;
  return () => Promise.resolve({ node, ...(datacenter !== undefined && { datacenter }) });
}

/** @throws {RouterError} WRONG_SETTINGS where an address is none or a TLS file can't be read. */
export function consulClient(settings: Settings): ConsulClient {
  const given = {
    token: settings.consulToken,
    tokenFile: settings.consulTokenFile,
    auth: settings.consulAuth,
    caCert: settings.consulCaCert,
    caPath: settings.consulCaPath,
    clientCert: settings.consulClientCert,
    clientKey: settings.consulClientKey,
    tlsServerName: settings.consulTlsServerName,
    namespace: settings.consulNamespace,
    partition: settings.consulPartition,
  };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  try {
    return new ConsulClient({
      addresses: settings.consulAddr,
      ssl: settings.consulSsl,
      sslVerify: settings.consulSslVerify,
      ...known,
    });
  } catch (error) {
    throw new RouterError(
      'WRONG_SETTINGS',
      `Consul cannot be reached with these settings: ${describeError(error)}`,
      {},
      error,
    );
  }
}

export interface Router {
  readonly data: HostPort;
  readonly admin: HostPort;
  /**
   * Readiness off, running calls finish within the drain time, then everything closes. `farewell` is done once
   * readiness is off: taking the router out of Consul, so that nobody new comes.
   */
  stop(farewell?: () => Promise<void> | undefined): Promise<void>;
}

const SWEEP_MS = 10_000;
const HEADERS_TIMEOUT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 60_000;

/** Who tries a tool out on the admin plane. */
const operator = {
  identity: { subject: 'operator', method: 'none', digest: 'operator', groups: [], scopes: [], claims: {} },
  clientInfo: { name: `${name} dashboard`, version },
} as const;

/** Builds every part, by hand and in order: the one place to read to know what exists. */
export async function startRouter(settings: Settings, parts: RouterParts): Promise<Router> {
  const { log } = parts;
  const now = (): number => performance.now();
  const random = Math.random;

  // What replicas share.
  const ring = new KeyRing(parts.keyRing);
  const store = openStore(settings.store, {
    sessionIdleMs: settings.sessionIdle,
    sealing: {
      seal: (text, context) => ring.seal('store', text, context),
      open: (sealed, context) => ring.open('store', sealed, context),
    },
    log,
    now,
    random,
    onFailure: (operation) => metrics.storeFailed(operation),
  });

  // Backends.
  const connections = new Connections({ connectTimeoutMs: settings.connectTimeout });
  const prober = new Prober({
    connections,
    clientInfo: JSON.stringify({ name, version }) as RawJson,
    concurrency: settings.probeConcurrency,
    timeoutMs: settings.probeTimeout,
    maxListBytes: settings.maxListBytes,
    refreshMs: settings.probeRefresh,
    onLearned: () => {
      reconciler.onLearned();
      admin.touch();
    },
    onLook: (result, durationMs, instance) => {
      metrics.lookEnded(result, durationMs);
      book.looked(instance, result, durationMs);
    },
    log,
    now,
    random,
  });

  // The table.
  const book = new HealthBook(now, healthRules(settings), {
    failed: (instance) => prober.doubt(instance),
    ejected: ({ service, id }, { why, failures, forMs, spared }) => {
      metrics.ejected(service, why);
      log.warn(
        spared
          ? 'most instances of a service fail; all are used'
          : 'instance ejected: it fails, whatever Consul says',
        { service, instance: id, why, failures, forMs: Math.round(forMs) },
      );
    },
    returned: ({ service, id }, by) => log.info('instance taken back', { service, instance: id, by }),
  });
  let layout: Layout = { datacenters: settings.datacenters };
  const rollouts = parts.rollouts?.(
    () => reconciler.layoutChanged(),
    (reason) => metrics.consulError(reason),
  );
  const moveIn = (home: Layout['home'] | undefined): void => {
    if (home === undefined) return;
    layout = { ...layout, home };
    reconciler.layoutChanged();
  };
  const reconciler = new Reconciler({
    debounceMs: settings.debounce,
    graceMs: settings.unhealthyGrace,
    learned: (instance) => prober.learned(instance),
    learn: (services) => prober.update(services),
    layout: () => layout,
    versions: (service) => rollouts?.values.get(rolloutKey(service)),
    onSwap: (next, previous) => {
      const instances = new Map([...next.services.values()].flatMap((route) => [...route.instances]));
      book.follow(next);
      drains.follow(next, previous);
      for (const session of sessions.all()) {
        session.moves.check();
        session.watches.check(instances);
      }
      pool.retain(instances);
      budget.retain(next.services);
      subscriptions.check(instances);
      connections.retain([...instances.values()].map((instance) => instance.endpoint));
      notices.changed();
      toolSearch.follow(next.catalog);
      metrics.tableSwapped();
      admin.swapped(next, previous);
      log.info('table changed', tableDifference(next, previous));
    },
    log,
    now,
  });
  const moment = (): Moment => ({
    table: reconciler.table,
    snapshot: reconciler.snapshot,
    learned: (instance) => prober.learned(instance),
    load: book,
    standings: (route) => standings(route, book),
    kvProblems: (service) => {
      const wrong = rollouts?.problems.get(rolloutKey(service));
      const route = reconciler.table.services.get(service);
      return [...(wrong ? [wrong] : []), ...(route ? versionProblems(route) : [])];
    },
  });

  const outlook = (): Outlook => ({
    ...moment(),
    chances: (route, item) => chancesOf(route, item, book),
    settings: {
      tag: settings.tag,
      unhealthyGraceMs: settings.unhealthyGrace,
      pageSize: settings.pageSize,
    },
  });

  // Who may call, and what.
  let data: HostPort = settings.listen;
  const kv = parts.kv && new KvDocuments(parts.kv, (reason) => metrics.consulError(reason));
  const access = createAccess(settings, {
    log,
    kv,
    onPolicy: () => {
      for (const session of sessions.all()) session.rulesChanged();
      notices.changed();
    },
    keepTokens: false,
    listenUrl: () => `http://${show(data)}`,
    wallClock: Date.now,
  });

  const world = (): World => ({ table: reconciler.table, inForce: access.policy.inForce });
  const sights = new Sights(world, (refusal) => {
    metrics.refused(refusal.decision, refusal.enforced);
    if (!refusal.enforced) log.warn('the rules would have refused this', refusalFields(refusal));
  });

  // The data plane.
  const place: Place = (service, key) => placeByKey(reconciler.table, service, key, book);
  const backends = {
    connections,
    handshakeTimeoutMs: settings.probeTimeout,
    now,
    random,
    wallClock: Date.now,
  };
  const sealer = new Sealer(parts.keyRing);
  const events = new EventLogs(
    settings.store.kind === 'memory' ? undefined : new SharedStreams(store.events),
  );
  const sessions = new ClientSessions({
    sealer,
    table: () => reconciler.table,
    place,
    sights,
    backends,
    events,
    store: settings.store.kind === 'memory' ? undefined : store,
    maxSessions: settings.maxSessions,
    idleMs: settings.sessionIdle,
    maxAgeMs: settings.sessionMaxAge,
    wallClock: Date.now,
    now,
  });
  const sseClients = new SseClients(settings.maxSessions);
  const pool = new SessionPool(backends);
  const held = new HeldCalls({ sealer, holder: store.holder.id, wallClock: Date.now });
  const heldElsewhere = new HeldElsewhere(store.holder, held);
  const subscriptions = new Subscriptions({
    sights,
    table: () => reconciler.table,
    place,
    backends,
    keepAliveMs: settings.keepAlive,
    max: settings.maxSessions,
  });
  const toolViews = new ToolViews(toolRules(settings), () => toolSearch.warm());
  const toolSearch = new ToolSearch({ clock: now, pause: () => setImmediate() });
  const notices = new Notices(() => [...sessions.all(), ...subscriptions.all()], world, toolViews);
  const deadlines = new Deadlines(now);
  const budget = new RetryBudget(settings.retryBudget, now);
  const drains = new Drains(settings.drainTimeout, now);
  const waiting = new WaitingRoom(settings.queueSize);
  const origins = {
    loopback: isLoopback(settings.listen.host),
    allowedHosts: settings.allowedHosts,
    allowedOrigins: settings.allowedOrigins,
  };
  const edgeOptions: EdgeOptions = {
    router: { name, version },
    sights,
    stepUp: (path, scopes) => access.authenticator.stepUp(path, scopes),
    sessions,
    events,
    sseClients,
    pool,
    held,
    heldElsewhere,
    subscriptions,
    calls: {
      connections,
      book,
      deadlines,
      budget,
      waiting,
      drains,
      limits: {
        firstByteMs: settings.firstByteTimeout,
        totalMs: settings.callTimeout,
        queueMs: settings.queueTimeout,
        hedgeAfterMs: settings.hedgeAfter,
      },
      keepAliveMs: settings.keepAlive,
      now,
      random,
      observer: {
        retryDenied: (service) => metrics.retryDenied(service),
        hedgeEnded: (service, result) => metrics.hedgeEnded(service, result),
        callEnded: (call) => {
          metrics.callEnded(call.service, call.result, call.attempts, call.durationMs);
          admin.callEnded(call);
        },
      },
    },
    lists: { lists: new ListBytes(), pageSize: settings.pageSize },
    toolViews,
    ownTools: new OwnTools(toolSearch),
    origins,
    authenticate: (request, path) => access.authenticator.authenticate(request, path),
    defaultNames: settings.names,
    maxBodyBytes: settings.maxBody,
    keepAliveMs: settings.keepAlive,
    log,
  };
  const edge = new Edge(edgeOptions);

  // The registry and what is told of it.
  const registry = parts.registry(
    (snapshot) => {
      reconciler.onSnapshot(snapshot);
      admin.touch();
    },
    (reason) => metrics.consulError(reason),
  );
  const metrics = new Metrics({
    tableVersion: () => reconciler.table.version,
    services: () => reconciler.table.services.size,
    tools: () => reconciler.table.catalog.services.reduce((sum, service) => sum + service.tools.length, 0),
    instances: () => instanceCounts(moment()),
    problems: () => problemCounts(moment()),
    ejected: () => book.ejected(),
    sessions: () => sessions.size,
    callsRunning: () => deadlines.size,
    storeUp: () => new Map([[settings.store.kind, settings.store.kind === 'memory' || store.shared ? 1 : 0]]),
    callsWaiting: () => waiting.size,
    consulQueries: () => registry.status().queries + (rollouts ? 1 : 0) + (kv?.queries ?? 0),
    consulAgeSeconds: () =>
      new Map(registry.status().datacenters.map((dc) => [dc.name, (dc.lastContactMs ?? Number.NaN) / 1000])),
    consulUp: () =>
      new Map(registry.status().datacenters.map((dc) => [dc.name, dc.doubt === undefined ? 1 : 0])),
  });

  let draining = false;
  /** What is no MCP endpoint. */
  const elsewhere = (request: IncomingMessage, response: ServerResponse): RouterError | undefined => {
    try {
      return answerMetadata(access.authenticator, origins, request, response) ? undefined : notFound();
    } catch (error) {
      if (error instanceof RouterError) return error;
      throw error;
    }
  };
  const dataServer = createServer(
    { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => {
      if (edge.handle(request, response)) return;
      const error = elsewhere(request, response);
      if (!error) return;
      response
        .writeHead(error.httpStatus(), { 'content-type': 'application/json' })
        .end(errorResponse('null', error.toRpc()));
    },
  );
  const admin = createAdminPlane(settings, {
    version,
    ready: () => readiness(registry.status(), access.policy.waiting, draining, reconciler.table.version),
    metrics: async () => ({ contentType: metrics.contentType, text: await metrics.page() }),
    moment,
    registry: () => registry.status(),
    sessions: () => Array.from(sessions.all(), (session) => session.describe(now())),
    status: () => ({ data, draining, sessions: sessions.size, running: deadlines.size }),
    callTool: (request, message, done) =>
      makeOwnCall(edgeOptions, { ...request, ...operator }, log, message, done),
    explain: (query) => explain(query, outlook(), parts.lookUp ?? noConsul),
    explainSession: (id) => explainSession(sessions.inspect(id)),
    wallClock: Date.now,
  });
  const adminServer = createServer(admin.app);
  const [dataAt, adminAt] = await listenOnBoth(settings, dataServer, adminServer).catch((error: unknown) => {
    // It watches already; nothing else does.
    access.stop();
    admin.stop();
    throw error;
  });
  data = dataAt;
  const dismissExpired = (): void => {
    const isStillGood = (identity: Identity): boolean =>
      access.authenticator.isStillGood(identity, Date.now());
    for (const session of sessions.all()) if (!isStillGood(session.identity)) session.dismiss();
    subscriptions.dismiss(isStillGood);
  };
  const sweeper = setInterval(() => {
    sessions.sweep();
    dismissExpired();
    pool.sweep();
    events.sweep();
    book.refresh();
  }, SWEEP_MS).unref();
  await store.start();
  const stopping = new AbortController();
  void parts.home?.(stopping.signal).then(moveIn);
  rollouts?.start();
  registry.start();
  log.info('router started', { version, data: show(data), admin: show(adminAt) });

  return {
    data,
    admin: adminAt,
    async stop(farewell) {
      draining = true;
      stopping.abort();
      edge.drain();
      log.info('shutting down: waiting for running calls', {
        calls: deadlines.size,
        atMostMs: settings.drainTimeout,
      });
      subscriptions.end();
      await farewell?.();
      dataServer.close();
      await deadlines.idle(settings.drainTimeout);
      clearInterval(sweeper);
      notices.stop();
      reconciler.stop();
      rollouts?.stop();
      registry.stop();
      access.stop();
      sseClients.end();
      await Promise.all([sessions.close(), pool.close(), prober.close()]);
      await store.stop();
      admin.stop();
      dataServer.closeAllConnections();
      adminServer.close();
      adminServer.closeAllConnections();
      await connections.destroy();
      log.info('router stopped');
    },
  };
}

function healthRules(settings: Settings): HealthRules {
  return {
    after: settings.ejectAfter,
    baseMs: settings.ejectTime,
    maxMs: settings.ejectMaxTime,
    slowStartMs: settings.slowStart,
  };
}

/** @throws {RouterError} WRONG_SETTINGS where one of the addresses can't be listened on; then neither is. */
async function listenOnBoth(settings: Settings, data: Server, admin: Server): Promise<[HostPort, HostPort]> {
  const at = await listen(data, settings.listen, 'MCP_ROUTER_LISTEN');
  try {
    return [at, await listen(admin, settings.adminListen, 'MCP_ROUTER_ADMIN_LISTEN')];
  } catch (error) {
    data.close();
    throw error;
  }
}

/** @throws {RouterError} WRONG_SETTINGS where the address can't be listened on. */
function listen(server: Server, at: HostPort, setting: string): Promise<HostPort> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new RouterError(
          'WRONG_SETTINGS',
          `Cannot listen on ${show(at)}. Free it or set ${setting}.`,
          {},
          error,
        ),
      );
    });
    server.listen(at.port, at.host, () => {
      const address = server.address() as AddressInfo;
      resolve({ host: at.host, port: address.port });
    });
  });
}

function show({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function refusalFields({ identity, kind, name, service, profile, decision, rule }: Refusal): LogFields {
  return {
    decision,
    rule: rule ?? 'no rule matches',
    subject: identity.subject,
    ...(identity.issuer !== undefined && { issuer: identity.issuer }),
    kind,
    name,
    service,
    ...(profile !== undefined && { profile }),
  };
}

function readiness(
  registry: RegistryStatus,
  waiting: boolean,
  draining: boolean,
  tableVersion: number,
): { ready: boolean; body: Record<string, unknown> } {
  const stale = registry.datacenters.filter((dc) => dc.doubt !== undefined);
  const ready = registry.synced && !waiting && !draining;
  return {
    ready,
    body: {
      status: draining
        ? 'draining'
        : ready
          ? 'ready'
          : registry.synced
            ? 'waiting for the rules'
            : 'waiting for the first answers of Consul',
      table: tableVersion,
      ...(stale.length > 0 && { stale: Object.fromEntries(stale.map((dc) => [dc.name, dc.doubt])) }),
    },
  };
}

function instanceCounts(moment: Moment): ReadonlyMap<string, number> {
  const totals = new Map<string, number>();
  for (const service of moment.snapshot?.services.values() ?? []) {
    for (const [state, count] of Object.entries(countStates(service))) {
      totals.set(state, (totals.get(state) ?? 0) + count);
    }
  }
  return totals;
}

function problemCounts(moment: Moment): ReadonlyMap<string, number> {
  const totals = new Map<string, number>();
  for (const service of moment.snapshot?.services.values() ?? []) {
    for (const { code } of allProblems(service, moment)) totals.set(code, (totals.get(code) ?? 0) + 1);
  }
  return totals;
}
