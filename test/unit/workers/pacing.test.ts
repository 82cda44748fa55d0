import { describe, expect, it } from 'vitest';
import { TaskPace } from '../../../src/workers/pacing.js';

const step = (workMs: number, waitMs = 0, hasClients = true) => ({ workMs, waitMs, hasClients });

/** @param lateMs by how much each sleep is longer than asked for */
function paceOf(lateMs = 0) {
  const slept: number[] = [];
  const clock = {
    nowMs: 5000,
    now: () => clock.nowMs,
    sleep: async (ms: number) => {
      slept.push(ms);
      clock.nowMs += ms + lateMs;
    },
  };
  return { pace: new TaskPace(clock), clock, slept };
}

describe('the rest for a step', () => {
  it.each([
    { name: 'between commands', ...step(4), owedMs: 32 },
    { name: 'while there are none', ...step(4, 0, false), owedMs: 12 },
    { name: 'that waited as long as threads take to wake each other', ...step(4, 1), owedMs: 32 },
    { name: 'that waited for clients, or a processor', ...step(4, 5), owedMs: 152 },
    { name: 'on a machine that does nothing else any more', ...step(4, 2000), owedMs: 500 },
  ])('$name is $owedMs ms', ({ owedMs, ...times }) => {
    const { pace } = paceOf();
    pace.worked(times);
    expect(pace.owedMs).toBe(owedMs);
  });
});

describe('the rests of a task', () => {
  it('are taken between its steps, and the last one is left to who asks for the next task', async () => {
    const { pace, clock, slept } = paceOf();
    await pace.rest();
    pace.worked(step(2));
    expect(pace.mayGoOn).toBe(true);
    await pace.rest();
    clock.nowMs += 3;
    pace.worked(step(3));
    expect([slept, pace.owedMs, pace.tookMs]).toEqual([[16], 24, 19]);
  });

  it('are longer after one from which the worker came back late', async () => {
    const { pace, slept } = paceOf(4);
    pace.worked(step(1));
    await pace.rest();
    pace.worked(step(1, 1));
    expect([slept, pace.owedMs]).toEqual([[8], 8 + 30 * 4]);
  });

  it('end the task when they become too long, and what is left of them stays owed', async () => {
    const { pace, slept } = paceOf();
    pace.worked(step(10));
    await pace.rest();
    expect(pace.mayGoOn).toBe(true);
    pace.worked(step(15));
    expect(pace.mayGoOn).toBe(false);
    // Who has to do another step all the same rests for as long as there is time.
    await pace.rest();
    pace.worked(step(1));
    await pace.rest();
    expect([slept, pace.owedMs]).toEqual([[80, 20], 108]);
  });
});
