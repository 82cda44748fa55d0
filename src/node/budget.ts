import { JOURNAL_MEMTABLES_MAX } from '../base/limits.js';
import type { HeapPolicy } from '../workers/pool.js';
import type { ShardStorage } from '../workers/protocol.js';

/** How `maxmemory` is spent. */
export interface MemoryBudget {
  readonly totalBytes: number;
  /** Row cache of each worker. */
  readonly rowCacheBytes: number;
  readonly heap: HeapPolicy;
}

/** Rows decoded are worth most: a hit needs no call to RocksDB. */
const ROW_CACHE_SHARE = 0.45;
/** RocksDB's cache of blocks, which hold more rows in the same memory. */
const BLOCK_CACHE_SHARE = 0.2;
const BLOCK_CACHE_BYTES_MIN = 1 << 20;
const MEMTABLE_BYTES_MIN = 1 << 20;
const MEMTABLE_BYTES_MAX = 8 << 20;
/** As long as the journal is: see FamilySizes. */
const LOG_MEMTABLE_BYTES_MAX = JOURNAL_MEMTABLES_MAX * MEMTABLE_BYTES_MAX;
/** RocksDB keeps up to six memtables of a family. */
const MEMTABLES_MAX = 6;
const MEMTABLE_SHARE = 0.2;
/** Of what is left of both, the next keyspace to be opened takes so much: most nodes use one, or one above all. */
const SHARE_OF_NEXT = 0.75;
const HEAP_BYTES_MIN = 2 ** 30;
/**
 * Collecting a heap when it has doubled, and having a large young generation, makes writes a seventh faster. Where little
 * memory is to be used, half of it would be garbage.
 */
const ROOMY_BYTES = 2 ** 30;
const ROOMY_HEAP = { growingPercent: 100, youngBytesMax: 96 << 20 };
const TIGHT_HEAP = { growingPercent: 25, youngBytesMax: 48 << 20 };
/** For batches, replies and garbage. */
const HEAP_SLACK_BYTES = 2 ** 29;

/** The largest row cache that a heap of so many bytes has room for. */
export function rowCacheBytesMax(heapBytesMax: number): number {
  return Math.floor((heapBytesMax - HEAP_SLACK_BYTES) / 2);
}

/** What one command may hold beside a row cache that is full: half of the rest, since tables and garbage take the other. */
export function heldBytesMax(heapBytesMax: number): number {
  return Math.floor((heapBytesMax - rowCacheBytesMax(heapBytesMax)) / 2);
}

/**
 * Divides the memory that the node may use for caches and memtables. The rest of the total is left for what
 * batches, replies and the JavaScript heap's slack take.
 */
export function memoryBudget(totalBytes: number, workers: number): MemoryBudget {
  const rowCacheBytes = Math.floor((totalBytes * ROW_CACHE_SHARE) / workers);
  return {
    totalBytes,
    rowCacheBytes,
    heap: {
      bytesMax: Math.max(HEAP_BYTES_MIN, 2 * rowCacheBytes + HEAP_SLACK_BYTES),
      ...(totalBytes < ROOMY_BYTES ? TIGHT_HEAP : ROOMY_HEAP),
    },
  };
}

/**
 * RocksDB's memory for a shard; that of any number of keyspaces adds up to no more than the whole, small memtables aside.
 * @param position how many keyspaces were opened before
 * @param siblings shards of the keyspace that are here, this one included: they are used alike
 */
export function shardStorage(totalBytes: number, position: number, siblings = 1): ShardStorage {
  const share = (SHARE_OF_NEXT * (1 - SHARE_OF_NEXT) ** position) / siblings;
  const memtableBytes = Math.floor((totalBytes * MEMTABLE_SHARE * share) / MEMTABLES_MAX);
  return {
    blockCacheBytes: Math.max(BLOCK_CACHE_BYTES_MIN, Math.floor(totalBytes * BLOCK_CACHE_SHARE * share)),
    memtableBytes: Math.min(MEMTABLE_BYTES_MAX, Math.max(MEMTABLE_BYTES_MIN, memtableBytes)),
    logMemtableBytes: Math.min(LOG_MEMTABLE_BYTES_MAX, Math.max(MEMTABLE_BYTES_MIN, memtableBytes)),
  };
}
