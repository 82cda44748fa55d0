/**
 * What a cluster consists of: plain, immutable data, and the same on every node that has heard of its epoch.
 *
 * Each entry carries the epoch at which it last changed. Nodes that were apart put their topologies together entry by
 * entry, the later one winning ({@link mergeTopologies}); so a master that knows nothing learns everything from what
 * the stores remember, in whatever order they report.
 */
export interface Topology {
  /** '' until the cluster has one. */
  readonly clusterId: string;
  readonly stores: ReadonlyMap<string, StoreEntry>;
  /** By id; deleted ones stay as markers, so that a store that was away learns of it. */
  readonly keyspaces: ReadonlyMap<string, KeyspaceEntry>;
}

/** A store, as others reach it. */
export interface StoreEntry {
  /** 40 hexadecimal digits, made at its first start and kept with its data. */
  readonly id: string;
  readonly epoch: number;
  /** Address that other nodes and cluster clients use. */
  readonly host: string;
  /** The plain door's port; 0 where there is none. */
  readonly port: number;
  /** The plain door's TLS port; 0 where there is none. */
  readonly tlsPort: number;
  /** gRPC for other stores. */
  readonly peerPort: number;
  /** Copies of a shard are put into different zones where there are several; '' = none named. */
  readonly zone: string;
  readonly tags: readonly string[];
  readonly doors: readonly ClusterDoor[];
}

/** A port that speaks the Redis Cluster protocol for one keyspace. */
export interface ClusterDoor {
  readonly port: number;
  /** Name of the keyspace; 'db0' is that of database 0. */
  readonly keyspace: string;
}

/** A keyspace: a named database in shards. */
export interface KeyspaceEntry {
  /** 16 hexadecimal digits; another one for a keyspace that is made again under the same name. */
  readonly id: string;
  readonly epoch: number;
  readonly name: string;
  /** The number by which SELECT reaches it; undefined = by name only. */
  readonly db: number | undefined;
  /** Copies of each shard that there should be. */
  readonly replicas: number;
  /** Only stores with all of these tags hold it. */
  readonly tags: readonly string[];
  /** In order: shard n serves the slots that jump consistent hashing gives to bucket n. */
  readonly shards: readonly ShardEntry[];
  readonly deleted: boolean;
}

export interface ShardEntry {
  /** Ids of the stores that hold it, the owner first. */
  readonly stores: readonly string[];
}

export const EMPTY_TOPOLOGY: Topology = { clusterId: '', stores: new Map(), keyspaces: new Map() };

/** The name of the keyspace that a database number has when it comes into being by being used. */
export function databaseName(db: number): string {
  return `db${db}`;
}

/** The latest epoch in a topology; 0 for an empty one. */
export function epochOf({ stores, keyspaces }: Topology): number {
  let epoch = 0;
  for (const entry of stores.values()) epoch = Math.max(epoch, entry.epoch);
  for (const entry of keyspaces.values()) epoch = Math.max(epoch, entry.epoch);
  return epoch;
}

/**
 * The epoch of the next change. It is later than every epoch known, and later than those a master knew that has since
 * lost its memory, because it is no less than the time.
 */
export function nextEpoch(topology: Topology, nowMs: number): number {
  return Math.max(epochOf(topology) + 1, nowMs);
}

/** The keyspaces that exist, in order of their names. */
export function liveKeyspaces({ keyspaces }: Topology): KeyspaceEntry[] {
  return [...keyspaces.values()].filter(({ deleted }) => !deleted).sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function keyspaceByName(topology: Topology, name: string): KeyspaceEntry | undefined {
  for (const entry of topology.keyspaces.values()) if (!entry.deleted && entry.name === name) return entry;
  return undefined;
}

export function keyspaceByNumber(topology: Topology, db: number): KeyspaceEntry | undefined {
  for (const entry of topology.keyspaces.values()) if (!entry.deleted && entry.db === db) return entry;
  return undefined;
}

/** The topology with an entry added or replaced. */
export function withKeyspace(topology: Topology, entry: KeyspaceEntry): Topology {
  return { ...topology, keyspaces: new Map(topology.keyspaces).set(entry.id, entry) };
}

/** The topology with an entry added or replaced. */
export function withStore(topology: Topology, entry: StoreEntry): Topology {
  return { ...topology, stores: new Map(topology.stores).set(entry.id, entry) };
}

/**
 * What two nodes know together: of each entry the later version. Commutative, associative and idempotent for versions
 * that one master made; where two versions have the same epoch, the first one stays.
 */
export function mergeTopologies(one: Topology, other: Topology): Topology {
  return {
    clusterId: one.clusterId === '' ? other.clusterId : one.clusterId,
    stores: mergeEntries(one.stores, other.stores),
    keyspaces: mergeEntries(one.keyspaces, other.keyspaces),
  };
}

function mergeEntries<Entry extends { readonly id: string; readonly epoch: number }>(
  one: ReadonlyMap<string, Entry>,
  other: ReadonlyMap<string, Entry>,
): ReadonlyMap<string, Entry> {
  const merged = new Map(one);
  for (const [id, entry] of other) {
    const held = merged.get(id);
    if (held === undefined || entry.epoch > held.epoch) merged.set(id, entry);
  }
  return merged;
}

/** A topology as plain JSON values, for disks and wires. */
export interface TopologyRecord {
  readonly clusterId: string;
  readonly stores: readonly StoreEntry[];
  readonly keyspaces: readonly (Omit<KeyspaceEntry, 'db'> & { readonly db: number | null })[];
}

export function toRecord(topology: Topology): TopologyRecord {
  return {
    clusterId: topology.clusterId,
    stores: [...topology.stores.values()],
    keyspaces: [...topology.keyspaces.values()].map((entry) => ({ ...entry, db: entry.db ?? null })),
  };
}

export function fromRecord(record: TopologyRecord): Topology {
  return {
    clusterId: record.clusterId,
    stores: new Map(record.stores.map((entry) => [entry.id, entry])),
    keyspaces: new Map(record.keyspaces.map((entry) => [entry.id, { ...entry, db: entry.db ?? undefined }])),
  };
}
