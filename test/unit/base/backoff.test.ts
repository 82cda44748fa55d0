import { expect, it } from 'vitest';
import { Backoff } from '../../../src/base/backoff.js';

it('tries again at once, then after a tenth of a second, in the end once a second', () => {
  const backoff = new Backoff(() => 0.5);
  const delays = Array.from({ length: 7 }, () => {
    const { delayMs } = backoff;
    backoff.grow();
    return delayMs;
  });
  expect(delays).toEqual([0, 100, 200, 400, 800, 1000, 1000]);
  backoff.reset();
  expect(backoff.delayMs).toBe(0);
});

it('spreads those who lost the same master', () => {
  const ends = [0, 1].map((random) => {
    const backoff = new Backoff(() => random);
    backoff.grow();
    return backoff.delayMs;
  });
  expect(ends).toEqual([75, 125]);
});
