import { hostname } from 'node:os';
import { Command } from 'commander';
import { acceptedMethods } from '../access.ts';
import type { Settings } from '../config/settings.ts';
import { isLoopback, type HostPort } from '../config/values.ts';
import { version } from '../version.ts';
import { createLog } from '../observability/log.ts';
import { keepRegistered, type ServiceDefinition } from '../discovery/registration.ts';
import {
  consulClient,
  consulKv,
  consulLookUp,
  consulRegistry,
  consulRollouts,
  homeNode,
  startRouter,
} from '../main.ts';
import { UsageError } from './errors.ts';
import { loadKeyRing, loadSettings } from './load-settings.ts';
import { addSettingOptions } from './settings-options.ts';
import { shutdownSignal } from './shutdown.ts';

export function serveCommand(): Command {
  const command = new Command('serve')
    .allowExcessArguments(true)
    .description(
      'Run the router (the default command): watch Consul, serve every MCP server in it at one endpoint.',
    )
    .addHelpText(
      'after',
      '\nEndpoints: /mcp (everything), /profiles/<profile>/mcp (a part of it), /services/<service>/mcp (one service)' +
        '\non the data plane;' +
        '\n/healthz, /readyz, /metrics, /api/v1/services on the admin plane.' +
        '\nSIGTERM or SIGINT drains and exits; a second one exits at once.',
    );
  // A token to call with is for `connect`.
  return addSettingOptions(command, (name) => name !== 'tokenFile').action(async () => {
    const [word] = command.args;
    if (word !== undefined)
      throw new UsageError(`There is no command ${word}. See: mcp-consul-router --help`);
    await serve(loadSettings(command).settings);
  });
}

async function serve(settings: Settings): Promise<void> {
  refuseOpenDoors(settings);
  const log = createLog({
    level: settings.logLevel,
    format: settings.logFormat ?? (process.stderr.isTTY ? 'pretty' : 'json'),
  });
  const shutdown = shutdownSignal(log);
  const client = consulClient(settings);
  const router = await startRouter(settings, {
    log,
    keyRing: loadKeyRing(settings),
    registry: consulRegistry(settings, client, log),
    lookUp: consulLookUp(settings, client),
    rollouts: consulRollouts(settings, client, log),
    kv: consulKv(settings, client, log),
    home: homeNode(settings, client, log),
  });
  const registration = settings.register
    ? keepRegistered(client, ownService(router.data, router.admin), log)
    : undefined;
  await shutdown;
  await router.stop(() => registration?.deregister());
}

/**
 * The router in Consul: never with the tag that it looks for, or it would find itself. Its check asks `/readyz`
 * of the admin plane, from the agent's own machine.
 */
function ownService(data: HostPort, admin: HostPort): ServiceDefinition {
  const everywhere = (host: string): boolean => host === '0.0.0.0' || host === '::';
  const adminHost = everywhere(admin.host) ? '127.0.0.1' : admin.host;
  const host = adminHost.includes(':') ? `[${adminHost}]` : adminHost;
  return {
    ID: `mcp-router-${hostname()}-${data.port}`,
    Name: 'mcp-router',
    // Empty: the node's own address, which is right for a router that listens everywhere.
    Address: everywhere(data.host) ? '' : data.host,
    Port: data.port,
    Tags: [],
    Meta: { version },
    Check: {
      Name: 'mcp-router readiness',
      HTTP: `http://${host}:${admin.port}/readyz`,
      Interval: '10s',
      Timeout: '5s',
      DeregisterCriticalServiceAfter: '10m',
    },
  };
}

/** What is open to the network must have been opened on purpose. */
function refuseOpenDoors(settings: Settings): void {
  if (!isLoopback(settings.listen.host) && acceptedMethods(settings).length === 0) {
    throw new UsageError(
      `MCP_ROUTER_LISTEN is ${settings.listen.host}, which others can reach, and no authentication is set. ` +
        'Set MCP_ROUTER_ISSUERS or MCP_ROUTER_KEYS_FILE, listen on 127.0.0.1, or say MCP_ROUTER_AUTH=none if whatever stands in front of the router checks callers.',
    );
  }
  if (!isLoopback(settings.adminListen.host) && settings.adminToken === undefined) {
    throw new UsageError(
      `MCP_ROUTER_ADMIN_LISTEN is ${settings.adminListen.host}, which others can reach. ` +
        'Set MCP_ROUTER_ADMIN_TOKEN, or listen on 127.0.0.1.',
    );
  }
}
