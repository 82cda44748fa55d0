import { SLOTS } from './slots.js';

/** Most shards that a keyspace may have: cursors of SCAN name the shard in the bits above those of the position. */
export const SHARDS_MAX = 1024;

const MULTIPLIER = 2862933555777941757n;
const MASK = (1n << 64n) - 1n;

/**
 * Jump consistent hash (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014): when the number
 * of buckets grows from n to n + 1, a key stays or moves to the new bucket, and 1/(n + 1) of the keys move.
 * @param key unsigned 64-bit
 * @param buckets at least 1
 * @returns 0 … buckets − 1
 */
export function jumpHash(key: bigint, buckets: number): number {
  let state = key;
  let bucket = -1;
  let next = 0;
  while (next < buckets) {
    bucket = next;
    state = (state * MULTIPLIER + 1n) & MASK;
    next = Math.floor((bucket + 1) * (2 ** 31 / (Number(state >> 33n) + 1)));
  }
  return bucket;
}

const homes = new Map<number, Uint16Array>();

/** For each slot the shard, of so many, that it belongs to. The same for the same number everywhere and for ever. */
export function shardsOfSlots(shardCount: number): Uint16Array {
  if (!Number.isInteger(shardCount) || shardCount < 1 || shardCount > SHARDS_MAX)
    throw new RangeError(`a keyspace has 1 to ${SHARDS_MAX} shards, not ${shardCount}`);
  let table = homes.get(shardCount);
  if (table === undefined) {
    table = Uint16Array.from({ length: SLOTS }, (_, slot) => jumpHash(BigInt(slot), shardCount));
    homes.set(shardCount, table);
  }
  return table;
}
