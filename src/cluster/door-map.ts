import type { Values } from '../base/directives.js';
import { shardsOfSlots } from './jump-hash.js';
import { NO_GROUP, type SlotRange, slotRanges } from './slot-ranges.js';
import { SLOTS } from './slots.js';
import { type ClusterDoor, epochOf, keyspaceByName, type StoreEntry, type Topology } from './topology.js';

/** A node as clients of a cluster door see it. */
export interface DoorNode {
  /** 40 hexadecimal digits. */
  readonly id: string;
  readonly host: string;
  /** Its door for the keyspace. */
  readonly port: number;
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
 * A slot is its owner's if the owner has a door for the keyspace. If it has none, the node that is asked claims the
 * slot, and forwards what comes: so a client reaches every key whatever doors there are. Slots of a shard without a
 * store that is known, and all slots of a keyspace that does not exist, are nobody's.
 */
export interface DoorMap {
  readonly self: DoorNode;
  /** All nodes with a door for the keyspace, this one first. */
  readonly nodes: readonly DoorNode[];
  /** Slots with who holds them. */
  readonly groups: readonly SlotGroup[];
  /** All ranges, in order of the slots; `group` is a place in `groups`. */
  readonly ranges: readonly SlotRange[];
  /** Whom to ask for a slot; undefined where nobody serves it. */
  ownerOf(slot: number): DoorNode | undefined;
  /** Of the whole topology. */
  readonly epoch: number;
  /** Of the keyspace's last change; 0 if it does not exist. */
  readonly keyspaceEpoch: number;
  readonly slotsServed: number;
}

/** The doors that a node opens, and tells others of. */
export function clusterDoorsOf(values: Values): readonly ClusterDoor[] {
  return values['cluster-port'];
}

/** @param self how this node is reached; its id is that of its store, if it is one */
export function doorMap(topology: Topology, keyspace: string, self: DoorNode): DoorMap {
  const entry = keyspaceByName(topology, keyspace);
  const nodes = new Map([[self.id, self]]);
  for (const store of topology.stores.values()) {
    const node = nodeOf(store, keyspace);
    if (node !== undefined && store.id !== self.id) nodes.set(store.id, node);
  }
  const groups: DoorNode[][] = [];
  const groupsByIds = new Map<string, number>();
  const groupsOfShards = (entry?.shards ?? []).map(({ stores }) => {
    const holders = holdersOf(topology, stores, nodes, self);
    if (holders.length === 0) return NO_GROUP;
    const ids = holders.map(({ id }) => id).join(' ');
    const known = groupsByIds.get(ids) ?? groups.push(holders) - 1;
    groupsByIds.set(ids, known);
    return known;
  });
  const shards = entry === undefined ? undefined : shardsOfSlots(entry.shards.length);
  const groupOf = (slot: number) => (shards === undefined ? NO_GROUP : groupsOfShards[shards[slot]!]!);
  const ranges = slotRanges(groupOf);
  return {
    self,
    nodes: [...nodes.values()],
    groups: groups.map((holders, group) => ({
      nodes: holders,
      ranges: ranges.filter((range) => range.group === group),
    })),
    ranges,
    ownerOf: (slot) => groups[groupOf(slot)]?.[0],
    epoch: epochOf(topology),
    keyspaceEpoch: entry?.epoch ?? 0,
    slotsServed: ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0),
  };
}

/** Where a store shows the keyspace; undefined if it has no door for it. */
function nodeOf({ id, host, doors }: StoreEntry, keyspace: string): DoorNode | undefined {
  const door = doors.find((each) => each.keyspace === keyspace);
  return door && { id, host, port: door.port };
}

/** Those to ask for a shard, the owner first. */
function holdersOf(
  topology: Topology,
  stores: readonly string[],
  nodes: ReadonlyMap<string, DoorNode>,
  self: DoorNode,
): DoorNode[] {
  const [ownerId] = stores;
  if (ownerId === undefined || !topology.stores.has(ownerId)) return [];
  const owner = nodes.get(ownerId) ?? self;
  const others = stores.slice(1).map((id) => nodes.get(id));
  return [owner, ...others.filter((node) => node !== undefined && node !== owner)] as DoorNode[];
}

/** Whether every slot is somebody's. */
export function isComplete(map: DoorMap): boolean {
  return map.slotsServed === SLOTS;
}
