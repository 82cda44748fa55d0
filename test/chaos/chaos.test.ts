import { describe, expect, test } from 'vitest';
import { testSeed } from '../support/random.js';
import { SUBJECT } from '../support/server.js';
import { runChaos } from './run.js';

/** The first rounds of a run; `npm run chaos` goes on for longer. */
const ROUNDS = 3;

describe.skipIf(SUBJECT === 'redis')('a cluster of processes that are broken in many ways', () => {
  test('has what its clients were told, on all copies, and excuses for what failed', async () => {
    const timeline: string[] = [];
    const { findings } = await runChaos({
      seed: testSeed('chaos'),
      stores: 5,
      rounds: ROUNDS,
      minutes: 1,
      thinkMs: 15,
      ballastRows: 500,
      report: (line) => void timeline.push(line),
    });
    expect(findings, timeline.join('\n')).toEqual([]);
  }, 300_000);
});
