import { Option, type Command } from 'commander';
import { environment } from '../config/environment.ts';
import { describeError } from '../errors.ts';
import { CommandFailed } from './errors.ts';

/** Options of commands that ask a running router. */
export function addAdminOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--admin <url>',
        "the router's admin plane (default: http://127.0.0.1:8081) [MCP_ROUTER_ADMIN]",
      ),
    )
    .option('--json', 'as JSON');
}

/**
 * Asks a running router.
 * @param more further headers
 * @throws {Error} with what to do next.
 */
export async function askAdmin(
  command: Command,
  path: string,
  more: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  const env = environment();
  const base =
    (command.getOptionValue('admin') as string | undefined) ??
    env['MCP_ROUTER_ADMIN'] ??
    'http://127.0.0.1:8081';
  const token = env['MCP_ROUTER_ADMIN_TOKEN'];
  let response: Response;
  try {
    response = await fetch(new URL(path, base), {
      headers: { ...more, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
      signal: AbortSignal.timeout(10_000),
    });
  } catch (error) {
    throw new CommandFailed(
      `No router answers at ${base} (${describeError(error)}). Start one with \`serve\`, or say where it is with --admin.`,
      error,
    );
  }
  if (response.status === 401)
    throw new CommandFailed(`The router at ${base} wants its admin token: set MCP_ROUTER_ADMIN_TOKEN.`);
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok) return body;
  const message = (body as { error?: { message?: string } } | undefined)?.error?.message;
  throw new CommandFailed(message ?? `The router at ${base} answered HTTP ${response.status}.`);
}
