import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { CommandStatistics, sumTotals } from '../../../src/base/command-statistics.js';

describe('command statistics', () => {
  it('count calls, time, failures and refusals of each command apart', () => {
    const statistics = new CommandStatistics(3);
    statistics.record(1, 10, false);
    statistics.record(1, 30, true);
    statistics.record(2, 5, false);
    statistics.reject(2);
    expect(statistics.read(0)).toMatchObject({ calls: 0, microseconds: 0, failed: 0, rejected: 0 });
    expect(statistics.read(1)).toMatchObject({ calls: 2, microseconds: 40, failed: 1, rejected: 0 });
    expect(statistics.read(2)).toMatchObject({ calls: 1, microseconds: 5, failed: 0, rejected: 1 });
    expect([statistics.calls(), statistics.callsOf(1)]).toEqual([3, 2]);
    statistics.clear();
    expect(statistics.calls()).toBe(0);
    expect(statistics.read(1).buckets.every((count) => count === 0)).toBe(true);
  });

  it('put each time into the bucket that is said to hold it', () => {
    for (const microseconds of [0, 1, 2, 3, 4, 7, 8, 1000, 2 ** 30, 2 ** 31 - 1]) {
      const statistics = new CommandStatistics(2);
      statistics.record(1, microseconds, false);
      const { buckets } = statistics.read(1);
      const bucket = buckets.indexOf(1);
      expect(microseconds).toBeLessThan(2 ** bucket);
      if (bucket > 0) expect(microseconds).toBeGreaterThanOrEqual(2 ** (bucket - 1));
      expect(statistics.read(0).buckets.includes(1)).toBe(false);
    }
  });

  it('are seen by other threads', async () => {
    const statistics = new CommandStatistics(1);
    const script = `const { workerData } = require('node:worker_threads');
      new Float64Array(workerData, 0, 4)[0] = 7;`;
    const worker = new Worker(script, { eval: true, workerData: statistics.shared });
    await new Promise((resolve) => worker.on('exit', resolve));
    expect(statistics.read(0).calls).toBe(7);
    expect(new CommandStatistics(1, statistics.shared).read(0).calls).toBe(7);
  });

  it('add up over threads', () => {
    const parts = [1, 2, 3].map((calls) => {
      const statistics = new CommandStatistics(1);
      for (let call = 0; call < calls; call++) statistics.record(0, 4, call === 0);
      return statistics.read(0);
    });
    const sum = sumTotals(parts);
    expect(sum).toMatchObject({ calls: 6, microseconds: 24, failed: 3, rejected: 0 });
    expect(sum.buckets[3]).toBe(6);
  });
});
