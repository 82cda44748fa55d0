import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dutiesIn, dutiesOf, placeKey, storesConcerned } from '../../../../src/cluster/plan/duties.js';
import { type Feed, feedsOf } from '../../../../src/cluster/plan/feeds.js';
import { planReplace } from '../../../../src/cluster/plan/replace.js';
import { planReplicas } from '../../../../src/cluster/plan/replicas.js';
import { planResize } from '../../../../src/cluster/plan/resize.js';
import { SlotSet } from '../../../../src/cluster/slot-set.js';
import { EMPTY_TOPOLOGY, type KeyspaceEntry, withKeyspace } from '../../../../src/cluster/topology.js';
import { check } from '../../../support/replay.js';
import { Simulation } from './simulation.js';
import { entryOf, planContext } from './worlds.js';

const IDS = [...'abcdef'];

/** All entries that a change goes through. */
const history = fc
  .record({
    shards: fc.integer({ min: 1, max: 6 }),
    replicas: fc.integer({ min: 1, max: 3 }),
    kind: fc.constantFrom('resize', 'replace', 'replicas'),
    goal: fc.integer({ min: 1, max: 6 }),
  })
  .map(({ shards, replicas, kind, goal }) => {
    const simulation = new Simulation(IDS, entryOf({ shards, replicas, stores: IDS }));
    const context = planContext(simulation);
    const entry = simulation.entry!;
    const plan =
      kind === 'resize'
        ? planResize(entry, goal, context)
        : kind === 'replicas'
          ? planReplicas(entry, Math.min(goal, 3), context)
          : planReplace([entry], 'a', 'auto', context);
    if ('reason' in plan) throw new Error(plan.reason);
    if (plan.entries.length > 0) simulation.publish(plan.entries[0]!, 'planned');
    simulation.settle();
    return simulation.published;
  });

function everyEntry(verify: (entry: KeyspaceEntry) => void): void {
  void check(
    fc.property(history, (entries) => {
      for (const entry of entries) verify(entry);
    }),
    40,
  );
}

const allDuties = (entry: KeyspaceEntry) =>
  storesConcerned(entry).flatMap((store) =>
    dutiesIn(entry, store).shards.map((duty) => ({ store, ...duty })),
  );

describe('in every phase', () => {
  it('each slot has exactly one owner, and as many places as there are copies', () => {
    everyEntry((entry) => {
      const owners = allDuties(entry).filter(({ role }) => role === 'owner');
      expect(owners.reduce((sum, { slots }) => sum + slots.size, 0)).toBe(SlotSet.ALL.size);
      expect(owners.reduce((all, { slots }) => all.with(slots), SlotSet.EMPTY).equals(SlotSet.ALL)).toBe(
        true,
      );
      const answering = allDuties(entry).reduce((sum, { slots }) => sum + slots.size, 0);
      const copies = entry.shards.reduce((sum, { stores }) => sum + stores.length, 0) / entry.shards.length;
      if (Number.isInteger(copies)) expect(answering).toBe(copies * SlotSet.ALL.size);
    });
  });

  it('duties agree with each other', () => {
    everyEntry((entry) => {
      for (const { store, shard, slots, held, given, wanted, kept, role, awaited } of allDuties(entry)) {
        expect([store, shard, slots.includes(held)]).toEqual([store, shard, true]);
        expect(kept.includes(wanted) && wanted.includes(slots)).toBe(true);
        expect(given.within(slots).isEmpty || role === 'copy').toBe(true);
        if (role !== 'owner') expect(held.isEmpty).toBe(true);
        for (const each of awaited) {
          expect(slots.includes(each.slots)).toBe(true);
          // Whoever is waited for knows of it, and is followed.
          const giver = allDuties(entry).find(
            (duty) => duty.store === each.store && duty.shard === each.shard,
          )!;
          expect(giver.given.includes(each.slots)).toBe(true);
          expect(giver.mark).toBe(each.mark);
          expect(giver.followers).toContainEqual({ store, shard });
        }
      }
    });
  });

  it('what is wanted comes by feeds, of each slot one copy, and nobody follows himself', () => {
    everyEntry((entry) => {
      const feeds = feedsOf(entry);
      const keys = feeds.map(({ from, to }) => `${placeKey(from)} ${placeKey(to)}`);
      expect(new Set(keys).size).toBe(keys.length);
      for (const { from, to } of feeds) expect(placeKey(from)).not.toBe(placeKey(to));
      for (const { store, shard, wanted, role } of allDuties(entry)) {
        if (role !== 'filling') continue;
        const copied = dutiesIn(entry, store).feeds.filter(
          ({ to, start }: Feed) => to.shard === shard && start === 'copy',
        );
        expect(copied.reduce((sum, { slots }) => sum + slots.size, 0)).toBe(wanted.size);
        expect(copied.reduce((all, { slots }) => all.with(slots), SlotSet.EMPTY).equals(wanted)).toBe(true);
      }
      for (const { store, shard, followers } of allDuties(entry))
        expect(followers).toEqual(
          feeds.filter(({ from }) => from.store === store && from.shard === shard).map(({ to }) => to),
        );
    });
  });

  it('a store that is no part of it has nothing to do, and a deleted keyspace is nobody’s', () => {
    const entry = entryOf({ shards: 2, stores: ['a', 'b'] });
    expect(dutiesIn(entry, 'z')).toEqual({ shards: [], feeds: [] });
    const topology = withKeyspace(EMPTY_TOPOLOGY, entry);
    expect([...dutiesOf('a', topology).keys()]).toEqual([entry.id]);
    expect(dutiesOf('a', withKeyspace(topology, { ...entry, deleted: true })).size).toBe(0);
  });
});
