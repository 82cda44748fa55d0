import type { CommandError } from '../base/command-errors.js';
import type { WorkerSettings } from './protocol.js';
import { StorageError } from './rocksdb.js';
import type { RowCache } from './row-cache.js';
import type { Shard } from './shard.js';

/** What work on shards that does not come from commands needs of their worker. */
export interface StepsHost {
  readonly shards: ReadonlyMap<number, Shard>;
  readonly cache: RowCache;
  settings: WorkerSettings;
  refusal(shard: Shard): CommandError | undefined;
  commitFailed(shard: Shard, error: StorageError): CommandError;
  /** Changes of the shard are committed. */
  changed(shard: Shard): void;
  /** Lets clients go on that wait for what has changed, now that it is committed. */
  serveWaiting(shard: Shard): void;
  /** Does `work` between batches. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
}

/** Work on shards that does not come from commands: between batches of these, a step at a time. */
export class ShardSteps {
  /** That of the event loop in which a step has been begun. */
  private turn: Promise<void> | undefined;

  constructor(private readonly host: StepsHost) {}

  /** @throws Error where the worker does not own it */
  shard(id: number): Shard {
    const shard = this.host.shards.get(id);
    if (shard === undefined) throw new Error(`this worker does not own shard ${id}`);
    return shard;
  }

  /**
   * Does `work` between two batches. Rejects when the shard has gone meanwhile. No two such steps are in one turn of the
   * event loop, which is what brings batches: or else commands would wait for all steps of a task, not for one.
   */
  async between<T>(shard: Shard, work: () => Promise<T>): Promise<T> {
    while (this.turn !== undefined) await this.turn;
    this.turn = new Promise((resolve) => {
      setImmediate(() => {
        this.turn = undefined;
        resolve();
      });
    });
    return this.host.exclusive(async () => {
      if (this.host.shards.get(shard.id) !== shard)
        throw new Error(`shard ${shard.id} has been closed, or is at another worker: ask again`);
      shard.nowMs = Date.now();
      return work();
    });
  }

  /** The same, and commits what it staged, see Step. */
  step<T>(shard: Shard, work: () => T | Promise<T>): Promise<T> {
    const { host } = this;
    return this.between(shard, async () => {
      const refusal = host.refusal(shard);
      if (refusal !== undefined) throw new Error(`shard ${shard.id}: ${refusal.text}`);
      try {
        const result = await work();
        if (shard.hasChanges || shard.source().staged !== 0) {
          shard.commit(host.settings.appendfsync === 'always', false);
          host.changed(shard);
          host.serveWaiting(shard);
        }
        host.cache.evictCommitted();
        return result;
      } catch (error) {
        shard.rollback();
        if (error instanceof StorageError) host.commitFailed(shard, error);
        throw error;
      }
    });
  }
}
