import type { Caller } from './caller.ts';
import type { Message } from './mcp-client.ts';

export interface Listening {
  readonly messages: Message[];
  readonly text: () => string;
  /** The last event id so far. */
  readonly lastId: () => string | undefined;
  readonly ended: () => boolean;
  close(): void;
}

/** A client's own stream (GET), read as it comes. */
export function listenSse(
  url: string,
  session: string,
  more: Record<string, string> = {},
): Promise<Listening> {
  return readStream(url, {
    headers: { accept: 'text/event-stream', 'mcp-session-id': session, ...more },
  });
}

/** The stream of a request (POST), read as it comes. */
export function postSse(
  url: string,
  session: string,
  message: unknown,
  more: Record<string, string> = {},
): Promise<Listening> {
  return readStream(url, {
    method: 'POST',
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-session-id': session,
      ...more,
    },
    body: JSON.stringify(message),
  });
}

/** News of the stateless era (2026-07-28, subscriptions/listen), read as they come. */
export function listenStateless(
  url: string,
  { headers }: Caller,
  notifications: Record<string, unknown>,
): Promise<Listening> {
  const method = 'subscriptions/listen';
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  return readStream(url, {
    method: 'POST',
    headers: {
      ...headers,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 'news', method, params: { notifications, _meta } }),
  });
}

async function readStream(url: string, init: RequestInit): Promise<Listening> {
  const controller = new AbortController();
  const response = await fetch(url, { ...init, signal: controller.signal });
  if (!response.ok || !response.body)
    throw new Error(`no stream: ${response.status} ${await response.text()}`);
  const messages: Message[] = [];
  let text = '';
  let ended = false;
  const body = response.body;
  void (async () => {
    try {
      for await (const chunk of body) {
        text += Buffer.from(chunk).toString();
        const whole = text.split('\n\n').slice(0, -1);
        messages.splice(
          0,
          messages.length,
          ...whole.flatMap((event) => {
            const data = event
              .split('\n')
              .filter((line) => line.startsWith('data: '))
              .map((line) => line.slice(6))
              .join('\n');
            return data === '' ? [] : [JSON.parse(data) as Message];
          }),
        );
      }
    } catch {
      // Closed.
    }
    ended = true;
  })();
  return {
    messages,
    text: () => text,
    lastId: () => [...text.matchAll(/^id: (.+)$/gm)].at(-1)?.[1],
    ended: () => ended,
    close: () => controller.abort(),
  };
}
