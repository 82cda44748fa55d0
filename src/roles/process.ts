import { rmSync, writeFileSync } from 'node:fs';
import type { Config } from '../base/config.js';
import { type Logger, loggerFor } from '../base/logger.js';
import { VERSION } from '../base/version.js';

/** The log that the configuration names; follows changes of its level. */
export function openLog(config: Config): Logger {
  const logger = loggerFor(config.values);
  config.onChange('loglevel', (level) => {
    logger.level = level;
    return undefined;
  });
  return logger;
}

/** Writes the pidfile, where one is wanted. */
export function writePidFile({ values }: Config, logger: Logger): void {
  if (values.pidfile === '') return;
  try {
    writeFileSync(values.pidfile, `${process.pid}\n`);
  } catch (error) {
    logger.warning(`cannot write the pidfile: ${(error as Error).message}`);
  }
}

export function removePidFile({ values }: Config): void {
  if (values.pidfile !== '') rmSync(values.pidfile, { force: true });
}

/** Has what asks the process to end heard. */
export function onEndingSignals(end: (signal: string) => Promise<void>): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(signal));
}

/** The first lines of a log: what runs. */
export function announceProgram(logger: Logger): void {
  logger.notice(`Vasto ${VERSION}, pid ${process.pid}, Node.js ${process.version}`);
}

/** The addresses of `bind`, for people. */
export function boundAddresses({ values }: Config): string {
  return values.bind.map((name) => name.replace(/^-/, '')).join(', ');
}
