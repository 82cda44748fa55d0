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
  /** It was drained: nothing more is placed there. The master's to set, not the store's. */
  readonly isDrained?: true;
  /** The epoch at which that was last set, or taken back: an entry may be made anew by a master that has not heard of it. */
  readonly drainEpoch?: number;
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
  /** A change of its shards or of who holds them that is under way. See docs/design/0009-changes.md. */
  readonly change?: KeyspaceChange;
}

export interface ShardEntry {
  /** Ids of the stores that hold it, the owner first. */
  readonly stores: readonly string[];
  /** The store that owned it before a failover, and gets it back when it has all that was written meanwhile. */
  readonly home?: string;
  /**
   * The epoch of the last takeover in which it lost slots, or in which holders came, went or changed places; where
   * there is none, it is as it was made. Of copies that were away it tells whether they missed more than writes.
   */
  readonly since?: number;
}

/** What somebody wanted: for people, and for how it ends; the phases are the same for all. */
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** `failback`: shards go back to the owners that they had before a failover. */
export const CHANGE_KINDS = [
  'resize',
  'replace',
  'move',
  'drain',
  'rebalance',
  'replicas',
  'failback',
] as const;

interface ChangeFacts {
  /** 16 hexadecimal digits; the same for all keyspaces that one request changes. */
  readonly id: string;
  readonly kind: ChangeKind;
  /** Unix milliseconds. */
  readonly startedAtMs: number;
  /** The epoch with which the phase began: what stores say of a phase, they say of this. */
  readonly since: number;
  /** When the phase began, unix milliseconds. */
  readonly sinceMs: number;
  /** Copies of each shard that there are to be. */
  readonly replicas: number;
  /** Hand-overs that were tried and given up. */
  readonly attempts: number;
}

/**
 * A change under way, in its phases:
 *
 * - `prepare`: the stores of the target fill their shards. Nothing is different for clients.
 * - `handover`: writes of slots that get another owner wait, until the new owners have all there is.
 * - `takeover`: the target is what the entry's `shards` say. Each new owner begins when the former one has said that it
 *   takes no more, and it has everything up to there.
 * - `cleanup`: what is not theirs any more goes away from the former holders, but for those in `former`.
 * - `undo`: given up before the takeover; what had been filled goes away.
 */
export type KeyspaceChange = ChangeFacts &
  (
    | {
        readonly phase: 'prepare' | 'handover' | 'undo';
        /** The shards as they are to be, or were to be. */
        readonly target: readonly ShardEntry[];
      }
    | {
        readonly phase: 'takeover' | 'cleanup';
        /**
         * By the shards that there were, those holders of them, of which it is not certain that the new ones have all
         * that they have; the owner first while there is one to take over from.
         */
        readonly former: readonly ShardEntry[];
      }
  );

export type ChangePhase = KeyspaceChange['phase'];

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

/** Where a store is, as people read it. */
export function addressOf({ host, port, tlsPort }: StoreEntry): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port || tlsPort}`;
}

/** A store as messages name it. */
export function storeText(entry: StoreEntry): string {
  return `store ${entry.id.slice(0, 8)} (${addressOf(entry)})`;
}

/** As {@link storeText}, of a store that the topology may not know. */
export function storeTextOf({ stores }: Topology, id: string): string {
  const entry = stores.get(id);
  return entry === undefined ? `store ${id.slice(0, 8)}` : storeText(entry);
}

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
