import { rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Config } from '../base/config.js';
import { type Logger, loggerFor } from '../base/logger.js';
import { VERSION } from '../base/version.js';
import { LocalManager } from '../node/local-manager.js';
import { Store } from '../node/store.js';
import { StorageError } from '../workers/rocksdb.js';
import { RespServer } from './server.js';

/**
 * Runs `vasto server`: opens the data, then the door, and stays until SIGTERM, SIGINT or SHUTDOWN.
 * @throws Error with a message for people when it cannot start
 */
export async function serve(config: Config): Promise<void> {
  const { values } = config;
  const logger = loggerFor(values);
  config.onChange('loglevel', (level) => {
    logger.level = level;
    return undefined;
  });
  let server: RespServer | undefined;
  const store = await Store.open(config, logger, {
    slowCommand: (command) => server?.accountSlow(command),
    watchesLost: (routes) => server?.loseWatches(routes),
    watchesSwapped: (routes) => server?.swapWatches(routes),
    failed: (error) => {
      logger.warning(`cannot go on: ${error.message}`);
      process.exit(1);
    },
  }).catch((error: unknown) => {
    throw explainOpening(error, values.dir);
  });
  store.manager = new LocalManager(store);
  let ending: Promise<void> | undefined;
  const shutdown = (cause: string): Promise<void> => {
    ending ??= end(cause, logger, config, store, server!);
    return ending;
  };
  server = new RespServer(config, logger, store, () => void shutdown('SHUTDOWN'));
  try {
    await server.listen();
  } catch (error) {
    await server.close();
    await store.close();
    throw error;
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void shutdown(signal));
  if (values.pidfile !== '') writePidFile(values.pidfile, logger);
  announce(config, logger);
}

function explainOpening(error: unknown, directory: string): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  if (error instanceof StorageError && error.code === 'LOCKED')
    return new Error(
      `${directory} is in use by another vasto server. Stop it, or choose another directory with --dir.`,
      { cause: error },
    );
  return new Error(`cannot open the data in ${directory}: ${error.message}`, { cause: error });
}

async function end(
  cause: string,
  logger: Logger,
  config: Config,
  store: Store,
  server: RespServer,
): Promise<void> {
  logger.notice(`${cause}: finishing what is under way`);
  let exitCode = 0;
  try {
    await server.close();
    await store.save();
    await store.close();
    if (config.values.pidfile !== '') rmSync(config.values.pidfile, { force: true });
    logger.notice('all data is on disk; bye');
  } catch (error) {
    logger.warning(`did not end cleanly: ${(error as Error).message}`);
    exitCode = 1;
  }
  process.exit(exitCode);
}

function writePidFile(path: string, logger: Logger): void {
  try {
    writeFileSync(path, `${process.pid}\n`);
  } catch (error) {
    logger.warning(`cannot write the pidfile: ${(error as Error).message}`);
  }
}

/** Tells where everything is, and how to connect. */
function announce(config: Config, logger: Logger): void {
  const { values } = config;
  logger.notice(`Vasto ${VERSION}, pid ${process.pid}, Node.js ${process.version}`);
  logger.notice(`data in ${resolve(values.dir)}`);
  const addresses = values.bind.map((name) => name.replace(/^-/, '')).join(', ');
  if (values.port !== 0) {
    logger.notice(`RESP on port ${values.port} of ${addresses}`);
    logger.notice(`connect with: redis-cli -p ${values.port}`);
  }
  if (values['tls-port'] !== 0) {
    logger.notice(`RESP over TLS on port ${values['tls-port']} of ${addresses}`);
    const certificate = values['tls-auth-clients'] === 'yes' ? ' --cert FILE --key FILE' : '';
    logger.notice(`connect with: redis-cli -p ${values['tls-port']} --tls --cacert FILE${certificate}`);
  }
  if (values.unixsocket !== '') logger.notice(`connect with: redis-cli -s ${values.unixsocket}`);
}
