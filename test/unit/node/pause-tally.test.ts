import { expect, test } from 'vitest';
import { PAUSE_BOUNDS_MS, PauseTally } from '../../../src/node/pause-tally.js';

test('pauses are told apart by how long they were', () => {
  const tally = new PauseTally();
  for (const ms of [0, 1, 1.5, 900, 60_000]) tally.add(ms);
  const withinMs = (bound: (typeof PAUSE_BOUNDS_MS)[number]) => tally.counts[PAUSE_BOUNDS_MS.indexOf(bound)];
  expect([withinMs(1), withinMs(2), withinMs(512), withinMs(1024), withinMs(16_384)]).toEqual([
    2, 3, 3, 4, 4,
  ]);
  expect([tally.count, tally.totalMs]).toEqual([5, 60_902.5]);
});
