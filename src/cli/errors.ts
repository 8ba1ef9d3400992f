/** Wrong use of a command: exit status 2. The message says what to do instead. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** What the command was asked for did not work out: exit status 1. The message says what to do next. */
export class CommandFailed extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'CommandFailed';
  }
}
