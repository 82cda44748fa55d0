import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shardsOfSlots } from '../../../../src/cluster/jump-hash.js';
import { storesConcerned } from '../../../../src/cluster/plan/duties.js';
import type { Plan, PlanContext, PlanStore } from '../../../../src/cluster/plan/plan.js';
import { planRebalance } from '../../../../src/cluster/plan/rebalance.js';
import { planDrain, planMove, planReplace } from '../../../../src/cluster/plan/replace.js';
import { planReplicas } from '../../../../src/cluster/plan/replicas.js';
import { planResize } from '../../../../src/cluster/plan/resize.js';
import { flowsBetween, SlotSet } from '../../../../src/cluster/slot-set.js';
import { SLOTS } from '../../../../src/cluster/slots.js';
import type { KeyspaceEntry, ShardEntry } from '../../../../src/cluster/topology.js';
import { check } from '../../../support/replay.js';
import { planStores } from './worlds.js';

const ALL = [...'abcdefgh'];

/** Stores, most of them alive, and keyspaces that lie on them somehow. */
interface World {
  readonly stores: readonly PlanStore[];
  readonly entries: readonly KeyspaceEntry[];
}

const world: fc.Arbitrary<World> = fc
  .record({
    count: fc.integer({ min: 1, max: ALL.length }),
    zones: fc.array(fc.constantFrom('', 'x', 'y', 'z'), { minLength: ALL.length, maxLength: ALL.length }),
    dead: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: ALL.length, maxLength: ALL.length }),
    keyspaces: fc.array(
      fc.record({
        replicas: fc.integer({ min: 1, max: 3 }),
        shards: fc.array(fc.shuffledSubarray(ALL, { minLength: ALL.length }), { minLength: 1, maxLength: 9 }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ count, zones, dead, keyspaces }) => {
    const ids = ALL.slice(0, count);
    const facts = Object.fromEntries(
      ids.map((id, index) => [id, { zone: zones[index]!, alive: dead[index] !== 0 }]),
    );
    const entries = keyspaces.map(({ replicas, shards }, number): KeyspaceEntry => {
      const copies = Math.min(replicas, count);
      return {
        id: `k${number}`,
        epoch: 1,
        name: `k${number}`,
        db: undefined,
        replicas: copies,
        tags: [],
        shards: shards.map((order) => ({
          stores: order.filter((id) => ids.includes(id)).slice(0, copies),
        })),
        deleted: false,
      };
    });
    const held = (id: string) =>
      entries.flatMap(({ shards }) => shards).filter(({ stores }) => stores.includes(id));
    const stores = planStores(ids, facts).map((store) => ({ ...store, shards: held(store.id).length }));
    return { stores, entries };
  });

let epoch = 1;
const contextOf = ({ stores }: Pick<World, 'stores'>): PlanContext => ({
  stores,
  bytesOf: () => 0,
  newEpoch: () => ++epoch,
  nowMs: 0,
  id: 'c',
});

/** A keyspace as it is when its change is done. */
function done(entry: KeyspaceEntry): KeyspaceEntry {
  const { change, ...rest } = entry;
  if (change === undefined || !('target' in change)) return rest;
  return { ...rest, shards: change.target, replicas: change.replicas };
}

const targetOf = (entry: KeyspaceEntry): readonly ShardEntry[] => done(entry).shards;

/** All keyspaces as they are when a plan is carried out. */
function carriedOut({ entries }: World, plan: Plan): KeyspaceEntry[] {
  if ('reason' in plan) throw new Error(plan.reason);
  return entries.map((entry) => done(plan.entries.find(({ id }) => id === entry.id) ?? entry));
}

/** What holds for every plan. */
function checkPlan(given: World, plan: Plan): void {
  if ('reason' in plan) {
    expect(plan.reason).toMatch(/\w/);
    return;
  }
  for (const entry of plan.entries) {
    const before = given.entries.find(({ id }) => id === entry.id)!;
    expect(entry.shards).toEqual(before.shards);
    expect(entry.epoch).toBeGreaterThan(before.epoch);
    expect(entry.change).toMatchObject({ phase: 'prepare', since: entry.epoch });
    for (const [shard, { stores }] of targetOf(entry).entries()) {
      expect(new Set(stores).size).toBe(stores.length);
      const old = before.shards[shard]?.stores ?? [];
      const fresh = stores.filter((id) => !old.includes(id));
      for (const id of fresh) expect(given.stores.find((store) => store.id === id)?.alive).toBe(true);
    }
    expect(storesConcerned(entry).every((id) => given.stores.some((store) => store.id === id))).toBe(true);
  }
}

const isNothing = (plan: Plan) => 'entries' in plan && plan.entries.length === 0;

/** How many copies of a shard are in a zone with another one. */
function crowded({ stores }: World, shards: readonly ShardEntry[]): number {
  const zoneOf = (id: string) => stores.find((store) => store.id === id)!.zone;
  return shards.reduce(
    (sum, { stores: holders }) => sum + holders.length - new Set(holders.map(zoneOf)).size,
    0,
  );
}

describe('planResize', () => {
  it('moves only what jump hashing moves, leaves what stays, and has nothing to do twice', () => {
    void check(
      fc.property(world, fc.integer({ min: 1, max: 12 }), (given, shards) => {
        const [entry] = given.entries;
        const plan = planResize(entry!, shards, contextOf(given));
        checkPlan(given, plan);
        if ('reason' in plan || plan.entries.length === 0) return;
        const target = targetOf(plan.entries[0]!);
        expect(target).toHaveLength(shards);
        const stay = Math.min(shards, entry!.shards.length);
        expect(target.slice(0, stay)).toEqual(entry!.shards.slice(0, stay));
        for (const { stores } of target.slice(stay)) expect(stores).toHaveLength(entry!.replicas);
        expect(isNothing(planResize(done(plan.entries[0]!), shards, contextOf(given)))).toBe(true);
      }),
      200,
    );
  });

  it('has each slot in one flow, and only those move that must', () => {
    void check(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (before, after) => {
        const flows = flowsBetween(before, after);
        expect(flows.reduce((sum, { slots }) => sum + slots.size, 0)).toBe(SLOTS);
        expect(flows.reduce((all, { slots }) => all.with(slots), SlotSet.EMPTY).equals(SlotSet.ALL)).toBe(
          true,
        );
        for (const { from, to } of flows)
          if (from !== to) expect(after > before ? to >= before : from >= after).toBe(true);
        const is = shardsOfSlots(after);
        for (const { to, slots } of flows) expect([...slots].every((slot) => is[slot] === to)).toBe(true);
      }),
      20,
    );
  });

  it('says why it cannot be', () => {
    const stores = planStores([...'ab'], { b: { alive: false } });
    const entry: KeyspaceEntry = {
      id: 'k',
      epoch: 1,
      name: 'orders',
      db: undefined,
      replicas: 1,
      tags: [],
      shards: [{ stores: ['a'] }, { stores: ['b'] }],
      deleted: false,
    };
    const reasonOf = (plan: Plan) => ('reason' in plan ? plan.reason : 'possible');
    const context = contextOf({ stores });
    expect(reasonOf(planResize(entry, 3, context))).toBe(
      'keyspace orders: shard 1 has no living copy: start host-b:7002 again',
    );
    expect(reasonOf(planResize(entry, 1025, context))).toBe('a keyspace has 1 to 1024 shards, not 1025');
    const small = { ...context, stores: planStores([...'ab'], { b: { freeBytes: 2 ** 20 } }) };
    const large = { ...small, bytesOf: () => 2 ** 30 };
    expect(reasonOf(planMove(entry, 0, 'a', 'b', large))).toBe(
      'store host-b:7002 would get 1024 MB, which takes 1229 MB, and has only 1 MB free',
    );
    const busy = planResize({ ...entry, shards: [{ stores: ['a'] }] }, 2, small);
    if ('reason' in busy) throw new Error(busy.reason);
    expect(reasonOf(planResize(busy.entries[0]!, 3, small))).toBe(
      'keyspace orders: a change (resize) is under way: wait for it, or abort it',
    );
    const moving = planMove({ ...entry, shards: [{ stores: ['a'] }] }, 0, 'a', 'b', small);
    if ('reason' in moving) throw new Error(moving.reason);
    // What it is about to get it would have after it has been emptied.
    expect(reasonOf(planDrain(moving.entries, 'b', small))).toBe(
      'keyspace orders: a change (move) is under way: wait for it, or abort it',
    );
    expect(reasonOf(planReplicas(entry, 2, context))).toMatch(/no living copy/);
    expect(reasonOf(planReplicas({ ...entry, shards: [{ stores: ['a'] }] }, 3, small))).toBe(
      'keyspace orders: 3 copies of each shard need as many stores, and there are only 2 living stores',
    );
    expect(reasonOf(planMove(entry, 7, 'a', 'b', small))).toBe(
      'keyspace orders has the shards 0 to 1, and no shard 7',
    );
    expect(reasonOf(planMove(entry, 1, 'a', 'b', small))).toBe(
      'keyspace orders: shard 1 is not on host-a:7001',
    );
    expect(reasonOf(planReplace([entry], 'a', 'x', small))).toBe('keyspace orders: there is no store x');
    expect(reasonOf(planReplace([entry], 'a', 'b', context))).toMatch(/no living copy|is away/);
    expect(
      reasonOf(planDrain([{ ...entry, replicas: 2, shards: [{ stores: ['a', 'b'] }] }], 'a', small)),
    ).toBe('keyspace orders: there is no other living store for a copy of shard 0');
    expect(
      reasonOf(planReplace([{ ...entry, tags: ['ssd'], shards: [{ stores: ['a'] }] }], 'a', 'b', small)),
    ).toBe('keyspace orders: host-b:7002 has not the tag ssd');
  });
});

describe('planReplace and planDrain', () => {
  it('leave nothing on the store, all else where it was, and have nothing to do twice', () => {
    void check(
      fc.property(world, fc.constantFrom(...ALL), (given, from) => {
        for (const planner of [
          (entries: readonly KeyspaceEntry[]) => planReplace(entries, from, 'auto', contextOf(given)),
          (entries: readonly KeyspaceEntry[]) => planDrain(entries, from, contextOf(given)),
        ]) {
          const plan = planner(given.entries);
          checkPlan(given, plan);
          if ('reason' in plan) continue;
          const after = carriedOut(given, plan);
          for (const [number, { shards }] of after.entries())
            for (const [shard, { stores }] of shards.entries()) {
              const before = given.entries[number]!.shards[shard]!.stores;
              expect(stores).not.toContain(from);
              expect(stores).toHaveLength(before.length);
              for (const [place, id] of before.entries()) if (id !== from) expect(stores[place]).toBe(id);
            }
          expect(isNothing(planner(after))).toBe(true);
        }
      }),
      200,
    );
  });
});

describe('planReplicas', () => {
  it('makes as many copies as wanted, keeps owners, and has nothing to do twice', () => {
    void check(
      fc.property(world, fc.integer({ min: 1, max: 5 }), (given, replicas) => {
        const [entry] = given.entries;
        const plan = planReplicas(entry!, replicas, contextOf(given));
        checkPlan(given, plan);
        if ('reason' in plan || plan.entries.length === 0) return;
        const after = done(plan.entries[0]!);
        expect(after.replicas).toBe(replicas);
        for (const [shard, { stores }] of after.shards.entries()) {
          expect(stores).toHaveLength(replicas);
          const [owner] = entry!.shards[shard]!.stores;
          if (given.stores.find(({ id }) => id === owner)?.alive) expect(stores[0]).toBe(owner);
        }
        expect(isNothing(planReplicas(after, replicas, contextOf(given)))).toBe(true);
      }),
      200,
    );
  });
});

describe('planRebalance', () => {
  it('ends, makes nothing worse, keeps the number of copies, and has nothing to do twice', () => {
    void check(
      fc.property(world, (given) => {
        const plan = planRebalance(given.entries, contextOf(given));
        checkPlan(given, plan);
        const after = carriedOut(given, plan);
        const all = (entries: readonly KeyspaceEntry[]) => entries.flatMap(({ shards }) => shards);
        expect(all(after).map(({ stores }) => stores.length)).toEqual(
          all(given.entries).map(({ stores }) => stores.length),
        );
        expect(crowded(given, all(after))).toBeLessThanOrEqual(crowded(given, all(given.entries)));
        const dead = new Set(given.stores.filter(({ alive }) => !alive).map(({ id }) => id));
        for (const [shard, { stores }] of all(given.entries).entries())
          for (const id of stores) if (dead.has(id)) expect(all(after)[shard]!.stores).toContain(id);
        expect(isNothing(planRebalance(after, contextOf(given)))).toBe(true);
      }),
      150,
    );
  });

  it('is even where nothing is in the way', () => {
    void check(
      fc.property(world, (given) => {
        const stores = given.stores.map((store) => ({ ...store, alive: true, zone: '' }));
        const plan = planRebalance(given.entries, contextOf({ stores }));
        for (const { shards, replicas } of carriedOut(given, plan)) {
          const copies = stores.map(({ id }) => shards.filter((held) => held.stores.includes(id)).length);
          const owned = stores.map(({ id }) => shards.filter((held) => held.stores[0] === id).length);
          expect(Math.max(...copies) - Math.min(...copies)).toBeLessThanOrEqual(1);
          if (replicas === 1) expect(Math.max(...owned) - Math.min(...owned)).toBeLessThanOrEqual(1);
        }
      }),
      100,
    );
  });

  it('moves as few as it can to stores that have joined', () => {
    const shards = Array.from({ length: 12 }, (_, shard) => ({ stores: [ALL[shard % 3]!] }));
    const entry: KeyspaceEntry = {
      id: 'k',
      epoch: 1,
      name: 'k',
      db: undefined,
      replicas: 1,
      tags: [],
      shards,
      deleted: false,
    };
    const plan = planRebalance([entry], contextOf({ stores: planStores([...'abcd']) }));
    expect('explanation' in plan && plan.explanation).toHaveLength(3);
  });
});
