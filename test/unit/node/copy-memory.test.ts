import { describe, expect, it } from 'vitest';
import { flowsBetween, SlotSet, slotsOfShard } from '../../../src/cluster/slot-set.js';
import type { KeyspaceEntry } from '../../../src/cluster/topology.js';
import {
  type CopyMemory,
  firstMemory,
  fromCopyRecord,
  memoryAfter,
  toCopyRecord,
} from '../../../src/node/copy-memory.js';

const SETTLED: KeyspaceEntry = {
  id: 'feed0000feed0000',
  epoch: 10,
  name: 'k',
  db: undefined,
  replicas: 1,
  tags: [],
  shards: [{ stores: ['a'] }],
  deleted: false,
};
const FACTS = { id: 'c1', kind: 'resize', startedAtMs: 0, sinceMs: 0, replicas: 1, attempts: 0 } as const;
const TARGET = [{ stores: ['a'] }, { stores: ['b'] }];
const PREPARING: KeyspaceEntry = {
  ...SETTLED,
  epoch: 11,
  change: { ...FACTS, since: 11, phase: 'prepare', target: TARGET },
};
const TAKEN: KeyspaceEntry = {
  ...SETTLED,
  epoch: 13,
  shards: TARGET.map((held) => ({ ...held, since: 13 })),
  change: { ...FACTS, since: 13, phase: 'takeover', former: SETTLED.shards },
};
const CLEANING: KeyspaceEntry = {
  ...TAKEN,
  epoch: 14,
  change: { ...FACTS, since: 13, phase: 'cleanup', former: [{ stores: [] }] },
};
const MOVING = flowsBetween(1, 2).find(({ to }) => to === 1)!.slots;

describe('what a store remembers of a copy', () => {
  it('a shard as it was made is complete, one that is to be filled is not', () => {
    expect(firstMemory(SETTLED, 'a', 0).complete.equals(SlotSet.ALL)).toBe(true);
    expect(firstMemory(PREPARING, 'b', 1).complete.isEmpty).toBe(true);
    expect(firstMemory(TAKEN, 'a', 0).complete.isEmpty).toBe(true);
    expect(firstMemory(undefined, 'a', 0).complete.isEmpty).toBe(true);
  });

  it('what has gone to another shard is removed once that has taken over, and not before', () => {
    let memory = firstMemory(SETTLED, 'a', 0);
    memory = memoryAfter(memory, SETTLED, PREPARING, 'a', 0);
    memory = memoryAfter(memory, PREPARING, TAKEN, 'a', 0);
    expect(memory.leftover.isEmpty).toBe(true);
    memory = memoryAfter(memory, TAKEN, CLEANING, 'a', 0);
    expect(memory.leftover.equals(MOVING)).toBe(true);
    expect(memory.complete.equals(slotsOfShard(2, 0))).toBe(true);
  });

  it('slots are filled anew only when what was left of them is gone', () => {
    const left = firstMemory(SETTLED, 'a', 0);
    const cleaning = memoryAfter(memoryAfter(left, SETTLED, TAKEN, 'a', 0), TAKEN, CLEANING, 'a', 0);
    const back: KeyspaceEntry = {
      ...CLEANING,
      epoch: 20,
      change: { ...FACTS, id: 'c2', since: 20, phase: 'prepare', target: [{ stores: ['a'] }] },
    };
    const memory = memoryAfter(cleaning, CLEANING, back, 'a', 0);
    expect(memory.leftover.equals(MOVING)).toBe(true);
    expect(memory.anew).toEqual(['b/1/0@c2']);
  });

  it('a new owner that has read to the mark stays complete when nobody is followed any more', () => {
    const filled: CopyMemory = { ...firstMemory(PREPARING, 'b', 1), complete: slotsOfShard(2, 1) };
    const taken = memoryAfter(filled, PREPARING, TAKEN, 'b', 1);
    expect(taken.complete.equals(slotsOfShard(2, 1))).toBe(true);
    const read = { ...taken, read: new Map([['a/0', 13]]) };
    expect(memoryAfter(read, TAKEN, CLEANING, 'b', 1).complete.equals(slotsOfShard(2, 1))).toBe(true);
    expect(memoryAfter(taken, TAKEN, CLEANING, 'b', 1).complete.isEmpty).toBe(true);
  });

  it('what a shard has got while a copy of it was away is copied, though the copy knows a position in the owner’s log', () => {
    const two = { ...SETTLED, replicas: 2, shards: [{ stores: ['a', 'b'] }, { stores: ['c', 'd'] }] };
    const one = { ...two, epoch: 30, shards: [{ stores: ['a', 'b'] }] };
    const memory = memoryAfter(firstMemory(two, 'b', 0), two, one, 'b', 0);
    expect(memory.complete.equals(slotsOfShard(2, 0))).toBe(true);
    expect(memory.anew).toEqual(['a/0/0']);
    // Once it is being copied, it goes on through whatever comes.
    const later = { ...one, epoch: 31, shards: [{ stores: ['a', 'b'], home: 'b' }] };
    expect(memoryAfter({ ...memory, anew: [] }, one, later, 'b', 0).anew).toEqual([]);
  });

  it('comes back from the disk as it was', () => {
    const memory: CopyMemory = {
      complete: slotsOfShard(2, 1),
      leftover: SlotSet.of([1, 5, 16_383]),
      marks: [{ epoch: 13, log: 'L', sequence: 7 }],
      read: new Map([['a/0', 13]]),
      anew: ['b/1/0@c2'],
    };
    const record = JSON.parse(JSON.stringify(toCopyRecord(memory, 2, 1)));
    expect(record.complete).toBe('1/2');
    const again = fromCopyRecord(record);
    expect(again.complete.equals(memory.complete) && again.leftover.equals(memory.leftover)).toBe(true);
    expect({ ...again, complete: 0, leftover: 0 }).toEqual({ ...memory, complete: 0, leftover: 0 });
  });
});
