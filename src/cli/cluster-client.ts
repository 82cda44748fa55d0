import type {
  ChangeBegun,
  ChangeRequest,
  ChangeStatus,
  KeyspaceRequest,
  TaskProgress,
} from '../cluster/manager.js';
import type { RespConnection } from './resp-connection.js';

/*
 * What `vasto admin` and `vasto shell` know and want of a cluster, whichever way they reach it. The views are what
 * --json prints: fields may be added to them, none is renamed or removed.
 */

/** A store, as the topology has it. */
export interface StoreAddress {
  readonly id: string;
  readonly address: string;
  readonly zone: string;
  readonly tags: readonly string[];
  /** Nothing is placed there. */
  readonly isDrained: boolean;
}

export interface StoreView extends StoreAddress {
  readonly state: 'up' | 'down';
  /** Milliseconds since its last sign of life; null = none since the master began. */
  readonly seenMsAgo: number | null;
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** How many it holds, of all keyspaces. */
  readonly shards: number;
  /** Copies on other stores that they follow, and how many of those it has all of. */
  readonly feeds: number;
  readonly feedsLevel: number;
  /** The longest for which one of those has had something that this store has not, milliseconds. */
  readonly lagMs: number;
}

export interface KeyspaceView {
  readonly id: string;
  readonly name: string;
  /** The number by which SELECT reaches it. */
  readonly db: number | null;
  readonly shards: number;
  readonly replicas: number;
  readonly tags: readonly string[];
}

export interface PlacedKeyspace extends KeyspaceView {
  /** For each shard the ids of the stores that hold it, the owner first. */
  readonly placement: readonly (readonly string[])[];
}

export interface TopologyView {
  readonly clusterId: string;
  readonly epoch: number;
  readonly stores: readonly StoreAddress[];
  readonly keyspaces: readonly PlacedKeyspace[];
}

/** What the owner of a shard says of it; null = nothing is known. */
export interface ShardReport {
  readonly state: string | null;
  readonly keys: number | null;
  readonly bytes: number | null;
  /** Of each copy, in order of the stores, how much of the owner's data it has, in words. */
  readonly copyStates: readonly (string | null)[];
}

/** A copy of a shard. */
export interface CopyView {
  readonly id: string;
  readonly address: string | null;
  readonly zone: string;
  readonly state: 'up' | 'down' | 'unknown';
  /** Of one that is not the owner's: `level`, or how far it is behind, in words; null = nothing is known. */
  readonly data: string | null;
}

export interface ShardView extends Omit<ShardReport, 'copyStates'> {
  readonly shard: number;
  /** How many of the 16384 slots. */
  readonly slots: number;
  /** The owner first. */
  readonly copies: readonly CopyView[];
}

export interface KeyspaceDescription extends KeyspaceView {
  /** Sums over the shards that are known; null when none is. */
  readonly keys: number | null;
  readonly bytes: number | null;
  readonly placement: readonly ShardView[];
  /** Why it is placed so, and what is wrong, for people. */
  readonly notes: readonly string[];
}

/** What those hear who watch a cluster. */
export interface ClusterWatcher {
  topology(topology: TopologyView): void;
  event(text: string, atMs: number): void;
  /** Whether there is somebody to hear from. */
  connected(isConnected: boolean): void;
}

/** A cluster, reached somehow. What is refused, and who cannot be reached, rejects with ManagerError. */
export interface ClusterClient {
  topology(): Promise<TopologyView>;
  stores(): Promise<StoreView[]>;
  describe(name: string): Promise<KeyspaceDescription>;
  create(request: KeyspaceRequest): Promise<KeyspaceView>;
  remove(name: string): Promise<void>;
  /** @param onProgress is not called by those that are not told */
  compact(name: string, onProgress: (progress: TaskProgress) => void): Promise<void>;
  /** Begins a change of where keyspaces are; it goes on by itself. */
  beginChange(request: ChangeRequest): Promise<ChangeBegun>;
  /** Those that are going on. */
  changeStatuses(): Promise<ChangeStatus[]>;
  /**
   * A connection to a store itself, by which it can be asked for what is about one keyspace. Rejects with ManagerError,
   * UNAVAILABLE where it may succeed later.
   * @param store its id
   * @param keyspace its id
   */
  openStore(store: string, keyspace: string): Promise<RespConnection>;
  /** @returns what ends it */
  watch(watcher: ClusterWatcher): () => void;
  close(): void;
}
