import { describe, expect, test } from 'vitest';
import { FEED_MARKS_MAX } from '../../../../src/base/limits.js';
import { FeedMeter } from '../../../../src/node/feeds/feed-meter.js';

describe('the lag of a feed', () => {
  test('is since when the source has had what is not here', () => {
    const meter = new FeedMeter();
    meter.tailing(10);
    expect(meter.isLevel).toBe(false);
    meter.headIs(10, 1000);
    expect([meter.isLevel, meter.records, meter.lagMs(5000)]).toEqual([true, 0, 0]);
    meter.headIs(12, 1500);
    meter.headIs(20, 2000);
    expect([meter.isLevel, meter.records, meter.lagMs(2100)]).toEqual([false, 10, 600]);
    meter.reached(15);
    expect([meter.isLevel, meter.records, meter.lagMs(2100)]).toEqual([false, 5, 100]);
    meter.reached(20);
    expect([meter.isLevel, meter.records, meter.lagMs(2100)]).toEqual([true, 0, 0]);
  });

  test('is not known to be none before the source of this conversation has said where its log ends', () => {
    const meter = new FeedMeter();
    meter.tailing(10);
    meter.headIs(10, 1000);
    meter.tailing(10);
    expect(meter.isLevel).toBe(false);
    meter.headIs(10, 2000);
    expect(meter.isLevel).toBe(true);
    meter.copying();
    meter.headIs(11, 3000);
    expect(meter.isLevel).toBe(false);
  });

  test('takes a bounded number of moments', () => {
    const meter = new FeedMeter();
    meter.tailing(0);
    for (let sequence = 1; sequence <= 2 * FEED_MARKS_MAX; sequence++) meter.headIs(sequence, sequence);
    expect(meter.lagMs(3 * FEED_MARKS_MAX)).toBe(3 * FEED_MARKS_MAX - 1);
    meter.reached(2 * FEED_MARKS_MAX - 1);
    expect(meter.isLevel).toBe(false);
    meter.reached(2 * FEED_MARKS_MAX);
    expect(meter.isLevel).toBe(true);
  });
});
