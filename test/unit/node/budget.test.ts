import fc from 'fast-check';
import { expect, it } from 'vitest';
import { memoryBudget, rowCacheBytesMax, shardStorage } from '../../../src/node/budget.js';
import { check } from '../../support/replay.js';

const MIB = 1 << 20;

it('row caches of all workers stay within what the node may use, and the heap has room for them', () => {
  const property = fc.property(
    fc.integer({ min: 64, max: 1 << 20 }),
    fc.integer({ min: 1, max: 64 }),
    (totalMib, workers) => {
      const { totalBytes, rowCacheBytes, heap } = memoryBudget(totalMib * MIB, workers);
      expect(totalBytes).toBe(totalMib * MIB);
      expect(workers * rowCacheBytes).toBeLessThanOrEqual(0.45 * totalBytes);
      expect(rowCacheBytesMax(heap.bytesMax)).toBeGreaterThanOrEqual(rowCacheBytes);
    },
  );
  return check(property, 1000);
});

it('what RocksDB gets for any number of shards adds up to its share', () => {
  const property = fc.property(
    fc.integer({ min: 64, max: 1 << 20 }),
    fc.integer({ min: 1, max: 64 }),
    (totalMib, shards) => {
      let bytes = 0;
      for (let position = 0; position < shards; position++) {
        const storage = shardStorage(totalMib * MIB, position);
        const { blockCacheBytes, memtableBytes, logMemtableBytes } = storage;
        expect(logMemtableBytes! >= memtableBytes && logMemtableBytes! <= 32 * MIB).toBe(true);
        expect(Number.isSafeInteger(blockCacheBytes) && blockCacheBytes >= MIB).toBe(true);
        expect(memtableBytes >= MIB && memtableBytes <= 8 * MIB).toBe(true);
        // The smallest sizes are beyond the share, but small.
        if (blockCacheBytes > MIB) bytes += blockCacheBytes;
        if (memtableBytes > MIB) bytes += 6 * Math.max(memtableBytes, logMemtableBytes!);
      }
      expect(bytes).toBeLessThanOrEqual(0.4 * totalMib * MIB);
    },
  );
  return check(property, 1000);
});
