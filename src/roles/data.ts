import { resolve } from 'node:path';
import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { Store, type StoreEvents } from '../node/store.js';
import { StorageError } from '../workers/rocksdb.js';

/** Opens the data of a node that has some. @throws Error with a message for people */
export async function openData(config: Config, logger: Logger, events: StoreEvents): Promise<Store> {
  try {
    return await Store.open(config, logger, events);
  } catch (error) {
    throw explained(error, config.values.dir);
  }
}

function explained(error: unknown, directory: string): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  if (error instanceof StorageError && error.code === 'LOCKED')
    return new Error(
      `${directory} is in use by another vasto server. Stop it, or choose another directory with --dir.`,
      { cause: error },
    );
  return new Error(`cannot open the data in ${directory}: ${error.message}`, { cause: error });
}

/** Where the data is, for the log. */
export function describeData({ values }: Config): string {
  return `data in ${resolve(values.dir)}`;
}
