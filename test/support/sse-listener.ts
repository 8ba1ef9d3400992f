import type { Message } from './mcp-client.ts';

export interface Listening {
  readonly messages: Message[];
  readonly text: () => string;
  close(): void;
}

/** A client's own stream (GET), read as it comes. */
export async function listenSse(
  url: string,
  session: string,
  more: Record<string, string> = {},
): Promise<Listening> {
  const controller = new AbortController();
  const response = await fetch(url, {
    headers: { accept: 'text/event-stream', 'mcp-session-id': session, ...more },
    signal: controller.signal,
  });
  if (!response.ok || !response.body)
    throw new Error(`no stream: ${response.status} ${await response.text()}`);
  const messages: Message[] = [];
  let text = '';
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
  })();
  return { messages, text: () => text, close: () => controller.abort() };
}
