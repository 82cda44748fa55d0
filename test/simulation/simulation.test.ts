import { expect, test } from 'vitest';
import { envNumber, testSeed } from '../support/random.js';
import { scheduleOf } from './schedule.js';
import { noFigures, run, simulate } from './simulate.js';

/** `npm run simulate` runs more of them. */
const RUNS = envNumber('VASTO_SIMULATION_RUNS', 150);

test('the same schedule gives the same run', async () => {
  const seed = testSeed('a simulation twice');
  const [one, other] = [await run(scheduleOf(seed), true), await run(scheduleOf(seed), true)];
  expect(other.journal).toEqual(one.journal);
}, 120_000);

test('master and stores come to rest with everything that was acknowledged, whatever went wrong', async () => {
  const first = testSeed('simulated clusters');
  const figures = noFigures();
  for (let seed = first; seed < first + RUNS; seed++) {
    const failure = await simulate(seed, figures);
    if (failure !== undefined)
      throw new Error(`seed ${seed} (npm run simulate -- --seed ${seed} --runs 1): ${failure}`);
  }
  console.info('simulated clusters:', JSON.stringify(figures));
  expect(figures.acknowledged).toBeGreaterThan(0);
}, 600_000);
