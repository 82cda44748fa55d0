import { expect, test } from 'vitest';
import { copyState, storeLag } from '../../../src/cluster/copy-state.js';
import type { FollowStatus, ShardStatus } from '../../../src/cluster/manager.js';

const OWNER = 'aa';
const follow = (facts: Partial<FollowStatus>): ShardStatus => ({
  keyspace: 'k',
  shard: 2,
  keys: 0,
  bytes: 0,
  state: 'open',
  follows: [
    {
      store: OWNER,
      shard: 2,
      state: 'tailing',
      problem: '',
      isLevel: false,
      position: 1,
      lagRecords: 12,
      lagMs: 300,
      copiedRows: 0,
      copiedBytes: 0,
      ...facts,
    },
  ],
});

test.each([
  [{ isLevel: true }, 'level'],
  [{ lagMs: 300 }, 'level'],
  [{ lagMs: 2500 }, '12 records, 2.5 s behind'],
  [{ state: 'copying', copiedRows: 7 }, 'copying, 7 rows so far'],
  [{ state: 'connecting', problem: 'no route' }, 'not connected: no route'],
  [{ store: 'bb' }, 'does not follow yet'],
] as const)('a copy that follows as %j is %s', (facts, text) => {
  expect(copyState(follow(facts), OWNER)).toBe(text);
});

test('a shard that does not serve says why; one of which nothing is known, nothing', () => {
  expect(copyState({ ...follow({}), state: 'the disk is full' }, OWNER)).toBe('the disk is full');
  expect(copyState(undefined, OWNER)).toBeUndefined();
});

test('a store is as far behind as the worst of what it follows', () => {
  expect(storeLag([])).toEqual({ feeds: 0, feedsLevel: 0, lagMs: 0 });
  const shards = [
    follow({ isLevel: true, lagMs: 0 }),
    follow({ lagMs: 4000 }),
    follow({ state: 'copying', lagMs: 0 }),
  ];
  expect(storeLag(shards)).toEqual({ feeds: 3, feedsLevel: 1, lagMs: 4000 });
});
