import { Child, type ChildEnd, type ChildOptions } from './child.ts';
import { ownInitialize, type ClientInfo } from './introduction.ts';

export interface RehearsalOptions extends ChildOptions {
  readonly clientInfo: ClientInfo;
  readonly initializeTimeoutMs: number;
}

/**
 * Starts a child, has it answer `initialize`, and ends it: the proof that sessions can be opened. Undefined where
 * it went well, also with an error as the answer: the server is there, and its clients will hear what it says.
 */
export async function rehearse(
  options: RehearsalOptions,
  signal: AbortSignal,
): Promise<ChildEnd | undefined> {
  const { promise, resolve } = Promise.withResolvers<ChildEnd | undefined>();
  const child = new Child(options, {
    message: (message) => {
      if (message.kind === 'response') resolve(undefined);
    },
    lost: () => undefined,
    exit: resolve,
  });
  const giveUp = (reason: string) => (): void => resolve({ reason, spawnFailed: false });
  const timer = setTimeout(giveUp('did not answer initialize in time'), options.initializeTimeoutMs);
  signal.addEventListener('abort', giveUp('was stopped'), { once: true });
  child.send(ownInitialize(1, options.clientInfo));
  const end = await promise;
  clearTimeout(timer);
  if (end?.spawnFailed !== true) await child.stop();
  return end;
}
