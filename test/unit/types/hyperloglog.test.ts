import { expect, test } from 'vitest';
import { estimateCount, HyperLogLog, isHyperLogLog } from '../../../src/types/hyperloglog.js';
import { REGISTER_COUNT } from '../../../src/types/hyperloglog-sparse.js';
import { type Hash64, murmurHash64A } from '../../../src/types/murmur-hash.js';
import { Random, testSeed } from '../../support/random.js';

const random = new Random(testSeed('hyperloglog'));
const MASK = (1n << 64n) - 1n;

/** The same hash in 64-bit arithmetic, to compare with. */
function murmurByBigInt(bytes: Buffer, seed: bigint): bigint {
  const multiplier = 0xc6a4a7935bd1e995n;
  let hash = seed ^ ((BigInt(bytes.length) * multiplier) & MASK);
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) {
    let block = (bytes.readBigUInt64LE(at) * multiplier) & MASK;
    block ^= block >> 47n;
    hash = ((hash ^ ((block * multiplier) & MASK)) * multiplier) & MASK;
  }
  if (at < bytes.length) {
    let rest = 0n;
    for (let index = bytes.length - 1; index >= at; index--) rest = (rest << 8n) | BigInt(bytes[index]!);
    hash = ((hash ^ rest) * multiplier) & MASK;
  }
  hash ^= hash >> 47n;
  hash = (hash * multiplier) & MASK;
  return hash ^ (hash >> 47n);
}

test('the hash in 32-bit halves equals the one in 64 bits', () => {
  const target: Hash64 = { high: 0, low: 0 };
  for (let round = 0; round < 500; round++) {
    const bytes = Buffer.from(random.bytes(random.int(0, 40)), 'latin1');
    const seed = random.int(0, 0xffffffff);
    murmurHash64A(bytes, seed, target);
    expect((BigInt(target.high) << 32n) | BigInt(target.low)).toBe(murmurByBigInt(bytes, BigInt(seed)));
  }
});

function registersOf(sketch: HyperLogLog): Buffer {
  const registers = Buffer.alloc(REGISTER_COUNT);
  expect(sketch.mergeInto(registers)).toBe(true);
  return registers;
}

test('sparse, then dense, the registers hold the largest ranks', () => {
  for (let round = 0; round < 20; round++) {
    const sketch = HyperLogLog.empty();
    const expected = new Uint8Array(REGISTER_COUNT);
    // Near each other, so that runs are split and joined in all ways.
    const base = random.int(0, REGISTER_COUNT - 200);
    for (let step = 0; step < 400; step++) {
      const index = random.chance(0.8) ? base + random.int(0, 199) : random.int(0, REGISTER_COUNT - 1);
      const rank = random.int(1, random.chance(0.1) && round > 10 ? 50 : 4);
      expect(sketch.raise(index, rank)).toBe(rank > expected[index]!);
      expected[index] = Math.max(expected[index]!, rank);
      if (step % 50 === 0) expect(registersOf(sketch).equals(expected)).toBe(true);
    }
    expect(registersOf(sketch).equals(expected)).toBe(true);
    expect(sketch.toDense()).toBe(true);
    expect(registersOf(sketch).equals(expected)).toBe(true);
    expect(isHyperLogLog(sketch.encoded())).toBe(true);
    expect(estimateCount(registersOf(HyperLogLog.of(sketch.encoded())))).toBe(estimateCount(expected));
  }
});

test('a rank above 32 makes a sketch dense', () => {
  const sketch = HyperLogLog.empty();
  sketch.raise(5, 32);
  expect(sketch.isDense).toBe(false);
  sketch.raise(REGISTER_COUNT - 1, 33);
  expect(sketch.isDense).toBe(true);
  expect(registersOf(sketch)[REGISTER_COUNT - 1]).toBe(33);
});

test('a sketch of a stored Buffer is copied before the first change', () => {
  const original = HyperLogLog.empty();
  original.toDense();
  const stored = original.encoded();
  const before = Buffer.from(stored);
  const sketch = HyperLogLog.of(stored);
  sketch.add(Buffer.from('x'));
  sketch.cacheCount(7);
  expect(stored.equals(before)).toBe(true);
  expect(sketch.cachedCount()).toBe(7n);
  sketch.invalidate();
  expect(sketch.cachedCount()).toBeUndefined();
});

test('estimates are within the error of 0.81 %, three times', () => {
  const sketch = HyperLogLog.empty();
  for (let index = 0; index < 50_000; index++) sketch.add(Buffer.from(`${index}`));
  expect(Math.abs(estimateCount(registersOf(sketch)) / 50_000 - 1)).toBeLessThan(0.0243);
});
