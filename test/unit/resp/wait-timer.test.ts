import { expect, it, vi } from 'vitest';
import { WaitTimer } from '../../../src/resp/wait-timer.js';

it('a client that waits is told in time though the clock was set back meanwhile', async () => {
  const { now } = Date;
  const startMs = performance.now();
  const due = new Promise<void>((resolve) => new WaitTimer(startMs + 20, resolve));
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() - 3_600_000);
  await due;
  clock.mockRestore();
  expect(performance.now()).toBeGreaterThanOrEqual(startMs + 20);
});
