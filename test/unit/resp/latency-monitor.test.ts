import { describe, expect, test } from 'vitest';
import { Config } from '../../../src/base/config.js';
import { findCommand } from '../../../src/commands/table.js';
import { LATENCY_SAMPLES_MAX, LatencyMonitor } from '../../../src/resp/latency-monitor.js';

const SLOW = findCommand('keys')!;
const FAST = findCommand('get')!;

function monitor(thresholdMs: number) {
  const clock = { nowMs: 1_700_000_000_000 };
  const config = Config.load({ flags: ['--latency-monitor-threshold', String(thresholdMs)] });
  return { clock, latency: new LatencyMonitor(config, () => clock.nowMs) };
}

describe('the latency monitor', () => {
  test('takes samples from the threshold on, by kind of command', () => {
    const { latency } = monitor(10);
    latency.sampleCommand(SLOW, 9999);
    expect(latency.events()).toEqual([]);
    latency.sampleCommand(SLOW, 10_000);
    latency.sampleCommand(FAST, 25_700);
    expect(latency.events()).toEqual([
      { name: 'command', samples: [{ unixSeconds: 1_700_000_000, milliseconds: 10 }], worstMs: 10 },
      { name: 'fast-command', samples: [{ unixSeconds: 1_700_000_000, milliseconds: 25 }], worstMs: 25 },
    ]);
  });

  test('is off with threshold 0', () => {
    const { latency } = monitor(0);
    latency.sampleCommand(SLOW, 10_000_000);
    expect(latency.events()).toEqual([]);
  });

  test('keeps the worst of each second', () => {
    const { latency, clock } = monitor(1);
    for (const ms of [5, 9, 7]) latency.sampleCommand(SLOW, ms * 1000);
    clock.nowMs += 1000;
    latency.sampleCommand(SLOW, 3000);
    const event = latency.event('command')!;
    expect(event.samples.map(({ milliseconds }) => milliseconds)).toEqual([9, 3]);
    expect(event.worstMs).toBe(9);
  });

  test('keeps so many samples, and remembers the worst of all', () => {
    const { latency, clock } = monitor(1);
    latency.sampleCommand(SLOW, 99_000);
    for (let index = 0; index < LATENCY_SAMPLES_MAX; index++) {
      clock.nowMs += 1000;
      latency.sampleCommand(SLOW, 2000);
    }
    const event = latency.event('command')!;
    expect(event.samples.length).toBe(LATENCY_SAMPLES_MAX);
    expect(event.samples.every(({ milliseconds }) => milliseconds === 2)).toBe(true);
    expect(event.worstMs).toBe(99);
  });

  test('forgets what is named, or all, and tells how many', () => {
    const { latency } = monitor(1);
    latency.sampleCommand(SLOW, 5000);
    latency.sampleCommand(FAST, 5000);
    expect(latency.reset(['nosuch'])).toBe(0);
    expect(latency.reset(['command', 'nosuch'])).toBe(1);
    expect(latency.event('command')).toBeUndefined();
    expect(latency.reset()).toBe(1);
  });
});
