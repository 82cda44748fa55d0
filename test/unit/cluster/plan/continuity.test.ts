import { describe, expect, it } from 'vitest';
import { completeAfter } from '../../../../src/cluster/plan/continuity.js';
import { SlotSet, slotsOfShard } from '../../../../src/cluster/slot-set.js';
import type { KeyspaceEntry } from '../../../../src/cluster/topology.js';

const RESTING: KeyspaceEntry = {
  id: 'feed0000feed0000',
  epoch: 14,
  name: 'k',
  db: undefined,
  replicas: 2,
  tags: [],
  shards: [{ stores: ['a', 'b'], since: 13 }],
  deleted: false,
  change: {
    id: 'c1',
    kind: 'move',
    startedAtMs: 0,
    since: 13,
    sinceMs: 0,
    replicas: 2,
    attempts: 0,
    phase: 'cleanup',
    former: [{ stores: ['c'] }],
  },
};
const { change: _, ...SETTLED } = { ...RESTING, epoch: 15 };

describe('what a copy has complete when a former holder is given up', () => {
  const left = (store: string, mark: number) =>
    completeAfter({ entry: RESTING, complete: SlotSet.ALL, markFrom: () => mark }, SETTLED, store, 0);

  it('is nothing where others may have read further in its log', () => {
    expect(left('b', 0).isEmpty).toBe(true);
    expect(left('b', 13).equals(SlotSet.ALL)).toBe(true);
  });

  it('is at the owner all that was: there is nobody from whom it could get it', () => {
    expect(left('a', 0).equals(SlotSet.ALL)).toBe(true);
  });
});

it('a former owner keeps what it had until others have it, though it follows nobody any more', () => {
  const before = { ...SETTLED, epoch: 20 };
  const { former: __, ...facts } = RESTING.change as Extract<KeyspaceEntry['change'], { former: unknown }>;
  const taken: KeyspaceEntry = {
    ...before,
    epoch: 21,
    shards: [{ stores: ['d'], since: 21 }],
    change: { ...facts, id: 'c2', since: 21, phase: 'takeover', former: before.shards },
  };
  const left = (store: string) =>
    completeAfter({ entry: before, complete: SlotSet.ALL, markFrom: () => 0 }, taken, store, 0);
  expect(left('a').equals(SlotSet.ALL)).toBe(true);
  expect(left('b').equals(SlotSet.ALL)).toBe(true);
});

it('slots that went to another shard and came back unheard of are not what they were', () => {
  const stores = ['a', 'b'];
  const before: KeyspaceEntry = {
    ...SETTLED,
    shards: [
      { stores, since: 13 },
      { stores, since: 13 },
    ],
    change: {
      ...(RESTING.change as Extract<KeyspaceEntry['change'], { former: unknown }>),
      phase: 'takeover',
      former: [{ stores }],
    },
  };
  const known = { entry: before, complete: SlotSet.ALL, markFrom: () => 13 };
  const after: KeyspaceEntry = { ...SETTLED, epoch: 30, shards: [{ stores, since: 13 }] };
  expect(completeAfter(known, after, 'b', 0).equals(slotsOfShard(2, 0))).toBe(true);
  // While the change goes on, others may still get them from here.
  const later: KeyspaceEntry = { ...before, epoch: 16 };
  expect(completeAfter(known, later, 'b', 0).equals(SlotSet.ALL)).toBe(true);
});
