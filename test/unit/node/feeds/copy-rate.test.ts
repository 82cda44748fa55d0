import { describe, expect, it } from 'vitest';
import { CopyRate } from '../../../../src/node/feeds/copy-rate.js';

describe('the rate of copies', () => {
  it('is kept over all that was sent', () => {
    const rate = new CopyRate(() => 1000);
    rate.spend(500, 10_000);
    expect(rate.dueMs(10_000)).toBe(500);
    rate.spend(500, 10_100);
    expect(rate.dueMs(10_100)).toBe(900);
    expect(rate.dueMs(11_000)).toBe(0);
    // Time in which nothing was sent is not saved up.
    rate.spend(1000, 20_000);
    expect(rate.dueMs(20_000)).toBe(1000);
  });

  it('counts as it is now', () => {
    let bytesPerSecond = 10;
    const rate = new CopyRate(() => bytesPerSecond);
    rate.spend(1000, 0);
    expect(rate.dueMs(0)).toBe(100_000);
    bytesPerSecond = 1000;
    expect(rate.dueMs(500)).toBe(500);
    bytesPerSecond = 0;
    expect(rate.dueMs(500)).toBe(0);
    rate.spend(1000, 500);
    expect(rate.dueMs(500)).toBe(0);
  });

  it('and rests are over when both are, whatever becomes of the clock', () => {
    const rate = new CopyRate(() => 1000);
    rate.spend(500, 10_000);
    expect(rate.waitMs(800, 10_000, 10_000)).toBe(800);
    expect(rate.waitMs(300, 10_000, 10_100)).toBe(400);
    expect(rate.waitMs(800, 10_000, 10_600)).toBe(200);
    expect(rate.waitMs(800, 10_000, 2000)).toBe(0);
  });
});
