import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock, Log, Random } from '../../model.ts';
import { Bridge } from './bridge.ts';
import { FromServer } from './from-server.ts';
import { connectLimits, type ConnectLimits } from './limits.ts';
import { Link, type LinkOptions } from './link.ts';
import { Modern } from './modern.ts';
import { Output } from './output.ts';
import { Running } from './running.ts';
import { Session } from './session.ts';

export interface ConnectOptions extends Omit<LinkOptions, 'limits'> {
  /** The client's messages, one a line. */
  readonly input: Readable;
  /** Carries JSON-RPC messages, one a line, and nothing else. */
  readonly output: Writable;
  /** How long running requests may take to finish once the client closed its input, in milliseconds. */
  readonly drainTimeoutMs: number;
  readonly limits?: Partial<ConnectLimits>;
  readonly log: Log;
  readonly now: Clock;
  readonly random: Random;
}

export interface Connected {
  /** Everything is over: the session ended at the server, connections closed, the client has what there was. */
  readonly ended: Promise<void>;
  /** Running requests finish, up to the drain time. Called again: at once. */
  end(): void;
}

/** How often it is looked whether the last request is done. */
const DRAIN_TICK_MS = 10;

/** Connects a client that speaks stdio to a server that speaks Streamable HTTP, of either era. */
export function connect(options: ConnectOptions): Connected {
  const { log, now, random } = options;
  const limits = { ...connectLimits, ...options.limits };
  const link = new Link({ ...options, limits });
  const running = new Running(limits);
  const ending = Promise.withResolvers<void>();
  let began = false;
  let cut = false;
  const begin = (): void => {
    began = true;
    ending.resolve();
  };
  const output = new Output(options.output, () => {
    cut = true;
    begin();
  });
  const fromServer = new FromServer({
    output,
    running,
    takesBatches: () => session.current?.protocolVersion === '2025-03-26',
    log,
  });
  const parts = { link, output, fromServer, running, log, now, random };
  const session = new Session(parts);
  const modern = new Modern(link, log);
  const bridge = new Bridge({ ...parts, input: options.input, session, modern, onEnd: begin });

  const finish = async (): Promise<void> => {
    await ending.promise;
    bridge.close();
    log.info('connect is ending; running requests finish first', { atMostMs: options.drainTimeoutMs });
    const busy = (): boolean => !cut && (bridge.waiting || running.awaited > 0);
    await untilIdle(busy, options.drainTimeoutMs, now);
    for (const call of running.all()) call.end();
    await session.end();
    await link.close();
    await output.flushed(limits.farewellMs);
  };
  return {
    ended: finish(),
    end() {
      if (began) cut = true;
      begin();
    },
  };
}

async function untilIdle(busy: () => boolean, timeoutMs: number, now: Clock): Promise<void> {
  const deadline = now() + timeoutMs;
  while (busy() && now() < deadline) await delay(DRAIN_TICK_MS);
}
