import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jumpHash, SHARDS_MAX, shardsOfSlots } from '../../../src/cluster/jump-hash.js';
import { SLOTS } from '../../../src/cluster/slots.js';
import { check } from '../../support/replay.js';

function byDefinition(key: bigint, buckets: number): number {
  let [bucket, next] = [-1, 0];
  for (let state = key; next < buckets; ) {
    bucket = next;
    state = BigInt.asUintN(64, state * 2862933555777941757n + 1n);
    next = Math.floor((bucket + 1) * (2 ** 31 / (Number(state >> 33n) + 1)));
  }
  return bucket;
}

describe('jumpHash', () => {
  it('gives the values that Guava publishes for its consistentHash, which is the same function', () => {
    const first = Array.from({ length: 20 }, (_, key) => jumpHash(BigInt(key), 100));
    expect(first).toEqual([0, 55, 62, 8, 45, 59, 86, 97, 82, 59, 73, 37, 17, 56, 86, 21, 90, 37, 38, 83]);
    expect(jumpHash(10863919174838991n, 11)).toBe(6);
    expect(jumpHash(2016238256797177309n, 11)).toBe(3);
    expect(jumpHash(1673758223894951030n, 11)).toBe(5);
    expect(jumpHash(2n, 100001)).toBe(80343);
    expect(jumpHash(2201n, 100001)).toBe(22152);
    expect(jumpHash(2202n, 100001)).toBe(15018);
  });

  it('is what the definition says, in arithmetic of 64 bits, for any key', () => {
    const key = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const buckets = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 100_000 }));
    const property = fc.property(key, buckets, (any, count) => {
      expect(jumpHash(any, count)).toBe(byDefinition(any, count));
    });
    return check(property, 2000);
  });

  it('takes the largest key', () => {
    expect(jumpHash(2n ** 64n - 1n, 1)).toBe(0);
    expect(jumpHash(2n ** 64n - 1n, 7)).toBeLessThan(7);
  });
});

describe('shardsOfSlots', () => {
  it('moves slots only to the shard that is new, and only about its share of them', () => {
    for (let shards = 1; shards < 40; shards++) {
      const before = shardsOfSlots(shards);
      const after = shardsOfSlots(shards + 1);
      let moved = 0;
      for (let slot = 0; slot < SLOTS; slot++) {
        if (before[slot] === after[slot]) continue;
        expect(after[slot]).toBe(shards);
        moved++;
      }
      const ideal = SLOTS / (shards + 1);
      expect(Math.abs(moved - ideal) / ideal).toBeLessThan(0.2);
    }
  });

  it('is balanced', () => {
    for (const shards of [2, 3, 5, 8, 16, 33, 64]) {
      const counts = new Array<number>(shards).fill(0);
      for (const shard of shardsOfSlots(shards)) counts[shard]!++;
      const ideal = SLOTS / shards;
      for (const count of counts) expect(Math.abs(count - ideal) / ideal).toBeLessThan(0.25);
    }
  });

  it('knows its bounds', () => {
    expect(shardsOfSlots(SHARDS_MAX)).toHaveLength(SLOTS);
    for (const shards of [0, -1, 1.5, SHARDS_MAX + 1, Number.NaN])
      expect(() => shardsOfSlots(shards)).toThrow(RangeError);
  });
});
