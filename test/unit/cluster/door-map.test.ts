import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DoorMap, type DoorNode, doorMap, isComplete } from '../../../src/cluster/door-map.js';
import { shardsOfSlots } from '../../../src/cluster/jump-hash.js';
import { NO_GROUP, slotRanges } from '../../../src/cluster/slot-ranges.js';
import { SLOTS } from '../../../src/cluster/slots.js';
import {
  EMPTY_TOPOLOGY,
  type KeyspaceEntry,
  type StoreEntry,
  type Topology,
  withKeyspace,
  withStore,
} from '../../../src/cluster/topology.js';
import { check } from '../../support/replay.js';

function store(id: string, ...doors: [port: number, keyspace: string][]): StoreEntry {
  return {
    id,
    epoch: 1,
    host: '10.0.0.1',
    port: 6379,
    tlsPort: 0,
    peerPort: 0,
    zone: '',
    tags: [],
    doors: doors.map(([port, keyspace]) => ({ port, keyspace })),
  };
}

function keyspace(name: string, ...shards: string[][]): KeyspaceEntry {
  return {
    id: `id-of-${name}`,
    epoch: 7,
    name,
    db: undefined,
    replicas: 1,
    tags: [],
    shards: shards.map((stores) => ({ stores })),
    deleted: false,
  };
}

function topologyOf(stores: StoreEntry[], ...keyspaces: KeyspaceEntry[]): Topology {
  const held = stores.reduce(withStore, EMPTY_TOPOLOGY);
  return keyspaces.reduce(withKeyspace, held);
}

const SELF: DoorNode = { id: 'a', host: '127.0.0.1', port: 7000, peerPort: 0 };

function ownersOf(map: DoorMap): (string | undefined)[] {
  return Array.from({ length: SLOTS }, (_, slot) => map.ownerOf(slot)?.id);
}

describe('slotRanges', () => {
  it('puts neighbours of one group together and leaves out those of none', () => {
    expect(slotRanges(() => 3)).toEqual([{ first: 0, last: SLOTS - 1, group: 3 }]);
    expect(slotRanges(() => NO_GROUP)).toEqual([]);
    expect(slotRanges((slot) => (slot === 0 || slot === SLOTS - 1 ? 1 : NO_GROUP))).toEqual([
      { first: 0, last: 0, group: 1 },
      { first: SLOTS - 1, last: SLOTS - 1, group: 1 },
    ]);
  });

  it('covers what belongs to a group, once, with runs that cannot be longer', () => {
    const group = fc.array(fc.integer({ min: NO_GROUP, max: 2 }), { minLength: SLOTS, maxLength: SLOTS });
    return check(
      fc.property(group, (groups) => {
        const ranges = slotRanges((slot) => groups[slot]!);
        const covered = new Array<number>(SLOTS).fill(NO_GROUP);
        for (const [index, { first, last, group: found }] of ranges.entries()) {
          for (let slot = first; slot <= last; slot++) covered[slot] = found;
          const before = ranges[index - 1];
          if (before !== undefined && before.last === first - 1) expect(before.group).not.toBe(found);
        }
        expect(covered).toEqual(groups);
      }),
      4,
    );
  });
});

describe('the map of a cluster door', () => {
  it('gives each slot to the store that owns its shard', () => {
    const stores = ['a', 'b', 'c'].map((id, index) => store(id, [7000 + index, 'orders']));
    const map = doorMap(topologyOf(stores, keyspace('orders', ['a'], ['b'], ['c'])), 'orders', SELF);
    const homes = shardsOfSlots(3);
    expect(ownersOf(map)).toEqual(Array.from(homes, (shard) => ['a', 'b', 'c'][shard]));
    expect(map.ownerOf(homes.indexOf(1))).toEqual({ id: 'b', host: '10.0.0.1', port: 7001, peerPort: 0 });
    expect(map.nodes.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(isComplete(map)).toBe(true);
    expect([map.epoch, map.keyspaceEpoch]).toEqual([7, 7]);
  });

  it('shows the slots of an owner without a door for the keyspace as those of a store that has one', () => {
    const stores = [store('a', [7000, 'orders']), store('b', [7001, 'users']), store('c', [7002, 'orders'])];
    const map = doorMap(topologyOf(stores, keyspace('orders', ['a'], ['b'], ['c'])), 'orders', SELF);
    const owners = Array.from(shardsOfSlots(3), (shard) => ['a', 'c', 'c'][shard]);
    expect(ownersOf(map)).toEqual(owners);
    expect(map.shardsHere).toEqual([0]);
    expect(map.nodes.map(({ id }) => id)).toEqual(['a', 'c']);
    expect(map.groups).toHaveLength(2);
  });

  it('says of a shard without a known store that nobody serves it', () => {
    const map = doorMap(
      topologyOf([store('a', [7000, 'orders'])], keyspace('orders', ['a'], ['gone'], [])),
      'orders',
      SELF,
    );
    expect(ownersOf(map)).toEqual(Array.from(shardsOfSlots(3), (shard) => (shard === 0 ? 'a' : undefined)));
    expect(isComplete(map)).toBe(false);
    expect(map.slotsServed).toBe(shardsOfSlots(3).filter((shard) => shard === 0).length);
  });

  it('serves nothing of a keyspace that is not there', () => {
    const map = doorMap(topologyOf([store('a', [7000, 'orders'])]), 'orders', SELF);
    expect([map.ranges, map.groups, map.slotsServed, map.keyspaceEpoch]).toEqual([[], [], 0, 0]);
    expect(map.nodes).toEqual([SELF]);
    expect(map.ownerOf(0)).toBeUndefined();
  });

  it('names those with copies behind the owner, in a group of their own', () => {
    const stores = [store('a', [7000, 'k']), store('b', [7001, 'k'])];
    const map = doorMap(topologyOf(stores, keyspace('k', ['a', 'b'], ['b', 'a'], ['a', 'b'])), 'k', SELF);
    expect(map.groups.map(({ nodes }) => nodes.map(({ id }) => id))).toEqual([
      ['a', 'b'],
      ['b', 'a'],
    ]);
  });

  it('shows all slots at a gateway where no store has a door, and no slots where some have', () => {
    const gateway = { ...SELF, id: 'gateway' };
    const entry = keyspace('orders', ['a'], ['b']);
    const alone = doorMap(topologyOf([store('a'), store('b')], entry), 'orders', gateway);
    expect(new Set(ownersOf(alone))).toEqual(new Set(['gateway']));
    expect(alone.shardsHere).toEqual([0, 1]);
    const beside = doorMap(topologyOf([store('a', [7000, 'orders']), store('b')], entry), 'orders', gateway);
    expect(new Set(ownersOf(beside))).toEqual(new Set(['a']));
    expect(beside.shardsHere).toEqual([]);
    expect(beside.nodes.map(({ id }) => id)).toEqual(['gateway', 'a']);
  });

  it('is the same on every node with a door', () => {
    const shape = fc.record({
      withDoor: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      shards: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 8 }),
    });
    return check(
      fc.property(shape, ({ withDoor, shards }) => {
        const stores = withDoor.map((has, index) =>
          has ? store(`s${index}`, [7000 + index, 'k']) : store(`s${index}`),
        );
        const topology = topologyOf(stores, keyspace('k', ...shards.map((index) => [`s${index}`])));
        const homes = shardsOfSlots(shards.length);
        const maps = withDoor.flatMap((has, index) =>
          has
            ? [doorMap(topology, 'k', { id: `s${index}`, host: '10.0.0.1', port: 7000 + index, peerPort: 0 })]
            : [],
        );
        for (const map of maps) {
          expect(ownersOf(map)).toEqual(ownersOf(maps[0]!));
          for (const [slot, id] of ownersOf(map).entries())
            if (withDoor[shards[homes[slot]!]!]) expect(id).toBe(`s${shards[homes[slot]!]}`);
        }
        // Each shard is one node's to count and to scan.
        const here = maps.flatMap(({ shardsHere }) => shardsHere).sort((a, b) => a - b);
        expect(here).toEqual(maps.length === 0 ? [] : [...shards.keys()]);
      }),
      10,
    );
  });
});
