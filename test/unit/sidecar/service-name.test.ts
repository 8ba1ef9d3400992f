import { expect, it } from 'vitest';
import { serviceName } from '../../../src/sidecar/service-name.ts';

it.each([
  ['npx -y @modelcontextprotocol/server-filesystem /srv/docs', 'server-filesystem'],
  ['npx -y @modelcontextprotocol/server-memory@2026.8.31', 'server-memory'],
  ['pnpm dlx some-server@latest', 'some-server'],
  ['uvx mcp-server-time --local-timezone=UTC', 'mcp-server-time'],
  [
    '/usr/bin/node node_modules/@modelcontextprotocol/server-everything/dist/index.js stdio',
    'server-everything',
  ],
  ['node weather.mjs', 'weather'],
  ['node server.js', 'server'],
  ['python3.11 -m weather_mcp', 'weather_mcp'],
  ['env TOKEN=x /opt/tools/github-mcp-server stdio', 'github-mcp-server'],
  ['/usr/local/bin/mcp-grafana', 'mcp-grafana'],
  ['node', 'node'],
])('%s is registered as %s', (line, name) => {
  const [command = '', ...args] = line.split(' ');
  expect(serviceName(command, args)).toBe(name);
});
