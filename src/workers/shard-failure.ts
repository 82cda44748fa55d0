import { RowFormatError } from '../types/binary.js';
import { StorageError } from './rocksdb.js';

/**
 * What an error in work on a shard says of its disk: rows that cannot be read are damage of that shard alone, as is what
 * RocksDB finds.
 * @throws the error itself where it says nothing of the disk: a mistake of the program
 */
export function shardFailure(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  if (!(error instanceof RowFormatError)) throw error;
  return new StorageError(
    'CORRUPT',
    `what is stored cannot be read: ${error.message}. Restore the shard from a copy`,
    { cause: error },
  );
}
