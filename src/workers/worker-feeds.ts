import type { CommandError } from '../base/command-errors.js';
import { copySlice } from './feed-copy.js';
import type { FeedTask } from './feed-protocol.js';
import { feedState, logState, readLog, stageLogging } from './feed-source.js';
import { FeedTarget, removeSlots } from './feed-target.js';
import type { WorkerSettings } from './protocol.js';
import { StorageError } from './rocksdb.js';
import type { RowCache } from './row-cache.js';
import type { Shard } from './shard.js';

/** What feeds need of their worker. */
export interface FeedsHost {
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

/** The worker's side of ShardFeeds. */
export class WorkerFeeds {
  constructor(private readonly host: FeedsHost) {}

  /** @returns what FeedReplies says */
  run(task: FeedTask): Promise<unknown> {
    const shard = this.host.shards.get(task.shard);
    if (shard === undefined) throw new Error(`this worker does not own shard ${task.shard}`);
    const read = <T>(work: () => T) => this.between(shard, async () => work());
    const step = <T>(work: () => T | Promise<T>) => this.step(shard, work);
    switch (task.kind) {
      case 'setLogging':
        return step(() => stageLogging(shard, task.on)).then(() => read(() => logState(shard)));
      case 'feedState':
        return read(() => feedState(shard));
      case 'readLog':
        return read(() => readLog(shard, task.after, task.bytesMax, task.slots));
      case 'trimLog':
        return step(() => shard.replication.log.trim(shard.source(), task.through));
      case 'copySlice':
        return read(() => copySlice(shard, task.after, task.slots, task.bytesMax));
      case 'beginCopy':
        return new FeedTarget(shard, task.feed, step).begin(task.begin, task.slots);
      case 'resumeFeed':
        return new FeedTarget(shard, task.feed, step).resume(task.slots);
      case 'applyCopy':
        return new FeedTarget(shard, task.feed, step).applyCopy(task.slice);
      case 'applyRecords':
        return new FeedTarget(shard, task.feed, step).applyRecords(task.chunk);
      case 'forgetFeed':
        return new FeedTarget(shard, task.feed, step).end();
      case 'show':
        return read(() => shard.hidden.show(task.shown)).then(() =>
          task.shown?.keepsOthers ? step(() => shard.replication.forgetFlush()) : undefined,
        );
      case 'removeSlots':
        return removeSlots(shard, step, task.slots, task.after);
    }
  }

  private between<T>(shard: Shard, work: () => Promise<T>): Promise<T> {
    return this.host.exclusive(async () => {
      if (this.host.shards.get(shard.id) !== shard)
        throw new Error(`shard ${shard.id} has been closed, or is at another worker: ask again`);
      shard.nowMs = Date.now();
      return work();
    });
  }

  private step<T>(shard: Shard, work: () => T | Promise<T>): Promise<T> {
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
