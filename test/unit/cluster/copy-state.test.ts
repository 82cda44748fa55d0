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

function stateOf(...shards: ShardStatus[]): string | undefined {
  return copyState({ alive: true, shards }, 'k', 2, OWNER);
}

test.each([
  [{ isLevel: true }, 'level'],
  [{ lagMs: 300 }, 'level'],
  [{ lagMs: 2500 }, '12 records, 2.5 s behind'],
  [{ state: 'copying', copiedRows: 7 }, 'copying, 7 rows so far'],
  [{ state: 'connecting', problem: 'no route' }, 'not connected: no route'],
  [{ store: 'bb' }, 'does not follow yet'],
] as const)('a copy that follows as %j is %s', (facts, text) => {
  expect(stateOf(follow(facts))).toBe(text);
});

test('a shard that does not serve says why; one of which nothing is known, nothing', () => {
  expect(stateOf({ ...follow({}), state: 'the disk is full' })).toBe('the disk is full');
  expect(stateOf()).toBeUndefined();
  expect(copyState(undefined, 'k', 2, OWNER)).toBeUndefined();
  expect(copyState({ alive: true, shards: [follow({})] }, 'k', 3, OWNER)).toBeUndefined();
});

test('what a store said before it went is not told as if it were so', () => {
  expect(copyState({ alive: false, shards: [follow({ isLevel: true })] }, 'k', 2, OWNER)).toBe(
    'store is down',
  );
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
