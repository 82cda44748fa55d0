import type { TopologyListener } from '../cluster/follower.js';
import {
  type ChangeBegun,
  type ChangeRequest,
  type ChangeStatus,
  type ClusterManager,
  type KeyspaceRequest,
  ManagerError,
  type StoreStatus,
  type TaskProgress,
} from '../cluster/manager.js';
import type { StoreEntry, Topology } from '../cluster/topology.js';
import type {
  ClusterClient,
  ClusterWatcher,
  KeyspaceDescription,
  KeyspaceView,
  StoreView,
  TopologyView,
} from './cluster-client.js';
import {
  byAddress,
  describeKeyspace,
  findKeyspace,
  keyspaceView,
  shardReports,
  storeView,
  topologyView,
} from './cluster-views.js';
import type { RespConnection } from './resp-connection.js';

/** What is needed of a master: the client of src/master has it. */
export interface MasterClient extends Omit<ClusterManager, 'topology'> {
  fetchTopology(): Promise<Topology>;
  follow(listener: TopologyListener): () => void;
  close(): void;
}

/** Connects to a store as nodes do, for what is about one keyspace. Rejects with ManagerError. */
export type ReachStore = (entry: StoreEntry, clusterId: string, keyspace: string) => Promise<RespConnection>;

/** A cluster through its master. */
export class MasterCluster implements ClusterClient {
  constructor(
    private readonly master: MasterClient,
    private readonly now: () => number = Date.now,
    private readonly reach: ReachStore = () =>
      Promise.reject(new ManagerError('IMPOSSIBLE', 'no way to stores')),
  ) {}

  async topology(): Promise<TopologyView> {
    return topologyView(await this.master.fetchTopology());
  }

  async stores(): Promise<StoreView[]> {
    return this.views(await this.master.stores());
  }

  async describe(name: string): Promise<KeyspaceDescription> {
    const topology = await this.topology();
    const keyspace = findKeyspace(topology, name);
    const statuses = await this.master.stores();
    return describeKeyspace(topology, keyspace, this.views(statuses), shardReports(keyspace, statuses));
  }

  async create(request: KeyspaceRequest): Promise<KeyspaceView> {
    return keyspaceView(await this.master.createKeyspace(request));
  }

  remove(name: string): Promise<void> {
    return this.master.deleteKeyspace(name);
  }

  compact(name: string, onProgress: (progress: TaskProgress) => void): Promise<void> {
    return this.master.compactKeyspace(name, onProgress);
  }

  beginChange(request: ChangeRequest): Promise<ChangeBegun> {
    return this.master.beginChange(request);
  }

  changeStatuses(): Promise<ChangeStatus[]> {
    return this.master.changeStatuses();
  }

  async openStore(store: string, keyspace: string): Promise<RespConnection> {
    const { stores, clusterId } = await this.master.fetchTopology();
    const entry = stores.get(store);
    if (entry === undefined) throw new ManagerError('UNAVAILABLE', `the master knows no store ${store}`);
    return this.reach(entry, clusterId, keyspace);
  }

  watch(watcher: ClusterWatcher): () => void {
    return this.master.follow({
      topology: (topology) => watcher.topology(topologyView(topology)),
      event: ({ text, atMs }) => watcher.event(text, atMs),
      connected: (isConnected) => watcher.connected(isConnected),
    });
  }

  close(): void {
    this.master.close();
  }

  private views(statuses: readonly StoreStatus[]): StoreView[] {
    return statuses.map((status) => storeView(status, this.now())).sort(byAddress);
  }
}
