import { CommandError } from '../base/command-errors.js';
import type { Shard } from './shard.js';
import { shardFailure } from './shard-failure.js';
import type { WatchRecord } from './watch-table.js';

/**
 * The watches of clients on the shards of a worker, with what the commands since the last commit did to them: those
 * that are run again, because a commit failed, must find the watches as they were.
 */
export class BatchWatches {
  private begun: { segment: number; shard: Shard; clientId: number }[] = [];
  /** Those that EXEC or UNWATCH has ended. */
  private ended: { segment: number; shard: Shard; records: WatchRecord[] }[] = [];

  constructor(private readonly shards: ReadonlyMap<number, Shard>) {}

  /** WATCH, in a segment of the batch. */
  begin(segment: number, shard: Shard, clientId: number, key: string): void {
    shard.watches.watch(clientId, key, shard.peek(key) !== undefined);
    this.begun.push({ segment, shard, clientId });
  }

  /** Whether a key that the client watches has changed; an error if that cannot be told. */
  broken(clientId: number, nowMs: number): boolean | CommandError {
    try {
      for (const shard of this.shards.values()) {
        if (shard.watches.size === 0) continue;
        shard.nowMs = nowMs;
        if (shard.watches.isBroken(clientId, (key) => shard.peek(key) !== undefined)) return true;
      }
    } catch (error) {
      const { message } = shardFailure(error);
      return new CommandError(`EXECABORT Transaction discarded because of: ${message}`);
    }
    return false;
  }

  /** Ends all watches of the client. */
  end(segment: number, clientId: number): void {
    for (const shard of this.shards.values()) {
      const records = shard.watches.exportOf(clientId);
      if (records.length === 0) continue;
      this.ended.push({ segment, shard, records });
      shard.watches.unwatch(clientId);
    }
  }

  /** Puts back the watches of the transactions that will run again: all but those in the segments that are kept. */
  restore(kept: ReadonlyMap<number, unknown>): void {
    for (const { segment, shard, records } of this.ended)
      if (!kept.has(segment)) shard.watches.import(records);
    // Watches that were begun by what will not run again may be ended by what will: such a client's next EXEC fails,
    // which costs it another try, where one that succeeded by mistake would cost data.
    for (const { segment, shard, clientId } of this.begun)
      if (kept.has(segment)) shard.watches.breakAll(clientId);
  }

  /** What was done to watches stands. */
  forget(): void {
    if (this.begun.length > 0) this.begun = [];
    if (this.ended.length > 0) this.ended = [];
  }
}

/** Two databases change places: what is watched on one is watched on the other. */
export function exchangeWatches(shard: Shard, target: Shard): void {
  shard.watches.exchange(target.watches, (key) => {
    try {
      return shard.peek(key) !== undefined || target.peek(key) !== undefined;
    } catch (error) {
      shardFailure(error);
      // A key that cannot be read may be there.
      return true;
    }
  });
}
