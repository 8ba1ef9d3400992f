import { existsSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { fileURLToPath } from 'node:url';
import { adminApp, type AdminPorts } from './admin/admin-api.ts';
import { entriesBody, itemBody } from './admin/catalog-entries.ts';
import { EventStreams } from './admin/event-stream.ts';
import { LiveFeed } from './admin/live-feed.ts';
import { RequestLog, type EndedCall } from './admin/request-log.ts';
import type { RouterStatus, SessionBody } from './admin/shapes.ts';
import { Timeline } from './admin/timeline.ts';
import type { CallTool } from './admin/try-tool.ts';
import { catalogView, serviceView, servicesView, summaries, type Moment } from './admin/views.ts';
import { isLoopback } from './config/values.ts';
import type { Settings } from './config/settings.ts';
import type { RegistryStatus } from './discovery/registry.ts';
import { shown } from './gateway/list-bytes.ts';
import type { RoutingTable } from './model.ts';

export interface AdminPlaneParts extends Pick<
  AdminPorts,
  'version' | 'ready' | 'metrics' | 'explain' | 'explainSession'
> {
  readonly moment: () => Moment;
  readonly registry: () => RegistryStatus;
  readonly sessions: () => readonly SessionBody[];
  /** Changing counts, and where clients connect. */
  readonly status: () => Pick<RouterStatus, 'data' | 'draining' | 'sessions' | 'running'>;
  readonly callTool: CallTool;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** Main's part for the admin room: what it shows, what it is told, and where it is served. */
export interface AdminPlane {
  readonly app: RequestListener;
  callEnded(call: EndedCall): void;
  swapped(next: RoutingTable, previous: RoutingTable): void;
  /** Something of the registry or of what instances can do is different. */
  touch(): void;
  stop(): void;
}

/** How Consul is doing is looked at this often; its own word comes with snapshots. */
const CONSUL_LOOK_MS = 1000;

export function createAdminPlane(settings: Settings, parts: AdminPlaneParts): AdminPlane {
  const { moment, version, wallClock } = parts;
  const calls = new RequestLog(wallClock);
  const timeline = new Timeline(wallClock, (entry) => feed.happened(entry));
  const feed = new LiveFeed({
    status: () => status(parts),
    services: () => summaries(moment()),
    calls,
    timeline,
  });
  const events = new EventStreams(feed);
  const looking = setInterval(() => timeline.consul(parts.registry().datacenters), CONSUL_LOOK_MS).unref();
  timeline.add({ kind: 'router', tone: 'plain', text: `Router ${version} started.` });
  const app = adminApp(
    {
      version,
      ready: parts.ready,
      metrics: parts.metrics,
      catalog: () => catalogView(moment()),
      entries: (only) => {
        const { table } = moment();
        return entriesBody(table.version, table.catalog, only);
      },
      item: (kind, name) =>
        itemBody(moment().table.catalog, kind, name, (entry, service) =>
          shown(entry, { kind, spelling: 'portable', era: 'legacy' }, service),
        ),
      services: () => servicesView(moment()),
      service: (name) => serviceView(name, moment()),
      sessions: () => ({ sessions: parts.sessions() }),
      calls: () => calls.last(),
      timeline: () => timeline.last(),
      events,
      callTool: parts.callTool,
      explain: parts.explain,
      explainSession: parts.explainSession,
    },
    {
      token: settings.adminToken,
      guard: {
        loopback: isLoopback(settings.adminListen.host) && settings.adminToken === undefined,
        allowedHosts: settings.allowedHosts,
      },
      dashboard: dashboardFolder(),
    },
  );
  return {
    app,
    callEnded(call) {
      calls.note(call);
      timeline.called(call);
      feed.touch();
    },
    swapped(next, previous) {
      timeline.swapped(next, previous);
      feed.touch();
    },
    touch: () => feed.touch(),
    stop() {
      clearInterval(looking);
      events.end();
      feed.stop();
    },
  };
}

function status({ version, status: now, registry, moment }: AdminPlaneParts): RouterStatus {
  const { synced, datacenters } = registry();
  const { table, snapshot } = moment();
  return {
    version,
    ...now(),
    tableVersion: table.version,
    synced,
    datacenters: datacenters.map(({ name, doubt }) => ({ name, ...(doubt !== undefined && { doubt }) })),
    skipped: snapshot?.skipped.length ?? 0,
  };
}

/** Beside the compiled program, or in `dist` where the sources run. */
function dashboardFolder(): string | undefined {
  return ['./admin/ui/', '../dist/admin/ui/']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((folder) => existsSync(`${folder}assets`));
}
