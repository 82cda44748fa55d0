import { expect, test } from 'vitest';
import { envNumber, testSeed } from '../support/random.js';
import { type Happening, scheduleOf } from './schedule.js';
import { noFigures, run, simulate } from './simulate.js';

/** `npm run simulate` runs more of them. */
const RUNS = envNumber('VASTO_SIMULATION_RUNS', 150);

test('the same schedule gives the same run', async () => {
  const seed = testSeed('a simulation twice');
  const [one, other] = [await run(scheduleOf(seed), true), await run(scheduleOf(seed), true)];
  expect(other.journal).toEqual(one.journal);
}, 120_000);

test('what a machine lost, and one copy has that is away, comes to all copies', async () => {
  const first = testSeed('a machine that goes down');
  const command = { kind: 'command', atMs: 3100, operation: 'set', via: 0 } as const;
  for (let seed = first; seed < first + 30; seed++) {
    const happenings: Happening[] = [
      // The third has not what the second has of the first, and copies the first before the second is back.
      { kind: 'cut', atMs: 3060, from: 0, to: 2, isBoth: true, forMs: 700 },
      { ...command, key: 1 },
      { ...command, key: 2 },
      { kind: 'isolate', atMs: 3140, store: 1, forMs: 3800 },
      { kind: 'power', atMs: 3145, store: 0, forMs: 100 + (seed % 700) },
    ];
    const world = { seed, stores: 3, shards: 1, replicas: 3, skewsMs: [0, 0, 0, 0], durationMs: 9000 };
    expect((await run({ ...world, happenings })).faults, `seed ${seed}`).toEqual([]);
  }
}, 120_000);

test('what one copy alone has of an owner whose machine went down does not leave with it', async () => {
  const first = testSeed('a copy that leaves');
  for (let seed = first; seed < first + 30; seed++) {
    const happenings: Happening[] = [
      { kind: 'isolate', atMs: 3060, store: 2, forMs: 2000 },
      // The owner is the second store; the first leaves, and the third is behind.
      { kind: 'command', atMs: 3130, operation: 'set', key: 23, via: 1 },
      { kind: 'wish', atMs: 3160, wish: { kind: 'replicas', replicas: 2 } },
      { kind: 'power', atMs: 3200, store: 1, forMs: 5759 },
    ];
    const world = { seed, stores: 3, shards: 3, replicas: 3, skewsMs: [0, 0, 0, 0], durationMs: 9000 };
    expect((await run({ ...world, happenings })).faults, `seed ${seed}`).toEqual([]);
  }
}, 120_000);

test('what a machine lost, and one copy of what its shard becomes part of has, comes to all copies of that', async () => {
  const first = testSeed('a machine that goes down during a resize');
  const troubles: Happening[][] = [
    [],
    [{ kind: 'power', atMs: 1120, store: 2, forMs: 700 }],
    [
      { kind: 'power', atMs: 300, store: 0, forMs: 2500 },
      { kind: 'power', atMs: 500, store: 1, forMs: 1000 },
    ],
  ];
  for (let seed = first; seed < first + 30; seed++) {
    const cut = { kind: 'cut', atMs: 90, from: 3, isBoth: true, forMs: 900 } as const;
    const happenings: Happening[] = [
      { kind: 'wish', atMs: 20, wish: { kind: 'resize', shards: 1 } },
      // Of the three copies that there are to be only the third reads what the fourth store writes.
      { ...cut, to: 0 },
      { ...cut, to: 1 },
      ...[1, 2, 3, 4, 5, 6, 7, 8].map(
        (key) => ({ kind: 'command', atMs: 100 + 3 * key, operation: 'set', key, via: 3 }) as const,
      ),
      { kind: 'power', atMs: 140 + (seed % 60), store: 3, forMs: 900 },
      ...troubles[seed % 3]!,
    ];
    const world = { seed, stores: 4, shards: 2, replicas: 3, skewsMs: [0, 0, 0, 0, 0], durationMs: 9000 };
    expect((await run({ ...world, happenings })).faults, `seed ${seed}`).toEqual([]);
  }
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
