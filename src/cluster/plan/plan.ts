import type { PlacementStore } from '../placement.js';
import { flowsBetween, slotsOfShard } from '../slot-set.js';
import type { ChangeKind, KeyspaceEntry, ShardEntry } from '../topology.js';

/** A store that the cluster knows. */
export interface PlanStore extends PlacementStore {
  readonly alive: boolean;
}

/** What planners know besides the entries. */
export interface PlanContext {
  /** All that there are; what is reported of a dead one is what it said last. */
  readonly stores: readonly PlanStore[];
  /** Bytes of a shard on disk, as reported; 0 = nobody has said. */
  readonly bytesOf: (keyspace: string, shard: number) => number;
  /** An epoch later than all others, at each call. */
  readonly newEpoch: () => number;
  /** Unix milliseconds. */
  readonly nowMs: number;
  /** Of the request: 16 hexadecimal digits, new. */
  readonly id: string;
}

/** The entries with which a change begins, none where nothing is to be done; or why it cannot be. */
export type Plan =
  | { readonly entries: readonly KeyspaceEntry[]; readonly explanation: readonly string[] }
  | { readonly reason: string };

/** A keyspace as it is to be. */
export interface Goal {
  readonly entry: KeyspaceEntry;
  readonly target: readonly ShardEntry[];
  /** Copies of each shard; those of the entry unless given. */
  readonly replicas?: number | undefined;
  readonly explanation: readonly string[];
}

/** Free bytes that a store must have for each that it is to take in. */
export const ROOM_FACTOR = 1.2;

/** Makes the entries of a plan, and sees to what holds for all plans. */
export function planOf(kind: ChangeKind, goals: readonly Goal[], context: PlanContext): Plan {
  const changing = goals.filter(
    ({ entry, target, replicas = entry.replicas }) =>
      !isSameShards(entry.shards, target) || replicas !== entry.replicas,
  );
  for (const { entry } of changing) {
    const reason = busyReason(entry, context);
    if (reason !== undefined) return { reason };
  }
  const reason = roomReason(changing, context);
  if (reason !== undefined) return { reason };
  return {
    entries: changing.map(({ entry, target, replicas }) =>
      beginChange(entry, kind, target, context, replicas),
    ),
    explanation: changing.flatMap(({ explanation }) => explanation),
  };
}

/** The entry with a change that begins. */
export function beginChange(
  entry: KeyspaceEntry,
  kind: ChangeKind,
  target: readonly ShardEntry[],
  { newEpoch, nowMs, id }: Pick<PlanContext, 'newEpoch' | 'nowMs' | 'id'>,
  replicas = entry.replicas,
): KeyspaceEntry {
  const since = newEpoch();
  return {
    ...entry,
    epoch: since,
    change: {
      id,
      kind,
      startedAtMs: nowMs,
      since,
      sinceMs: nowMs,
      replicas,
      attempts: 0,
      phase: 'prepare',
      target,
    },
  };
}

export function isSameShards(one: readonly ShardEntry[], other: readonly ShardEntry[]): boolean {
  return (
    one.length === other.length &&
    one.every(({ stores, home }, shard) => {
      const entry = other[shard]!;
      return (
        home === entry.home &&
        stores.length === entry.stores.length &&
        stores.every((store, place) => store === entry.stores[place])
      );
    })
  );
}

/**
 * Why another change cannot begin. One that waits only for former holders that are away is over: what they alone have
 * is given up when it does.
 */
export function busyReason({ name, change }: KeyspaceEntry, { stores }: PlanContext): string | undefined {
  if (change === undefined) return undefined;
  if (change.phase === 'cleanup') {
    const former = new Set(change.former.flatMap((shard) => shard.stores));
    if (former.size > 0 && !stores.some(({ id, alive }) => alive && former.has(id))) return undefined;
  }
  const undoing = change.phase === 'undo' ? ' is being undone' : ' is under way';
  return `keyspace ${name}: a change (${change.kind})${undoing}: wait for it, or abort it`;
}

/** Why there is not enough room for what is to be copied. */
function roomReason(goals: readonly Goal[], { stores, bytesOf }: PlanContext): string | undefined {
  const incoming = new Map<string, number>();
  for (const { entry, target } of goals)
    for (const { from, to, slots } of flowsBetween(entry.shards.length, target.length)) {
      const share = slots.size / slotsOfShard(entry.shards.length, from).size;
      for (const store of target[to]!.stores)
        if (from !== to || !entry.shards[from]!.stores.includes(store))
          incoming.set(store, (incoming.get(store) ?? 0) + bytesOf(entry.id, from) * share);
    }
  for (const { id, address, freeBytes, totalBytes } of stores) {
    const bytes = incoming.get(id) ?? 0;
    if (totalBytes > 0 && bytes * ROOM_FACTOR > freeBytes)
      return `store ${address} would get ${megabytes(bytes)}, which takes ${megabytes(bytes * ROOM_FACTOR)}, and has only ${megabytes(freeBytes)} free`;
  }
  return undefined;
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MB`;
}

/** Stores that can be given something of a keyspace. */
export function living({ stores }: PlanContext): PlanStore[] {
  return stores.filter(({ alive }) => alive);
}

export function zonesOf({ stores }: PlanContext): ReadonlyMap<string, string> {
  return new Map(stores.map(({ id, zone }) => [id, zone]));
}

export function storeWith({ stores }: PlanContext, id: string): PlanStore | undefined {
  return stores.find((store) => store.id === id);
}

/** How a store is named to people. */
export function addressIn(context: PlanContext, id: string): string {
  return storeWith(context, id)?.address ?? id.slice(0, 8);
}

/** Why a shard cannot be copied: nobody who has it is there. */
export function lostReason(
  { name, shards }: KeyspaceEntry,
  shard: number,
  context: PlanContext,
): string | undefined {
  const holders = shards[shard]!.stores;
  if (holders.some((id) => storeWith(context, id)?.alive === true)) return undefined;
  const names = holders.map((id) => addressIn(context, id)).join(', ');
  return `keyspace ${name}: shard ${shard} has no living copy: start ${names} again`;
}
