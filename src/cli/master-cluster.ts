import type { TopologyListener } from '../cluster/follower.js';
import type {
  ChangeBegun,
  ChangeRequest,
  ChangeStatus,
  ClusterManager,
  KeyspaceRequest,
  StoreStatus,
  TaskProgress,
} from '../cluster/manager.js';
import type { Topology } from '../cluster/topology.js';
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

/** What is needed of a master: the client of src/master has it. */
export interface MasterClient extends Omit<ClusterManager, 'topology'> {
  fetchTopology(): Promise<Topology>;
  follow(listener: TopologyListener): () => void;
  close(): void;
}

/** A cluster through its master. */
export class MasterCluster implements ClusterClient {
  constructor(
    private readonly master: MasterClient,
    private readonly now: () => number = Date.now,
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
