import { expect, test } from 'vitest';
import { dutiesIn } from '../../../src/cluster/plan/duties.js';
import type { CopyReport } from '../../../src/cluster/plan/reports.js';
import {
  EMPTY_TOPOLOGY,
  type KeyspaceEntry,
  type Topology,
  withKeyspace,
} from '../../../src/cluster/topology.js';
import { Placements } from '../../../src/master/placements.js';
import type { StoreHealth } from '../../../src/master/state.js';
import { ManualTimers } from '../../support/fake-cluster.js';

const KEYSPACE: KeyspaceEntry = {
  id: 'feed0000feed0000',
  epoch: 10,
  name: 'k',
  db: undefined,
  replicas: 2,
  tags: [],
  shards: [{ stores: ['store-a', 'store-c'] }],
  deleted: false,
};

/**
 * A master that has just begun, and that stores a and b tell that they do whatever they are to do. Nobody has heard of c.
 * @param deaf a store that puts nothing more into effect
 */
function begun(entry: KeyspaceEntry, deaf?: string) {
  const reminded: string[] = [];
  const timers = new ManualTimers();
  let topology: Topology = withKeyspace(EMPTY_TOPOLOGY, entry);
  let epoch = entry.epoch;
  const now = () => topology.keyspaces.get(entry.id)!;
  const known = (id: string) => (id === deaf ? entry : now());
  const health = () =>
    new Map(['store-a', 'store-b'].map((id) => [id, healthOf(known(id), id, timers.now())]));
  const placements = new Placements({
    timers,
    topology: () => topology,
    health,
    planStores: () =>
      ['store-a', 'store-b', 'store-c'].map((id) => ({
        id,
        address: id,
        zone: '',
        tags: [],
        shards: 1,
        freeBytes: 0,
        totalBytes: 0,
        isAlone: false,
        alive: id !== 'store-c',
      })),
    newEpoch: () => ++epoch,
    makeId: () => 'c1',
    publish: (entries) => {
      topology = entries.reduce(withKeyspace, topology);
    },
    setDrained: () => undefined,
    remind: (store) => reminded.push(store),
    announce: () => undefined,
    storeText: (id) => id,
    free: () => now(),
    isLocked: () => false,
    actsSinceMs: () => 0,
    failoverAfterMs: () => 3000,
  });
  return { timers, placements, now, reminded };
}

function healthOf(entry: KeyspaceEntry, store: string, nowMs: number): StoreHealth {
  const duties = dutiesIn(entry, store);
  const copies = duties.shards.map(
    ({ shard, mark }): CopyReport => ({
      shard,
      failure: '',
      isComplete: true,
      isClean: true,
      holding: mark,
      expired: 0,
      feeds: duties.feeds.map(({ from }) => ({ from, isLevel: true, mark: entry.epoch, position: 1 })),
    }),
  );
  const keyspaces = [{ keyspace: entry.id, epoch: entry.epoch, copies }];
  return { alive: true, seenAtMs: nowMs, freeBytes: 0, totalBytes: 0, shards: [], keyspaces };
}

test('a hand-over does not wait for holders that a master has never heard', async () => {
  const { timers, placements, now } = begun(KEYSPACE);
  placements.begin({ kind: 'move', keyspace: 'k', shard: 0, from: 'store-a', to: 'store-b' });
  await timers.advance(2000);
  expect(now().shards[0]!.stores).toEqual(['store-b', 'store-c']);
  placements.close();
});

test('one that it has found waits for owners that it has never heard: they may know more', async () => {
  const target = [{ stores: ['store-c', 'store-b'] }];
  const facts = { id: 'c1', kind: 'move', startedAtMs: 0, sinceMs: 0, replicas: 2, attempts: 0 } as const;
  const found = {
    ...KEYSPACE,
    epoch: 11,
    change: { ...facts, since: 11, phase: 'handover', target } as const,
  };
  const { timers, placements, now } = begun(found);
  placements.wake();
  await timers.advance(2000);
  expect(now().epoch).toBe(11);
  placements.close();
});

test('a store that does not do what it was told hears it again, though the clock was set back meanwhile', async () => {
  const { timers, placements, reminded } = begun(KEYSPACE, 'store-b');
  placements.begin({ kind: 'move', keyspace: 'k', shard: 0, from: 'store-a', to: 'store-b' });
  await timers.advance(1000);
  expect(reminded).toEqual([]);
  await timers.advance(1500);
  expect(reminded).toEqual(['store-b']);
  timers.setBack(3_600_000);
  await timers.advance(500);
  expect(reminded).toEqual(['store-b', 'store-b']);
  placements.close();
});
