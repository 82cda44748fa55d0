import { describe, expect, it } from 'vitest';
import { HybridClock, timestampOf, unixMsOf } from '../../../src/base/clock.js';
import { seeded } from '../../support/replay.js';

const NOW_MS = 1_700_000_000_000;

describe('the hybrid clock', () => {
  it('follows the wall clock, and counts within a millisecond', () => {
    const clock = new HybridClock();
    expect(clock.next(NOW_MS, 0)).toBe(timestampOf(NOW_MS));
    expect(clock.next(NOW_MS, 0)).toBe(timestampOf(NOW_MS) + 1);
    expect(clock.next(NOW_MS + 1, 0)).toBe(timestampOf(NOW_MS + 1));
  });

  it('borrows from the next millisecond when one has too many writes', () => {
    const clock = new HybridClock();
    let last = 0;
    for (let write = 0; write < 3000; write++) last = clock.next(NOW_MS, 0);
    expect(unixMsOf(last)).toBe(NOW_MS + 2);
    expect(clock.next(NOW_MS + 1, 0)).toBe(last + 1);
  });

  it('takes the earliest timestamp of a millisecond for an event time', () => {
    for (const unixMs of [0, 1, NOW_MS, 8_000_000_000_000]) {
      expect(unixMsOf(timestampOf(unixMs))).toBe(unixMs);
      expect(unixMsOf(timestampOf(unixMs) - 1)).toBe(unixMs - 1);
      expect(Number.isSafeInteger(timestampOf(unixMs) + 1023)).toBe(true);
    }
  });

  it('is later than everything seen, wherever the wall clock goes', () =>
    seeded(100, (random) => {
      const clock = new HybridClock();
      let nowMs = NOW_MS;
      let seen = 0;
      for (let step = 0; step < 300; step++) {
        nowMs += random.int(-1000, 1000);
        if (random.chance(0.2)) {
          const other = timestampOf(nowMs + random.int(-5000, 5000)) + random.int(0, 1023);
          clock.observe(other);
          seen = Math.max(seen, other);
        } else {
          const above = random.chance(0.5) ? 0 : timestampOf(nowMs + random.int(-2000, 2000));
          const next = clock.next(nowMs, above);
          expect(next).toBeGreaterThan(seen);
          expect(next).toBeGreaterThan(above);
          expect(next).toBe(Math.max(timestampOf(nowMs), Math.max(seen, above) + 1));
          seen = next;
        }
      }
    }));
});
