import type { ClusterClient } from './cluster-client.js';
import { MasterCluster } from './master-cluster.js';
import { RespCluster } from './resp-cluster.js';
import type { Target } from './target.js';

/** Reaches a cluster; nothing is sent before something is asked. Rejects with ManagerError. */
export type OpenCluster = (target: Target) => Promise<ClusterClient>;

export const openCluster: OpenCluster = async (target) => {
  if (target.kind === 'server') return new RespCluster(() => target.server, target.name);
  // Loaded where it is needed: gRPC takes a tenth of a second.
  const { openMaster, storeReach } = await import('./open-master.js');
  return new MasterCluster(openMaster(target.master), Date.now, storeReach(target.master));
};
