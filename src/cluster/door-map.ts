import { shardsOfSlots } from './jump-hash.js';
import { NO_GROUP, type SlotRange, slotRanges } from './slot-ranges.js';
import { SLOTS } from './slots.js';
import { epochOf, keyspaceByName, type StoreEntry, type Topology } from './topology.js';

/** A node as clients of a cluster door see it. */
export interface DoorNode {
  /** 40 hexadecimal digits. */
  readonly id: string;
  readonly host: string;
  /** Its door for the keyspace. */
  readonly port: number;
  /** Where it talks to other nodes; 0 where it does not say. */
  readonly peerPort: number;
}

/** Slots that the same nodes hold. */
export interface SlotGroup {
  /** The owner, then those with copies. */
  readonly nodes: readonly DoorNode[];
  /** In order. */
  readonly ranges: readonly SlotRange[];
}

/**
 * A keyspace as one node shows it at its cluster door: which slots are to be asked for where.
 *
 * A slot is its owner's if the owner has a door for the keyspace. If it has none, another store with one shows the slot
 * as its own, and forwards what comes: so a client reaches every key whatever doors there are. Which one follows from
 * the number of the shard, so that all nodes show the same. Where no store has a door, the node that is asked, a gateway,
 * shows all slots as its own. Slots of a shard without a store that is known, and all slots of a keyspace that does not
 * exist, are nobody's.
 */
export interface DoorMap {
  readonly self: DoorNode;
  /** All nodes with a door for the keyspace, this one first. */
  readonly nodes: readonly DoorNode[];
  /** Slots with who holds them. */
  readonly groups: readonly SlotGroup[];
  /** All ranges, in order of the slots; `group` is a place in `groups`. */
  readonly ranges: readonly SlotRange[];
  /** Shards whose slots are this node's, in order: what commands without keys are about here. */
  readonly shardsHere: readonly number[];
  /** Whom to ask for a slot; undefined where nobody serves it. */
  ownerOf(slot: number): DoorNode | undefined;
  /** All who hold a slot, the owner first. */
  holdersOf(slot: number): readonly DoorNode[];
  /** Of the whole topology. */
  readonly epoch: number;
  /** Of the keyspace's last change; 0 if it does not exist. */
  readonly keyspaceEpoch: number;
  readonly slotsServed: number;
}

/** @param self how this node is reached; its id is that of its store, if it is one */
export function doorMap(topology: Topology, keyspace: string, self: DoorNode): DoorMap {
  const entry = keyspaceByName(topology, keyspace);
  const stores = [...topology.stores.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const others = stores.filter(({ id }) => id !== self.id).map((store) => nodeOf(store, keyspace));
  const nodes = [self, ...others.filter((node) => node !== undefined)];
  const doors: Doors = {
    nodes: new Map(nodes.map((node) => [node.id, node])),
    substitutes: stores.flatMap((store) =>
      nodeOf(store, keyspace) === undefined ? [] : (nodes.find(({ id }) => id === store.id) ?? []),
    ),
    self,
  };
  const holders = (entry?.shards ?? []).map(({ stores: ids }, shard) =>
    topology.stores.has(ids[0] ?? '') ? holdersOf(doors, ids, shard) : [],
  );
  const { groups, groupsOfShards } = grouped(holders);
  const shards = entry === undefined ? undefined : shardsOfSlots(entry.shards.length);
  const groupOf = (slot: number) => (shards === undefined ? NO_GROUP : groupsOfShards[shards[slot]!]!);
  const ranges = slotRanges(groupOf);
  return {
    self,
    nodes,
    groups: groups.map((each, group) => ({
      nodes: each,
      ranges: ranges.filter((range) => range.group === group),
    })),
    ranges,
    shardsHere: holders.flatMap(([owner], shard) => (owner === self ? [shard] : [])),
    ownerOf: (slot) => groups[groupOf(slot)]?.[0],
    holdersOf: (slot) => groups[groupOf(slot)] ?? [],
    epoch: epochOf(topology),
    keyspaceEpoch: entry?.epoch ?? 0,
    slotsServed: ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0),
  };
}

/** Who shows a keyspace. */
interface Doors {
  readonly nodes: ReadonlyMap<string, DoorNode>;
  /** Stores with a door, in order of their ids: they stand in for those without. */
  readonly substitutes: readonly DoorNode[];
  readonly self: DoorNode;
}

/** Where a store shows the keyspace; undefined if it has no door for it. */
function nodeOf({ id, host, doors, peerPort }: StoreEntry, keyspace: string): DoorNode | undefined {
  const door = doors.find((each) => each.keyspace === keyspace);
  return door && { id, host, port: door.port, peerPort };
}

/** Those to ask for a shard, the owner first, or who stands in for it. */
function holdersOf(
  { nodes, substitutes, self }: Doors,
  stores: readonly string[],
  shard: number,
): readonly DoorNode[] {
  const [ownerId = '', ...copies] = stores;
  const owner = nodes.get(ownerId) ?? substitutes[shard % substitutes.length] ?? self;
  const others = copies.map((id) => nodes.get(id));
  return [owner, ...others.filter((node) => node !== undefined && node !== owner)] as DoorNode[];
}

/** The different lists of holders, and for each shard the place of its own; NO_GROUP where that is empty. */
function grouped(holders: readonly (readonly DoorNode[])[]): {
  readonly groups: readonly (readonly DoorNode[])[];
  readonly groupsOfShards: readonly number[];
} {
  const groups: (readonly DoorNode[])[] = [];
  const known = new Map<string, number>();
  const groupsOfShards = holders.map((each) => {
    if (each.length === 0) return NO_GROUP;
    const ids = each.map(({ id }) => id).join(' ');
    const group = known.get(ids) ?? groups.push(each) - 1;
    known.set(ids, group);
    return group;
  });
  return { groups, groupsOfShards };
}

/** Whether every slot is somebody's. */
export function isComplete(map: DoorMap): boolean {
  return map.slotsServed === SLOTS;
}
