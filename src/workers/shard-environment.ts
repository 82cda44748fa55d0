import type { HybridClock } from '../base/clock.js';
import type { CollectionLimits } from '../types/collections/collection.js';
import type { RowCache } from './row-cache.js';

/** Knobs of a shard, kept current by CONFIG SET. */
export interface ShardKnobs {
  tombstoneRetentionMs: number;
  scanIdleMaxMs: number;
  collections: CollectionLimits;
}

/** What the shards of one worker share. */
export interface ShardEnvironment {
  readonly clock: HybridClock;
  readonly cache: RowCache;
  readonly knobs: ShardKnobs;
}

/** Counters since the worker began. */
export interface ShardCounters {
  keyspaceHits: number;
  keyspaceMisses: number;
  expired: number;
}
