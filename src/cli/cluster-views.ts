import { copyState, STORE_DOWN, storeLag } from '../cluster/copy-state.js';
import { shardsOfSlots } from '../cluster/jump-hash.js';
import { ManagerError, type StoreStatus } from '../cluster/manager.js';
import {
  epochOf,
  type KeyspaceEntry,
  liveKeyspaces,
  type StoreEntry,
  type Topology,
} from '../cluster/topology.js';
import type {
  CopyView,
  KeyspaceDescription,
  KeyspaceView,
  PlacedKeyspace,
  ShardReport,
  ShardView,
  StoreAddress,
  StoreView,
  TopologyView,
} from './cluster-client.js';
import { count } from './words.js';

const NOT_REPORTED: ShardReport = { state: null, keys: null, bytes: null, copyStates: [] };

export function topologyView(topology: Topology): TopologyView {
  return {
    clusterId: topology.clusterId,
    epoch: epochOf(topology),
    stores: [...topology.stores.values()].map(storeAddress).sort(byAddress),
    keyspaces: liveKeyspaces(topology).map((entry) => ({
      ...keyspaceView(entry),
      placement: entry.shards.map(({ stores }) => stores),
    })),
  };
}

export function keyspaceView({ id, name, db, shards, replicas, tags }: KeyspaceEntry): KeyspaceView {
  return { id, name, db: db ?? null, shards: shards.length, replicas, tags };
}

function storeAddress({ id, host, port, tlsPort, zone, tags, isDrained }: StoreEntry): StoreAddress {
  const address = `${host.includes(':') ? `[${host}]` : host}:${port || tlsPort}`;
  return { id, address, zone, tags, isDrained: isDrained === true };
}

export function storeView(status: StoreStatus, nowMs: number): StoreView {
  const { entry, alive, seenAtMs, freeBytes, totalBytes, shards } = status;
  return {
    ...storeAddress(entry),
    state: alive ? 'up' : 'down',
    seenMsAgo: seenAtMs === 0 ? null : Math.max(0, nowMs - seenAtMs),
    freeBytes,
    totalBytes,
    shards: shards.length,
    ...storeLag(shards),
  };
}

/** By number as far as addresses differ in numbers only, so that lists read as people count. */
export function byAddress(a: StoreAddress, b: StoreAddress): number {
  return a.address.localeCompare(b.address, 'en', { numeric: true }) || (a.id < b.id ? -1 : 1);
}

/** What the owners of a keyspace's shards say of them, in order of the shards. */
export function shardReports(keyspace: PlacedKeyspace, statuses: readonly StoreStatus[]): ShardReport[] {
  return keyspace.placement.map((stores, shard) => {
    const statusOf = (store: string | undefined) => statuses.find(({ entry }) => entry.id === store);
    const reported = statusOf(stores[0])?.shards.find(
      (each) => each.keyspace === keyspace.id && each.shard === shard,
    );
    const { state, keys, bytes } = reported ?? NOT_REPORTED;
    const copyStates = stores.map((store, place) =>
      place === 0 ? null : (copyState(statusOf(store), keyspace.id, shard, stores[0]!) ?? null),
    );
    return { state, keys, bytes, copyStates };
  });
}

/** @throws ManagerError when there is none */
export function findKeyspace({ keyspaces }: TopologyView, name: string): PlacedKeyspace {
  const found = keyspaces.find((each) => each.name === name);
  if (found !== undefined) return found;
  const names = keyspaces.map((each) => each.name).slice(0, 20);
  const there = names.length === 0 ? 'there are none' : `there is ${names.join(', ')}`;
  throw new ManagerError('NOT_FOUND', `no keyspace is named '${name}': ${there}`);
}

export function describeKeyspace(
  topology: TopologyView,
  keyspace: PlacedKeyspace,
  stores: readonly StoreView[],
  reports: readonly ShardReport[],
): KeyspaceDescription {
  const slots = slotCounts(keyspace.shards);
  const placement = keyspace.placement.map((ids, shard): ShardView => {
    const { state, keys, bytes, copyStates } = reports[shard] ?? NOT_REPORTED;
    const copies = ids.map((id, place) => ({
      ...copyView(id, topology, stores),
      data: copyStates[place] ?? null,
    }));
    const isDown = copies[0]?.state === 'down';
    return { shard, slots: slots[shard]!, copies, state: isDown ? STORE_DOWN : state, keys, bytes };
  });
  const { placement: _, ...view } = keyspace;
  return {
    ...view,
    keys: sum(placement.map(({ keys }) => keys)),
    bytes: sum(placement.map(({ bytes }) => bytes)),
    placement,
    notes: placementNotes(keyspace, placement, stores),
  };
}

function copyView(id: string, topology: TopologyView, stores: readonly StoreView[]): Omit<CopyView, 'data'> {
  const entry = topology.stores.find((each) => each.id === id);
  const state = stores.find((each) => each.id === id)?.state ?? 'unknown';
  return { id, address: entry?.address ?? null, zone: entry?.zone ?? '', state };
}

function slotCounts(shards: number): number[] {
  const counts = new Array<number>(shards).fill(0);
  for (const shard of shardsOfSlots(shards)) counts[shard]!++;
  return counts;
}

function sum(numbers: readonly (number | null)[]): number | null {
  const known = numbers.filter((number) => number !== null);
  return known.length === 0 ? null : known.reduce((total, number) => total + number, 0);
}

/** What explains where the shards are, from what is true now: the master keeps no record of its reasons. */
export function placementNotes(
  { tags, replicas }: KeyspaceView,
  placement: readonly ShardView[],
  stores: readonly StoreView[],
): string[] {
  const fitting = stores.filter((store) => tags.every((tag) => store.tags.includes(tag)));
  const notes = [
    tags.length === 0
      ? `any store may hold it: there ${stores.length === 1 ? 'is' : 'are'} ${stores.length}`
      : `only stores with the ${count(tags.length, 'tag')} ${tags.join(', ')} may hold it: ${fitting.length} of ${stores.length} have`,
  ];
  notes.push(balanceNote(placement, fitting));
  if (replicas > 1) notes.push(zoneNote(placement));
  const ownerless = placement.filter(({ copies }) => copies[0]?.state === 'down');
  const failing = ownerless.filter(({ copies }) => copies.every(({ state }) => state === 'down'));
  const passing = ownerless.filter((shard) => !failing.includes(shard));
  if (failing.length > 0)
    notes.push(
      `${shardsText(failing)}: the store is down, commands for ${failing.length === 1 ? 'its' : 'their'} keys fail until it is back`,
    );
  if (passing.length > 0)
    notes.push(`${shardsText(passing)}: the store is down, commands wait until a copy has taken over`);
  const short = placement.filter(({ copies }) => copies.length < replicas).length;
  if (short > 0)
    notes.push(`${count(short, 'shard')} of ${placement.length} have fewer than ${replicas} copies`);
  return notes;
}

function shardsText(shards: readonly ShardView[]): string {
  return `${count(shards.length, 'shard')} ${shards.map(({ shard }) => shard).join(', ')}`;
}

function balanceNote(placement: readonly ShardView[], fitting: readonly StoreView[]): string {
  const owned = new Map(fitting.map(({ id }) => [id, 0]));
  for (const { copies } of placement) {
    const owner = copies[0]?.id ?? '';
    owned.set(owner, (owned.get(owner) ?? 0) + 1);
  }
  const counts = [...owned.values()].filter((shards) => shards > 0).sort((a, b) => b - a);
  const even = Math.max(...owned.values()) - Math.min(...owned.values()) <= 1;
  const spread = `${count(placement.length, 'shard')} on ${count(counts.length, 'store')}`;
  if (counts.length <= 1) return placement.length === 1 ? 'one shard, so one store' : spread;
  const list = counts.length > 8 ? '' : ` (${counts.join(', ')})`;
  return `${spread}${list}, ${even ? 'as even as can be' : 'not even: stores have come or gone since it was made, or were full then'}`;
}

function zoneNote(placement: readonly ShardView[]): string {
  const together = placement.filter(
    ({ copies }) => new Set(copies.map(({ zone }) => zone)).size < copies.length,
  );
  return together.length === 0
    ? 'the copies of each shard are in different zones'
    : `${together.length} of ${count(placement.length, 'shard')} have copies in the same zone: there are too few zones`;
}

/** What happened between two topologies, for people. */
export function topologyChanges(before: TopologyView, after: TopologyView): string[] {
  const changes: string[] = [];
  const old = new Map(before.keyspaces.map((each) => [each.id, each]));
  for (const keyspace of after.keyspaces) {
    const was = old.get(keyspace.id);
    old.delete(keyspace.id);
    const named = keyspace.db === null ? '' : `, number ${keyspace.db}`;
    if (was === undefined)
      changes.push(`keyspace ${keyspace.name} is there, in ${count(keyspace.shards, 'shard')}${named}`);
    else if (was.name !== keyspace.name) changes.push(`keyspace ${was.name} is called ${keyspace.name} now`);
    else if (was.db !== keyspace.db)
      changes.push(
        `keyspace ${keyspace.name} has ${keyspace.db === null ? 'no number' : `the number ${keyspace.db}`} now`,
      );
    else if (was.shards !== keyspace.shards)
      changes.push(`keyspace ${keyspace.name} has ${count(keyspace.shards, 'shard')} now`);
    else if (was.replicas !== keyspace.replicas)
      changes.push(
        `keyspace ${keyspace.name} has ${count(keyspace.replicas, 'copy', 'copies')} of each shard now`,
      );
    else if (JSON.stringify(was.placement) !== JSON.stringify(keyspace.placement))
      changes.push(`shards of keyspace ${keyspace.name} have moved`);
  }
  for (const { name } of old.values()) changes.push(`keyspace ${name} is deleted`);
  const known = new Map(before.stores.map((each) => [each.id, each]));
  for (const store of after.stores) {
    const was = known.get(store.id);
    if (was === undefined) changes.push(`store ${store.address} has joined`);
    else if (was.address !== store.address) changes.push(`store ${was.address} is at ${store.address} now`);
  }
  return changes;
}

/** Which stores came back or went down between two looks. */
export function storeChanges(before: readonly StoreView[], after: readonly StoreView[]): string[] {
  const old = new Map(before.map(({ id, state }) => [id, state]));
  return after
    .filter(({ id, state }) => old.has(id) && old.get(id) !== state)
    .map(({ address, state }) => `store ${address} is ${state}`);
}
