import { expect, test } from 'vitest';
import { slotsOfShard } from '../../../../src/cluster/slot-set.js';
import { EMPTY_TOPOLOGY, type ShardEntry, withKeyspace } from '../../../../src/cluster/topology.js';
import { dutiesOf } from '../../../../src/node/feeds/duties.js';

function followsOf(shards: readonly ShardEntry[]) {
  const entry = { id: 'feed0000feed0000', epoch: 1, name: 'k', db: undefined, replicas: 2, tags: [] };
  const topology = withKeyspace(EMPTY_TOPOLOGY, { ...entry, shards, deleted: false });
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
