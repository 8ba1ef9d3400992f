import type { Request, Response } from 'express';
import type { LiveFeed } from './live-feed.ts';

const KEEP_ALIVE_MS = 15_000;
/** Unread by a browser that fell behind: it is cut, comes back, and gets the state as it is then. */
const MAX_WAITING_BYTES = 8 << 20;
/** Open streams at one time. */
const MAX_STREAMS = 64;

/**
 * The live feed as server-sent events: `state` once, then `change` (see shapes.ts). There are no event ids: who
 * lost the stream opens it again and gets all there is, so nothing can be missed.
 */
export class EventStreams {
  readonly #feed: LiveFeed;
  readonly #open = new Set<Response>();

  constructor(feed: LiveFeed) {
    this.#feed = feed;
  }

  serve(request: Request, response: Response): void {
    if (this.#open.size >= MAX_STREAMS) {
      const message = `${MAX_STREAMS} event streams are open, which is the most. Close a dashboard and try again.`;
      response
        .status(503)
        .set('retry-after', '10')
        .json({ error: { code: 'OVERLOADED', message } });
      return;
    }
    this.#open.add(response);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    const write = (text: string): void => {
      if (response.writableLength > MAX_WAITING_BYTES) {
        response.destroy();
        return;
      }
      response.write(text);
      // Of the compression; without one there is nothing to be flushed.
      response.flush?.();
    };
    const send = (event: string, body: object): void =>
      write(`event: ${event}\ndata: ${JSON.stringify(body)}\n\n`);
    const keepAlive = setInterval(() => write(':\n\n'), KEEP_ALIVE_MS).unref();
    const leave = this.#feed.watch({
      state: (state) => send('state', state),
      change: (change) => send('change', change),
    });
    request.socket.setNoDelay(true);
    response.once('close', () => {
      clearInterval(keepAlive);
      leave();
      this.#open.delete(response);
    });
  }

  /** Ends all, as the router does. */
  end(): void {
    for (const response of this.#open) response.end();
  }
}
