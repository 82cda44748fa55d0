import { describe, expect, it } from 'vitest';
import { createDistribution, Zipf } from '../../../../src/cli/bench/distribution.js';
import { Random } from '../../../../src/cli/bench/random.js';
import { testSeed } from '../../../support/random.js';

const DRAWS = 200_000;
const seed = testSeed('bench distributions');

/** Pearson's statistic of counts against probabilities, and what it exceeds once in about 10^6 runs (Wilson–Hilferty). */
function chiSquare(counts: readonly number[], parts: readonly number[]): { value: number; limit: number } {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const value = counts.reduce(
    (sum, count, i) => sum + (count - total * parts[i]!) ** 2 / (total * parts[i]!),
    0,
  );
  const degrees = counts.length - 1;
  const spread = 2 / (9 * degrees);
  return { value, limit: degrees * (1 - spread + 4.9 * Math.sqrt(spread)) ** 3 };
}

function count(draw: () => number, size: number): number[] {
  const counts = new Array<number>(size).fill(0);
  for (let i = 0; i < DRAWS; i++) {
    const drawn = draw();
    expect(Number.isInteger(drawn) && drawn >= 0 && drawn < size).toBe(true);
    counts[drawn]!++;
  }
  return counts;
}

function zipfParts(size: number, exponent: number): number[] {
  const weights = Array.from({ length: size }, (_, rank) => (rank + 1) ** -exponent);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

describe('random numbers', () => {
  it('are the same for a seed, and others for another seed or stream', () => {
    const bits = (random: Random) => Array.from({ length: 8 }, () => random.bits());
    expect(bits(new Random(7))).toEqual(bits(new Random(7)));
    expect(bits(new Random(7))).not.toEqual(bits(new Random(8)));
    expect(bits(new Random(7, 1))).not.toEqual(bits(new Random(7, 2)));
    expect(bits(new Random(7 + 2 ** 33))).not.toEqual(bits(new Random(7)));
  });
});

describe('distributions', () => {
  it('uniform: every key as often', () => {
    const uniform = createDistribution({ name: 'uniform', exponent: 1 }, 50, new Random(seed), () => 0);
    const { value, limit } = chiSquare(
      count(() => uniform.next(), 50),
      new Array<number>(50).fill(1 / 50),
    );
    expect(value).toBeLessThan(limit);
  });

  it.each([0.5, 0.99, 1, 1.5, 3])('zipf with exponent %d is what it says', (exponent) => {
    const zipf = new Zipf(20, exponent, new Random(seed));
    const { value, limit } = chiSquare(
      count(() => zipf.next(), 20),
      zipfParts(20, exponent),
    );
    expect(value).toBeLessThan(limit);
  });

  it('zipf works for one key and for billions', () => {
    const random = new Random(seed);
    expect(new Zipf(1, 0.99, random).next()).toBe(0);
    const zipf = new Zipf(4e9, 0.99, random);
    const drawn = Array.from({ length: 20_000 }, () => zipf.next());
    expect(Math.max(...drawn)).toBeLessThan(4e9);
    expect(Math.max(...drawn)).toBeGreaterThan(1e8);
    expect(drawn.filter((rank) => rank === 0).length / drawn.length).toBeGreaterThan(0.02);
  });

  it('zipf over keys puts the popular ones apart and reaches all', () => {
    const zipf = createDistribution({ name: 'zipf', exponent: 0.99 }, 1000, new Random(seed), () => 0);
    const counts = count(() => zipf.next(), 1000);
    expect(counts.every((each) => each > 0)).toBe(true);
    const popular = counts.map((each, key) => ({ each, key })).sort((a, b) => b.each - a.each);
    expect(Math.abs(popular[0]!.key - popular[1]!.key)).toBeGreaterThan(1);
  });

  it('sequential goes round; latest likes the newest', () => {
    const sequential = createDistribution({ name: 'sequential', exponent: 1 }, 3, new Random(seed), () => 0);
    expect(Array.from({ length: 7 }, () => sequential.next())).toEqual([0, 1, 2, 0, 1, 2, 0]);
    const latest = createDistribution({ name: 'latest', exponent: 0.99 }, 100, new Random(seed), () => 5);
    const counts = count(() => latest.next(), 100);
    expect(counts.indexOf(Math.max(...counts))).toBe(5);
    expect(counts[4]).toBeGreaterThan(counts[90]!);
  });
});
