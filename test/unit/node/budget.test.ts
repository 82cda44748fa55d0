import fc from 'fast-check';
import { expect, it } from 'vitest';
import { memoryBudget, rowCacheBytesMax } from '../../../src/node/budget.js';
import { check } from '../../support/replay.js';

const MIB = 1 << 20;

it('caches and the memtables of one shard a worker stay within what the node may use', () => {
  const property = fc.property(
    fc.integer({ min: 64, max: 1 << 20 }),
    fc.integer({ min: 1, max: 64 }),
    (totalMib, workers) => {
      const { totalBytes, rowCacheBytes, storage } = memoryBudget(totalMib * MIB, workers);
      expect(totalBytes).toBe(totalMib * MIB);
      expect(storage.memtableBytes).toBeGreaterThanOrEqual(MIB);
      expect(storage.memtableBytes).toBeLessThanOrEqual(8 * MIB);
      const memtables = storage.memtableBytes === MIB ? 0 : 6 * storage.memtableBytes;
      expect(workers * (rowCacheBytes + storage.blockCacheBytes + memtables)).toBeLessThanOrEqual(totalBytes);
      for (const bytes of [
        rowCacheBytes,
        storage.blockCacheBytes,
        storage.memtableBytes,
        storage.heapBytesMax,
      ])
        expect(Number.isSafeInteger(bytes) && bytes >= 0).toBe(true);
      expect(rowCacheBytesMax(storage.heapBytesMax)).toBeGreaterThanOrEqual(rowCacheBytes);
    },
  );
  return check(property, 1000);
});
