import type { Batch } from './batch.js';
import type { ExecutorHost } from './executor.js';
import { eachCommand } from './prefetch.js';
import { StorageError } from './rocksdb.js';

/** Makes ready what flushes need of the shards that a batch flushes. A shard that cannot be made ready takes no writes. */
export async function prepareFlushes(batch: Batch, host: ExecutorHost): Promise<void> {
  const shards = new Set<number>();
  eachCommand(batch, (_command, shard) => shards.add(shard));
  for (const id of shards) {
    const shard = host.shards.get(id);
    if (shard === undefined) continue;
    try {
      await shard.prepareFlush();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      host.commitFailed(shard, error);
    }
  }
}
