import { expect, test } from 'vitest';
import { SlotSet, slotsOfShard } from '../../../../src/cluster/slot-set.js';
import {
  EMPTY_TOPOLOGY,
  type KeyspaceChange,
  type ShardEntry,
  withKeyspace,
} from '../../../../src/cluster/topology.js';
import { dutiesOf } from '../../../../src/node/feeds/duties.js';

function followsOf(shards: readonly ShardEntry[], change?: KeyspaceChange) {
  const entry = { id: 'feed0000feed0000', epoch: 1, name: 'k', db: undefined, replicas: 2, tags: [] };
  const topology = withKeyspace(EMPTY_TOPOLOGY, {
    ...entry,
    shards,
    ...(change && { change }),
    deleted: false,
  });
  return dutiesOf('b', topology).follows;
}

test('who follows one of several shards asks for its slots, though a flush of it is about all that there is', () => {
  const [duty] = followsOf([{ stores: ['a', 'b'] }, { stores: ['c'] }]);
  expect(duty).toMatchObject({ sourceStore: 'a', sourceShard: 0, slots: undefined });
  expect(duty!.asked).toEqual(slotsOfShard(2, 0).toBytes());
});

test('who follows the only shard asks for everything', () => {
  const [duty] = followsOf([{ stores: ['a', 'b'] }]);
  expect(duty).toMatchObject({ slots: undefined, asked: undefined });
});

test('copies of a shard that is to have more slots tell each other what they have of these', () => {
  const facts = {
    id: 'c',
    kind: 'resize',
    startedAtMs: 0,
    since: 1,
    sinceMs: 0,
    replicas: 2,
    attempts: 0,
  } as const;
  const shards = [{ stores: ['a', 'b'] }, { stores: ['c', 'a'] }];
  const feeds = (target: readonly ShardEntry[]) => followsOf(shards, { ...facts, phase: 'prepare', target });
  const own = slotsOfShard(2, 0).toBytes();
  const both = feeds([{ stores: ['b', 'a'] }]).filter(({ sourceShard }) => sourceShard === 0);
  expect(both).toHaveLength(1);
  expect(both[0]).toMatchObject({ sourceStore: 'a', slots: own, whole: own, asked: SlotSet.ALL.toBytes() });
  // Who only leaves has nothing of them.
  const [leaving] = feeds([{ stores: ['b', 'c'] }]).filter(
    ({ sourceStore, sourceShard }) => sourceStore === 'a' && sourceShard === 0,
  );
  expect(leaving).toMatchObject({ asked: own, whole: undefined });
});
