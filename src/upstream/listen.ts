import type { Clock, Endpoint, Random } from '../model.ts';
import { readEnvelope, type Envelope } from '../relay/envelope.ts';
import { SESSION_HEADER, SSE_TYPE, VERSION_HEADER } from '../relay/headers.ts';
import { modernHeaders, modernRequest, type ModernIntroduction } from '../relay/modern.ts';
import { SseParser } from '../relay/sse.ts';
import { snippet } from './ask.ts';
import type { Connections } from './connections.ts';
import type { Outbound, Sending } from './exchange.ts';
import { nextId } from './handshake.ts';

export interface Listener {
  /** Ends the stream; nothing is reported any more. */
  stop(): void;
}

/** What opens the stream; asked anew for each opening. */
export type Opening = (lastEventId: string | undefined) => Pick<Outbound, 'method' | 'headers' | 'body'>;

export interface ListenOptions {
  readonly endpoint: Endpoint;
  readonly opening: Opening;
  /** For the answer's head. The stream itself may be silent for as long as it likes. */
  readonly timeoutMs: number;
  readonly maxEventBytes: number;
  readonly onMessage: (message: Envelope) => void;
  /** Reported once, when it is known whether the backend has such a stream at all. */
  readonly onOpen?: () => void;
  /**
   * The stream is over and will not be opened again: `unsupported` (405 and the like), or `session-lost`: the
   * backend does not know the session any more.
   */
  readonly onOver: (reason: 'unsupported' | 'session-lost') => void;
  readonly random: Random;
  readonly now: Clock;
}

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 30_000;
/** A stream that lived this long was a healthy one: the next pause is short again. */
const STABLE_MS = 10_000;

/** In the session era: GET, with `Last-Event-ID` so that nothing is missed (2025-11-25, transports). */
export function sessionStream(session: {
  readonly id: string | undefined;
  readonly protocolVersion: string;
}): Opening {
  return (lastEventId) => {
    const headers = ['accept', SSE_TYPE, VERSION_HEADER, session.protocolVersion];
    if (session.id !== undefined) headers.push(SESSION_HEADER, session.id);
    if (lastEventId !== undefined) headers.push('last-event-id', snippet(lastEventId));
    return { method: 'GET', headers };
  };
}

/** Which changes a subscription of the modern era is about. */
export interface SubscriptionFilter {
  readonly toolsListChanged?: boolean;
  readonly promptsListChanged?: boolean;
  readonly resourcesListChanged?: boolean;
  readonly resourceSubscriptions?: readonly string[];
}

/** In the modern era: a request whose answer does not end (2026-07-28, subscriptions). */
export function subscription(introduction: ModernIntroduction, filter: SubscriptionFilter): Opening {
  const method = 'subscriptions/listen';
  return () => ({
    method: 'POST',
    headers: modernHeaders(method, undefined),
    body: modernRequest(nextId(), method, `"notifications":${JSON.stringify(filter)}`, introduction),
  });
}

/** A stream on which a backend speaks by itself, opened again whenever it ends. */
export function listen(connections: Connections, options: ListenOptions): Listener {
  let exchange: Sending | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let lastEventId: string | undefined;
  let retryMs: number | undefined;
  let failures = 0;
  let openedAt = 0;
  let announced = false;

  const over = (reason: 'unsupported' | 'session-lost'): void => {
    if (stopped) return;
    stopped = true;
    options.onOver(reason);
  };
  const again = (): void => {
    if (stopped) return;
    if (openedAt > 0 && options.now() - openedAt > STABLE_MS) failures = 0;
    openedAt = 0;
    const backOff = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** failures++);
    // The server's own `retry` is what it wants for its next poll (2025-11-25, transports).
    const pause = Math.min(RETRY_MAX_MS, retryMs ?? 0) + backOff * options.random();
    timer = setTimeout(open, pause);
    timer.unref();
  };
  const onEvent = (data: string | undefined): void => {
    if (stopped || data === undefined || data === '') return;
    options.onMessage(readEnvelope(data));
  };

  function open(): void {
    let parser: SseParser | undefined;
    exchange = connections.stream(
      options.endpoint,
      {
        ...options.opening(lastEventId),
        path: options.endpoint.path,
        firstByteTimeoutMs: options.timeoutMs,
        idleTimeoutMs: 0,
      },
      {
        head(answer) {
          if (answer.status === 200 && answer.mediaType === SSE_TYPE) {
            openedAt = options.now();
            if (!announced) options.onOpen?.();
            announced = true;
            parser = new SseParser((event) => {
              if (event.id !== undefined) lastEventId = event.id;
              if (event.retry !== undefined) retryMs = event.retry;
              onEvent(event.data);
            }, options.maxEventBytes);
            return;
          }
          // 404 for a session that worked; some servers say 400. Before the first opening it means no such stream.
          const lost = announced && (answer.status === 404 || answer.status === 400);
          if (lost) over('session-lost');
          else if (answer.status < 500 && answer.status !== 429) over('unsupported');
          exchange?.abort();
        },
        data(chunk) {
          try {
            parser?.push(chunk);
          } catch {
            // Not JSON-RPC or without end: a stream like that is cut and opened anew.
            exchange?.abort();
          }
          return true;
        },
        end: again,
        fail: again,
      },
    );
  }

  open();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      exchange?.abort();
    },
  };
}
