import { SLOTS } from './slots.js';

/** Most shards that a keyspace may have: cursors of SCAN name the shard in the bits above those of the position. */
export const SHARDS_MAX = 1024;

/** Of Knuth's generator of 64 bits, 2862933555777941757, in halves of 32: arithmetic of 64 bits would take BigInt. */
const MULTIPLIER_HIGH = 666_578_662;
const MULTIPLIER_LOW = 2_276_503_805;

/**
 * Jump consistent hash (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014): when the number
 * of buckets grows from n to n + 1, a key stays or moves to the new bucket, and 1/(n + 1) of the keys move.
 * @param key unsigned 64-bit
 * @param buckets at least 1
 * @returns 0 … buckets − 1
 */
export function jumpHash(key: bigint, buckets: number): number {
  return jump(Number(key >> 32n), Number(key & 0xffffffffn), buckets);
}

/** @param high, low the key, in halves of 32 bits, unsigned */
function jump(high: number, low: number, buckets: number): number {
  let bucket = -1;
  let next = 0;
  while (next < buckets) {
    bucket = next;
    const product =
      highProduct(low, MULTIPLIER_LOW) + Math.imul(high, MULTIPLIER_LOW) + Math.imul(low, MULTIPLIER_HIGH);
    low = (Math.imul(low, MULTIPLIER_LOW) + 1) >>> 0;
    // Adding one carries where that makes the lower half 0.
    high = (product + (low === 0 ? 1 : 0)) >>> 0;
    next = Math.floor((bucket + 1) * (2 ** 31 / ((high >>> 1) + 1)));
  }
  return bucket;
}

/** The upper 32 bits of a product of two numbers of 32. */
function highProduct(one: number, other: number): number {
  const lower = (one & 0xffff) * other;
  const upper = (one >>> 16) * other;
  return Math.floor((upper + Math.floor(lower / 0x10000)) / 0x10000);
}

const homes = new Map<number, Uint16Array>();

/** For each slot the shard, of so many, that it belongs to. The same for the same number everywhere and for ever. */
export function shardsOfSlots(shardCount: number): Uint16Array {
  if (!Number.isInteger(shardCount) || shardCount < 1 || shardCount > SHARDS_MAX)
    throw new RangeError(`a keyspace has 1 to ${SHARDS_MAX} shards, not ${shardCount}`);
  let table = homes.get(shardCount);
  if (table === undefined) {
    table = new Uint16Array(SLOTS);
    for (let slot = 0; slot < SLOTS; slot++) table[slot] = jump(0, slot, shardCount);
    homes.set(shardCount, table);
  }
  return table;
}
