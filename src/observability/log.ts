import { config, createLogger, format, transports } from 'winston';
import type { Log, LogFields } from '../model.ts';

export interface LogOptions {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly format: 'json' | 'pretty';
}

/** A log that can be told to say more or less while it runs. */
export interface ReloadableLog extends Log {
  setLevel(level: LogOptions['level']): void;
}

/** Writes to stderr: stdout belongs to what a command prints. */
export function createLog(options: LogOptions): ReloadableLog {
  const logger = createLogger({
    levels: config.npm.levels,
    level: options.level,
    format: format.combine(format.timestamp(), options.format === 'json' ? format.json() : pretty()),
    transports: [new transports.Console({ stderrLevels: ['error', 'warn', 'info', 'debug'] })],
  });
  const write = (level: LogOptions['level']) => (message: string, fields?: LogFields) => {
    // Below the level winston still builds the entry; on the hot path that counts.
    if (logger.isLevelEnabled(level)) logger.log(level, message, fields);
  };
  return {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    setLevel(level) {
      logger.level = level;
    },
  };
}

/** `12:00:00.000 warn  message  key=value` */
function pretty(): ReturnType<typeof format.printf> {
  return format.printf(({ timestamp, level, message, ...fields }) => {
    const time = String(timestamp).slice(11, 23);
    const details = Object.entries(fields).map(([key, value]) => `${key}=${readable(value)}`);
    return [`${time} ${level.padEnd(5)} ${String(message)}`, ...details].join('  ');
  });
}

function readable(value: unknown): string {
  return typeof value === 'string' && !/[\s"=]/.test(value) ? value : JSON.stringify(value);
}
