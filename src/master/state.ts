import type { ShardStatus, StoreStatus } from '../cluster/manager.js';
import type { KeyspaceNews } from '../cluster/messages.js';
import type { PlacementStore } from '../cluster/placement.js';
import type { PlanStore } from '../cluster/plan/plan.js';
import {
  addressOf,
  EMPTY_TOPOLOGY,
  epochOf,
  type KeyspaceEntry,
  mergeTopologies,
  type ShardEntry,
  type StoreEntry,
  type Topology,
  withKeyspace,
  withStore,
} from '../cluster/topology.js';
import { NAME_LENGTH_MAX, numberOfName } from './rules.js';

/*
 * What a master knows, and how it changes: pure functions. All of it is soft: the topology comes from what stores
 * remember, the rest from what they report. So a master that begins with nothing ends up with the same state, in
 * whatever order the stores register.
 */

export interface MasterState {
  /** What every node is to have. */
  readonly topology: Topology;
  /** By id of the store; those that have been heard since the master began. */
  readonly health: ReadonlyMap<string, StoreHealth>;
}

export interface StoreHealth {
  readonly alive: boolean;
  /** Unix milliseconds. */
  readonly seenAtMs: number;
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly shards: readonly ShardStatus[];
  /** What it says of its part in keyspaces, in this life. */
  readonly keyspaces: readonly KeyspaceNews[];
}

/** What a store says when it registers. */
export interface Registration {
  readonly store: StoreEntry;
  readonly topology: Topology;
}

export const EMPTY_STATE: MasterState = { topology: EMPTY_TOPOLOGY, health: new Map() };

/** Which cluster it is, and who belongs to it. */
export interface Admission<R extends Registration> {
  readonly clusterId: string;
  readonly admitted: readonly R[];
  readonly refused: readonly R[];
}

/**
 * Decides which cluster this is: the one already known, or that of most of the stores (where two have as many, the one
 * that changed last), or a new one. Stores without a cluster join it.
 * @param known '' while no cluster is known
 */
export function admit<R extends Registration>(
  known: string,
  registrations: readonly R[],
  makeId: () => string,
): Admission<R> {
  const clusterId = known !== '' ? known : (prevailingCluster(registrations) ?? makeId());
  const belongs = ({ topology }: R) => topology.clusterId === '' || topology.clusterId === clusterId;
  return {
    clusterId,
    admitted: registrations.filter(belongs),
    refused: registrations.filter((registration) => !belongs(registration)),
  };
}

function prevailingCluster(registrations: readonly Registration[]): string | undefined {
  const clusters = new Map<string, { id: string; stores: number; epoch: number }>();
  for (const { topology } of registrations) {
    if (topology.clusterId === '') continue;
    const cluster = clusters.get(topology.clusterId) ?? { id: topology.clusterId, stores: 0, epoch: 0 };
    cluster.stores++;
    cluster.epoch = Math.max(cluster.epoch, epochOf(topology));
    clusters.set(cluster.id, cluster);
  }
  const [first] = [...clusters.values()].sort(
    (a, b) => b.stores - a.stores || b.epoch - a.epoch || (a.id < b.id ? -1 : 1),
  );
  return first?.id;
}

/** What was found out while putting memories together. */
export interface Learned {
  readonly state: MasterState;
  /** For people: keyspaces that had to be renamed. */
  readonly conflicts: readonly string[];
}

/**
 * Takes in what stores of this cluster registered with. Several at once give the same, whatever their order.
 * @param newEpoch gives an epoch later than any other, at each call
 */
export function learn(
  state: MasterState,
  clusterId: string,
  registrations: readonly Registration[],
  nowMs: number,
  newEpoch: (topology: Topology) => number,
): Learned {
  const ordered = [...registrations].sort((a, b) => (a.store.id < b.store.id ? -1 : 1));
  let topology: Topology = { ...state.topology, clusterId };
  for (const registration of ordered) topology = mergeTopologies(topology, registration.topology);
  topology = withDrains(topology, [state.topology, ...ordered.map((each) => each.topology)], newEpoch);
  const health = new Map(state.health);
  for (const { store } of ordered) {
    const known = topology.stores.get(store.id);
    if (known === undefined || !isSameStore(known, store))
      topology = withStore(topology, { ...store, ...drainOf(known), epoch: newEpoch(topology) });
    const before = health.get(store.id);
    health.set(store.id, { ...(before ?? UNHEARD), alive: true, seenAtMs: nowMs, keyspaces: [] });
  }
  const resolved = resolveConflicts(topology, newEpoch);
  return { state: { topology: resolved.topology, health }, conflicts: resolved.conflicts };
}

type Drain = Pick<StoreEntry, 'isDrained' | 'drainEpoch'>;

function drainOf({ isDrained, drainEpoch }: Drain = {}): Drain {
  return { ...(isDrained && { isDrained }), ...(drainEpoch !== undefined && { drainEpoch }) };
}

/** @param drainEpoch when that was said */
export function withDrain(
  { isDrained: _, ...entry }: StoreEntry,
  isDrained: boolean,
  drainEpoch: number,
  epoch: number,
): StoreEntry {
  return { ...entry, epoch, drainEpoch, ...(isDrained && { isDrained }) };
}

/**
 * Whether a store is drained, as whoever knows best remembers: a store that moved may have registered before those who
 * know that it was drained, and then the later entry of it says nothing of that.
 */
function withDrains(
  topology: Topology,
  known: readonly Topology[],
  newEpoch: (topology: Topology) => number,
): Topology {
  let result = topology;
  for (const entry of topology.stores.values()) {
    let latest: Drain = entry;
    for (const { stores } of known) {
      const other = stores.get(entry.id);
      if ((other?.drainEpoch ?? 0) > (latest.drainEpoch ?? 0)) latest = other!;
    }
    if (latest === entry) continue;
    const { isDrained, drainEpoch = 0 } = latest;
    result = withStore(result, withDrain(entry, isDrained === true, drainEpoch, newEpoch(result)));
  }
  return result;
}

/** Where the clock was set back, no store was heard later than it is now. */
export function seenBefore(state: MasterState, nowMs: number): MasterState {
  const health = [...state.health].map(
    ([id, each]) => [id, { ...each, seenAtMs: Math.min(each.seenAtMs, nowMs) }] as const,
  );
  return { ...state, health: new Map(health) };
}

const UNHEARD: StoreHealth = {
  alive: false,
  seenAtMs: 0,
  freeBytes: 0,
  totalBytes: 0,
  shards: [],
  keyspaces: [],
};

function isSameStore(known: StoreEntry, store: StoreEntry): boolean {
  const facts = ({ host, port, tlsPort, peerPort, zone, tags, doors }: StoreEntry) =>
    JSON.stringify([
      host,
      port,
      tlsPort,
      peerPort,
      zone,
      tags,
      doors.map((door) => [door.port, door.keyspace]),
    ]);
  return facts(known) === facts(store);
}

/**
 * Of two living keyspaces with one name or number the older keeps it. The younger loses its number, and gets a name
 * made from its id if its own is taken or is that of a number; its data stays. That can happen only if a master
 * made a keyspace while the store that remembers another one of that name was away.
 */
export function resolveConflicts(
  topology: Topology,
  newEpoch: (topology: Topology) => number,
): { topology: Topology; conflicts: readonly string[] } {
  const oldestFirst = [...topology.keyspaces.values()]
    .filter(({ deleted }) => !deleted)
    .sort((a, b) => a.epoch - b.epoch || (a.id < b.id ? -1 : 1));
  const names = new Set<string>();
  const numbers = new Set<number>();
  const conflicts: string[] = [];
  let resolved = topology;
  for (const entry of oldestFirst) {
    let kept = entry;
    if (names.has(entry.name) || (entry.db !== undefined && numbers.has(entry.db))) {
      const isNameLost = names.has(entry.name) || numberOfName(entry.name) !== undefined;
      const name = isNameLost ? nameWithId(entry, names) : entry.name;
      kept = { ...entry, name, db: undefined, epoch: newEpoch(resolved) };
      resolved = withKeyspace(resolved, kept);
      conflicts.push(conflictText(entry, name));
    }
    names.add(kept.name);
    if (kept.db !== undefined) numbers.add(kept.db);
  }
  return { topology: resolved, conflicts };
}

function nameWithId({ name, id }: KeyspaceEntry, taken: ReadonlySet<string>): string {
  const made = (suffix: string) => `${name.slice(0, NAME_LENGTH_MAX - suffix.length - 1)}-${suffix}`;
  const short = made(id.slice(0, 8));
  return taken.has(short) ? made(id) : short;
}

function conflictText({ id, name, db }: KeyspaceEntry, newName: string): string {
  const number = db === undefined ? '' : `, without the number ${db}`;
  return `two keyspaces were made as ${name}${db === undefined ? '' : ` or with the number ${db}`}: the younger one (${id}) is ${newName} from now on${number}`;
}

/** Whether two topologies have the same entries, each at the same epoch. */
export function isSameTopology(one: Topology, other: Topology): boolean {
  return (
    one.clusterId === other.clusterId &&
    hasSameEntries(one.stores, other.stores) &&
    hasSameEntries(one.keyspaces, other.keyspaces)
  );
}

function hasSameEntries<Entry extends { readonly epoch: number }>(
  one: ReadonlyMap<string, Entry>,
  other: ReadonlyMap<string, Entry>,
): boolean {
  return one.size === other.size && [...one].every(([id, { epoch }]) => other.get(id)?.epoch === epoch);
}

/** A sign of life. */
export function report(
  state: MasterState,
  store: string,
  said: Pick<StoreHealth, 'freeBytes' | 'totalBytes' | 'shards' | 'keyspaces'>,
  nowMs: number,
): MasterState {
  const { freeBytes, totalBytes, shards, keyspaces } = said;
  const seen = { alive: true, seenAtMs: nowMs };
  return withHealth(state, store, { ...seen, freeBytes, totalBytes, shards, keyspaces });
}

/** A store that cannot be heard any more. What it reported last stays. */
export function depart(state: MasterState, store: string): MasterState {
  return withHealth(state, store, { ...(state.health.get(store) ?? UNHEARD), alive: false });
}

function withHealth(state: MasterState, store: string, health: StoreHealth): MasterState {
  return { ...state, health: new Map(state.health).set(store, health) };
}

/** All stores that the cluster knows, in order of their addresses. */
export function storeStatuses({ topology, health }: MasterState): StoreStatus[] {
  return [...topology.stores.values()]
    .map((entry) => ({ entry, ...(health.get(entry.id) ?? UNHEARD) }))
    .sort((a, b) => (addressOf(a.entry) < addressOf(b.entry) ? -1 : 1));
}

/**
 * The living stores as the planner sees them.
 * @param topology may hold changes under way, whose shards count
 */
export function placementStores(state: MasterState, topology: Topology): PlacementStore[] {
  return planStores(state, topology).filter(({ alive }) => alive);
}

/** All stores as planners see them; of a dead one, as it was. */
export function planStores({ health }: MasterState, topology: Topology): PlanStore[] {
  const shards = new Map<string, number>();
  for (const keyspace of topology.keyspaces.values())
    if (!keyspace.deleted)
      for (const { stores } of shardsToBe(keyspace))
        for (const id of stores) shards.set(id, (shards.get(id) ?? 0) + 1);
  const all: PlanStore[] = [];
  for (const entry of topology.stores.values()) {
    const { id, zone, tags, peerPort } = entry;
    const { freeBytes, totalBytes, alive } = health.get(id) ?? UNHEARD;
    all.push({
      alive,
      id,
      address: addressOf(entry),
      zone,
      tags,
      shards: shards.get(id) ?? 0,
      freeBytes,
      totalBytes,
      isAlone: peerPort === 0,
      isDrained: entry.isDrained === true,
    });
  }
  return all;
}

/** Shards as they are to be when the change under way is over. */
function shardsToBe({ shards, change }: KeyspaceEntry): readonly ShardEntry[] {
  return change !== undefined && 'target' in change && change.phase !== 'undo' ? change.target : shards;
}
