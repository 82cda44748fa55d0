import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { lzfCompress, lzfDecompress } from '../../../src/base/lzf.js';
import { Random, testSeed } from '../../support/random.js';

/** Text with repetitions: words of a few letters, runs, and now and then noise. */
function compressible(random: Random): Buffer {
  let text = '';
  const length = random.int(1, random.chance(0.1) ? 40_000 : 400);
  while (text.length < length) {
    const kind = random.int(0, 9);
    if (kind === 0) text += random.bytes(random.int(1, 60));
    else if (kind === 1) text += 'z'.repeat(random.int(1, 600));
    else text += random.pick(['alpha', 'beta', 'gamma', 'a', 'bb', '0123456789']);
  }
  return Buffer.from(text, 'latin1');
}

describe('LZF', () => {
  test('random texts come back', () => {
    const random = new Random(testSeed('lzf'));
    let compressedCount = 0;
    for (let round = 0; round < 2000; round++) {
      const input = compressible(random);
      const compressed = lzfCompress(input);
      if (compressed === undefined) continue;
      compressedCount++;
      expect(compressed.length).toBeLessThanOrEqual(input.length - 4);
      expect(lzfDecompress(compressed, input.length)?.equals(input)).toBe(true);
    }
    expect(compressedCount).toBeGreaterThan(1000);
  });

  test('gives up on what does not shrink', () => {
    expect(lzfCompress(Buffer.from('abcdefghijklmnopqrstuvwxyz'))).toBeUndefined();
    expect(lzfCompress(Buffer.alloc(0))).toBeUndefined();
    expect(lzfCompress(Buffer.from('aaaa'))).toBeUndefined();
  });

  test('overlapping copies repeat what they write', () => {
    expect(lzfDecompress(Buffer.from([0, 0x61, 0xe0, 0x01, 0x00]), 11)?.toString()).toBe('aaaaaaaaaaa');
  });

  test.each([
    ['a length that is too short', [0, 0x61], 2],
    ['a length that is too long', [1, 0x61, 0x62], 1],
    ['literals cut off', [5, 0x61], 6],
    ['a copy from before the beginning', [0, 0x61, 0x20, 0x05], 4],
    ['a copy cut off', [0, 0x61, 0x20], 4],
    ['a long copy cut off', [0, 0x61, 0xe0], 10],
    ['an absurd length', [0, 0x61], 2 ** 40],
  ])('refuses %s', (_what, bytes, length) => {
    expect(lzfDecompress(Buffer.from(bytes), length)).toBeUndefined();
  });

  test('refuses or survives any bytes', () => {
    const random = new Random(testSeed('lzf garbage'));
    for (let round = 0; round < 5000; round++) {
      const length = random.int(0, 100);
      const output = lzfDecompress(Buffer.from(random.bytes(random.int(0, 40)), 'latin1'), length);
      expect(output === undefined || output.length === length).toBe(true);
    }
  });
});
