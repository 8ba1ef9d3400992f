import { createParser } from 'eventsource-parser';

export interface ServerEvent {
  readonly name: string;
  readonly data: unknown;
}

/** The events of a response, each as it comes; ends with the stream. */
export async function* eventsOf(response: Response): AsyncGenerator<ServerEvent> {
  const { body } = response;
  if (!body) return;
  const events: ServerEvent[] = [];
  const parser = createParser({
    onEvent: ({ event, data }) =>
      void events.push({ name: event ?? 'message', data: JSON.parse(data) as unknown }),
  });
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(value);
      yield* events.splice(0);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
