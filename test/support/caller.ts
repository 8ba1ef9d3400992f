import { raw, type Answer, type Message } from './mcp-client.ts';

/** Somebody who calls with a proof of who it is, in both eras, over the bare protocol. */
export interface Caller {
  readonly headers: Readonly<Record<string, string>>;
}

export const bearer = (token: string): Caller => ({ headers: { authorization: `Bearer ${token}` } });
export const nobody: Caller = { headers: {} };

const clientInfo = { name: 'raw', version: '1' };

/** Opens a session (2025-11-25). */
export function initialize({ headers }: Caller, url: string): Promise<Answer> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  return raw(url, {
    headers,
    body: JSON.stringify({ jsonrpc: '2.0', id: 'init', method: 'initialize', params }),
  });
}

/** The id of a session that is opened. @throws {Error} where it is not */
export async function openSession(caller: Caller, url: string): Promise<string> {
  const answer = await initialize(caller, url);
  const id = answer.headers['mcp-session-id'];
  if (typeof id !== 'string') throw new Error(`no session: ${answer.status} ${answer.text}`);
  return id;
}

/** One request in a session. */
export function inSession(
  { headers }: Caller,
  url: string,
  session: string,
  method: string,
  params: Record<string, unknown> = {},
): Promise<Answer> {
  return raw(url, {
    headers: { ...headers, 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
}

/** One request of the stateless era (2026-07-28). */
export function stateless(
  { headers }: Caller,
  url: string,
  method: string,
  params: Record<string, unknown> = {},
  capabilities: Record<string, unknown> = {},
): Promise<Answer> {
  const name = params['name'] ?? params['uri'];
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': clientInfo,
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  };
  return raw(url, {
    headers: {
      ...headers,
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' && { 'mcp-name': name }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }),
  });
}

/** One request in a session of its own (`legacy`), or without one (`modern`). */
export async function ask(
  era: 'legacy' | 'modern',
  caller: Caller,
  url: string,
  method: string,
  params: Record<string, unknown> = {},
): Promise<Answer> {
  if (era === 'modern') return stateless(caller, url, method, params);
  return inSession(caller, url, await openSession(caller, url), method, params);
}

/** The only message of an answer. */
export function only({ messages, status, text }: Answer): Message {
  const [message] = messages;
  if (!message || messages.length > 1) throw new Error(`not one message: ${status} ${text}`);
  return message;
}
