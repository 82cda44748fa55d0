import type { KeyspaceEntry, StoreEntry, Topology } from './topology.js';

/** Where a master listens, unless it is told another port. */
export const MASTER_PORT = 8278;

/** A change that cannot be: the message says why, and what to do. */
export class ManagerError extends Error {
  constructor(
    /** `UNAVAILABLE`: the master cannot be reached now. The others: it has answered. */
    readonly code: 'INVALID' | 'NOT_FOUND' | 'EXISTS' | 'BUSY' | 'IMPOSSIBLE' | 'UNAVAILABLE' | 'FAILED',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'ManagerError';
  }
}

export interface KeyspaceRequest {
  /** Letters, digits, `_`, `-`, `.`; at most 64; not all digits. */
  readonly name: string;
  /** The number by which SELECT reaches it. */
  readonly db?: number;
  readonly shards: number;
  readonly replicas: number;
  /** Only stores with all of these tags are to hold it. */
  readonly tags: readonly string[];
  /** The store that should hold it if all else is equal: the one that was asked. */
  readonly near?: string;
  /** Whether a keyspace that is there already will do: then it is what is returned. */
  readonly mayExist?: boolean;
}

/** What the master knows of a store. */
export interface StoreStatus {
  readonly entry: StoreEntry;
  readonly alive: boolean;
  /** Unix milliseconds of its last sign of life; 0 = none since the master began. */
  readonly seenAtMs: number;
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly shards: readonly ShardStatus[];
}

/** What a store says of one of its shards. */
export interface ShardStatus {
  readonly keyspace: string;
  readonly shard: number;
  readonly keys: number;
  readonly bytes: number;
  /** `open`, or what it is doing, or why it does not serve. */
  readonly state: string;
  /** How it follows other copies. */
  readonly follows: readonly FollowStatus[];
}

/** How a copy of a shard follows another one. */
export interface FollowStatus {
  /** The store that has the other one. */
  readonly store: string;
  readonly shard: number;
  /** `connecting`: the other store cannot be reached, or does not let itself be followed. */
  readonly state: 'connecting' | 'copying' | 'tailing';
  /** Why nothing comes; '' while something may. */
  readonly problem: string;
  /** It had all that the other had when that was last heard of. */
  readonly isLevel: boolean;
  /** Number of the last record of the other one's log that it has; 0 while it copies. */
  readonly position: number;
  /** Records that it has not. */
  readonly lagRecords: number;
  /** For how long the other one has had something that it has not, milliseconds. */
  readonly lagMs: number;
  /** Of the copy that was made last, or is being made. */
  readonly copiedRows: number;
  readonly copiedBytes: number;
}

/** How far a long task has come. */
export interface TaskProgress {
  readonly done: number;
  readonly total: number;
  /** What is being done, for people. */
  readonly phase: string;
}

/** What somebody wants of where keyspaces are. Stores are named by id, by its beginning, or by host:port. */
export type ChangeRequest =
  /** Another number of shards. */
  | { readonly kind: 'resize'; readonly keyspace: string; readonly shards: number }
  /** Another number of copies of each shard. */
  | { readonly kind: 'replicas'; readonly keyspace: string; readonly replicas: number }
  /** One copy of one shard to another store. */
  | {
      readonly kind: 'move';
      readonly keyspace: string;
      readonly shard: number;
      readonly from: string;
      readonly to: string;
    }
  /** All that a store has to another one; '' = to whoever is best. The store may be dead where there are copies. */
  | { readonly kind: 'replace'; readonly store: string; readonly by: string }
  /** All that a store has to others, each shard to whoever is best; it gets nothing more until `undrain`. */
  | { readonly kind: 'drain'; readonly store: string }
  /** A store that was drained may get something again. Nothing is moved by that. */
  | { readonly kind: 'undrain'; readonly store: string }
  /** So that all stores have their part. */
  | { readonly kind: 'rebalance' }
  /** The change of a keyspace is given up, before others have taken over. */
  | { readonly kind: 'abort'; readonly keyspace: string };

/** What a request has set going. */
export interface ChangeBegun {
  /** That of the changes, see {@link ChangeStatus}; '' = there was nothing to do. */
  readonly id: string;
  /** What goes where, and why, for people. */
  readonly explanation: readonly string[];
}

/** How far the change of a keyspace has come. */
export interface ChangeStatus {
  readonly id: string;
  /** Name of the keyspace. */
  readonly keyspace: string;
  readonly kind: string;
  readonly phase: string;
  /** Unix milliseconds. */
  readonly startedAtMs: number;
  /** Hand-overs that were tried and given up. */
  readonly attempts: number;
  /** Rows and bytes that copies have brought, and an estimate of how many there are to be. */
  readonly rows: number;
  readonly rowsTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
  /** What is waited for, for people. */
  readonly waitsFor: readonly string[];
  /** It is done, but for what stores that are away may alone have; other changes may begin. */
  readonly isResting: boolean;
}

/**
 * Changes of the topology, and what is known of the cluster: the master, in this process or behind gRPC.
 * Everything rejects with {@link ManagerError}.
 */
export interface ClusterManager {
  /** The latest topology that this side has heard of. */
  readonly topology: Topology;
  /** Resolves when the stores concerned hold it and have it on disk. */
  createKeyspace(request: KeyspaceRequest): Promise<KeyspaceEntry>;
  /** Resolves when all living stores that held it have let go of it. */
  deleteKeyspace(name: string): Promise<void>;
  /** Rewrites the shards of a keyspace, so that what was deleted and overwritten takes no space. */
  compactKeyspace(name: string, onProgress: (progress: TaskProgress) => void): Promise<void>;
  /** SWAPDB: exchanges two numbers. */
  swapDatabases(first: number, second: number): Promise<void>;
  stores(): Promise<StoreStatus[]>;
  /** Begins a change of where keyspaces are, which then goes on by itself. */
  beginChange(request: ChangeRequest): Promise<ChangeBegun>;
  /** The changes that are going on, in order of their keyspaces. */
  changeStatuses(): Promise<ChangeStatus[]>;
}
