import type { HybridClock } from '../base/clock.js';
import type { CollectionLimits } from '../types/collections/collection.js';
import type { RowCache } from './row-cache.js';

/** Knobs of a shard, kept current by CONFIG SET. */
export interface ShardKnobs {
  tombstoneRetentionMs: number;
  scanIdleMaxMs: number;
  collections: CollectionLimits;
  /** What the feed log of a shard may have. */
  feedLogBytesMax: number;
  /** How far the timestamp of a row that comes by a feed may be ahead of the clock. */
  feedDriftMaxMs: number;
}

/** What the shards of one worker share. */
export interface ShardEnvironment {
  readonly clock: HybridClock;
  /**
   * A random number from 1 to 2^24 − 1, another one with each start: of two writes with the same timestamp it tells that they are
   * not the same one, as different clocks may give it.
   */
  readonly origin: number;
  readonly cache: RowCache;
  readonly knobs: ShardKnobs;
  /** Which start of the machine this is: another text after the machine went down. */
  readonly machine: string;
}

/** Counters since the worker began. */
export interface ShardCounters {
  keyspaceHits: number;
  keyspaceMisses: number;
  expired: number;
}
