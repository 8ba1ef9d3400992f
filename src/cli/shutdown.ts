import type { Log } from '../model.ts';

/** Resolves with the first SIGTERM or SIGINT; a second one ends the process at once. */
export function shutdownSignal(log: Log): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const hear = (signal: NodeJS.Signals): void => {
      if (asked) {
        log.warn('second signal: exiting at once', { signal });
        process.exit(1);
      }
      asked = true;
      log.info('shutting down', { signal });
      resolve();
    };
    process.on('SIGTERM', hear);
    process.on('SIGINT', hear);
  });
}
