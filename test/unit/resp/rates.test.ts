import { expect, test } from 'vitest';
import { Rates } from '../../../src/resp/rates.js';

test('a rate is the mean of the last samples, over a reset of the counter too', () => {
  const rates = new Rates();
  rates.stop();
  let counter = 0;
  const rate = rates.of(() => counter);
  expect(rate.perSecond).toBe(0);
  const begin = performance.now() + 1000;
  rates.sample(begin);
  for (let round = 1; round <= 16; round++) {
    counter += 50;
    rates.sample(begin + round * 100);
  }
  expect(rate.perSecond).toBeCloseTo(500);
  counter = 50;
  rates.sample(begin + 1700);
  expect(rate.perSecond).toBeCloseTo(500);
  for (let round = 18; round <= 40; round++) rates.sample(begin + round * 100);
  expect(rate.perSecond).toBe(0);
});
