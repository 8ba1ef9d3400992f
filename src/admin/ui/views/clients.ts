/** How each client is told of an MCP endpoint. Formats are the clients' own, as their documentation has them. */

export interface ClientGuide {
  readonly name: string;
  /** What to do with the snippet. */
  readonly how: string;
  readonly snippet: string;
  /** Opens the client and adds the server there. */
  readonly link?: string;
}

const json = (value: unknown): string => JSON.stringify(value, null, 2);

/**
 * @param name under which the client lists the server
 * @param url of the MCP endpoint
 */
export function clientGuides(name: string, url: string): readonly ClientGuide[] {
  const stdio = { command: 'npx', args: ['-y', 'mcp-consul-router', 'connect', url] };
  const cursor = btoa(JSON.stringify({ url }));
  const code = JSON.stringify({ name, type: 'http', url });
  return [
    {
      name: 'Claude Code',
      how: 'Run in a terminal:',
      snippet: `claude mcp add --transport http ${name} ${url}`,
    },
    {
      name: 'Claude Desktop',
      how: 'Put into claude_desktop_config.json (Settings, Developer, Edit Config), and restart it:',
      snippet: json({ mcpServers: { [name]: stdio } }),
    },
    {
      name: 'Cursor',
      how: 'Press the button, or put into ~/.cursor/mcp.json:',
      snippet: json({ mcpServers: { [name]: { url } } }),
      link: `cursor://anysphere.cursor-deeplink/mcp/install?name=${encodeURIComponent(name)}&config=${encodeURIComponent(cursor)}`,
    },
    {
      name: 'VS Code',
      how: 'Press the button, or put into .vscode/mcp.json:',
      snippet: json({ servers: { [name]: { type: 'http', url } } }),
      link: `vscode:mcp/install?${encodeURIComponent(code)}`,
    },
    {
      name: 'Windsurf',
      how: 'Put into ~/.codeium/windsurf/mcp_config.json:',
      snippet: json({ mcpServers: { [name]: { serverUrl: url } } }),
    },
    {
      name: 'Codex',
      how: 'Put into ~/.codex/config.toml:',
      snippet: `[mcp_servers.${name}]\nurl = ${JSON.stringify(url)}`,
    },
    {
      name: 'Any other',
      how: 'Clients that speak Streamable HTTP take the URL; for those that start a program, this is it:',
      snippet: `${url}\n\nnpx -y mcp-consul-router connect ${url}`,
    },
  ];
}
